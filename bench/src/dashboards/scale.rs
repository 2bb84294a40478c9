//! Numbers with their units, as Grafana writes them.

/// A value in a unit of Grafana's.
pub fn written(value: f64, unit: &str) -> String {
    match unit {
        "percent" => format!("{} %", short(value)),
        "percentunit" => format!("{} %", short(value * 100.0)),
        "s" => seconds(value),
        "decbytes" => scaled(value, ["B", "kB", "MB", "GB"]),
        "Bps" => scaled(value, ["B/s", "kB/s", "MB/s", "GB/s"]),
        "bps" => scaled(value, ["b/s", "kb/s", "Mb/s", "Gb/s"]),
        "pps" => scaled(value, ["p/s", "kp/s", "Mp/s", "Gp/s"]),
        "reqps" => scaled(value, ["/s", "k/s", "M/s", "G/s"]),
        _ => scaled(value, ["", "k", "M", "G"]),
    }
}

fn seconds(value: f64) -> String {
    match value.abs() {
        0.0 => "0 s".to_owned(),
        small if small < 1e-3 => format!("{} µs", short(value * 1e6)),
        small if small < 1.0 => format!("{} ms", short(value * 1e3)),
        _ => format!("{} s", short(value)),
    }
}

fn scaled(value: f64, units: [&str; 4]) -> String {
    let mut value = value;
    let mut unit = 0;
    while value.abs() >= 1000.0 && unit + 1 < units.len() {
        value /= 1000.0;
        unit += 1;
    }
    format!("{} {}", short(value), units[unit]).trim_end().to_owned()
}

/// Three digits that mean something.
fn short(value: f64) -> String {
    let digits = match value.abs() {
        large if large >= 100.0 => 0,
        medium if medium >= 10.0 => 1,
        _ => 2,
    };
    let text = format!("{value:.digits$}");
    if text.contains('.') { text.trim_end_matches('0').trim_end_matches('.').to_owned() } else { text }
}

/// The next round number above that axes end at.
pub fn round_up(value: f64) -> f64 {
    if value <= 0.0 {
        return 1.0;
    }
    let power = 10f64.powf(value.log10().floor());
    let steps = [1.0, 1.5, 2.0, 3.0, 4.0, 5.0, 6.0, 8.0, 10.0];
    steps.into_iter().map(|step| step * power).find(|end| *end >= value * 1.02).unwrap_or(12.0 * power)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_written_with_their_units() {
        for (value, unit, text) in [
            (0.0, "short", "0"),
            (12.0, "short", "12"),
            (1234.0, "pps", "1.23 kp/s"),
            (1_400_000.0, "bps", "1.4 Mb/s"),
            (0.0042, "percentunit", "0.42 %"),
            (70.0, "percent", "70 %"),
            (0.000_25, "s", "250 µs"),
            (0.031, "s", "31 ms"),
            (45.0, "s", "45 s"),
            (38_500_000.0, "decbytes", "38.5 MB"),
        ] {
            assert_eq!(written(value, unit), text);
        }
    }

    #[test]
    fn axes_end_at_round_numbers() {
        assert_eq!((round_up(0.0), round_up(0.93), round_up(7.0), round_up(98.9)), (1.0, 1.0, 8.0, 120.0));
    }
}
