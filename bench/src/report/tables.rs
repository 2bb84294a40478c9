//! The tables.

use std::fmt::Write as _;

use super::{CHILDREN, LENGTH, Report};
use crate::contestant;
use crate::fanout::{Cell, GENERATOR};
use crate::growth::WHO;
use crate::latency::RATES;

/// Everything about copies.
pub fn fanout(report: &Report) -> String {
    let mut text = summary(report);
    for (title, value) in [
        (
            "CPU time of a copy, ns, by children (214-byte frames; generator, path and receiver together)",
            cost as Value,
        ),
        ("Loss-free rate, thousand copies/s, by children (214-byte frames)", rate as Value),
    ] {
        text += &by_children(report, title, LENGTH, value);
    }
    for length in [120, 1200] {
        text += &by_children(report, &format!("CPU time of a copy, ns, {length}-byte frames"), length, cost);
        text += &by_children(
            report,
            &format!("Loss-free rate, thousand copies/s, {length}-byte frames"),
            length,
            rate,
        );
    }
    let failed = report.fanout.iter().filter_map(|((who, cell), measured)| {
        Some(format!("- {who}, {} children, {} bytes: {}\n", cell.1, cell.0, measured.failed.as_ref()?))
    });
    let failed: String = failed.collect();
    if !failed.is_empty() {
        let _ = write!(text, "\nNot measured:\n\n{failed}");
    }
    text
}

type Value = fn(&Report, &str, Cell) -> Option<String>;

fn cost(report: &Report, who: &str, cell: Cell) -> Option<String> {
    report.ns(who, cell).map(|ns| format!("{ns:.0}"))
}

fn rate(report: &Report, who: &str, cell: Cell) -> Option<String> {
    let copies = report.rate(who, cell)? * if who == GENERATOR { 1.0 } else { cell.1 as f64 };
    Some(format!("{:.0}", copies / 1000.0))
}

fn summary(report: &Report) -> String {
    let cell = (LENGTH, CHILDREN);
    let mut text = format!(
        "\n### Fan-out {CHILDREN}, {LENGTH}-byte frames\n\n\
         | contestant | ns a copy (range) | less the generator | loss-free copies/s | time × xdp's | rate × multiudpsink's | late or lost at full load |\n\
         |---|---:|---:|---:|---:|---:|---:|\n"
    );
    let alone = report.ns(GENERATOR, cell).unwrap_or(f64::NAN);
    let xdp = report.ns("xdp", cell);
    let replaced = report.rate("multiudpsink", cell);
    for contestant in contestant::all().into_iter().chain(contestant::variants()) {
        let who = contestant.short();
        let Some(measured) = report.measured(who, cell) else { continue };
        let Some(ns) = report.ns(who, cell) else { continue };
        let all = measured.costs.iter().map(|cost| cost.ns_per_copy);
        let (least, most) = (all.clone().fold(f64::INFINITY, f64::min), all.fold(0.0, f64::max));
        let rate = report.rate(who, cell);
        let bad: u64 = measured.costs.iter().map(|cost| cost.lost + cost.late).sum();
        let _ = writeln!(
            text,
            "| {} | {ns:.0} ({least:.0}–{most:.0}) | {:.0} | {} | {} | {} | {bad} |",
            contestant.name(),
            ns - alone / CHILDREN as f64,
            shown(rate.map(|rate| grouped(rate * CHILDREN as f64))),
            shown(xdp.map(|xdp| format!("{:.2}", ns / xdp))),
            shown(rate.zip(replaced).map(|(rate, replaced)| format!("{:.2}", rate / replaced))),
        );
    }
    let limit = report.rate(GENERATOR, (LENGTH, 1)).map(grouped);
    let _ = writeln!(
        text,
        "\nThe generator and a receiver with nothing between them: {alone:.0} ns a packet; on a schedule, without loss up to {} \
         packets/s.",
        shown(limit)
    );
    text
}

fn by_children(report: &Report, title: &str, length: usize, value: Value) -> String {
    let children = report.children(length);
    if children.is_empty() {
        return String::new();
    }
    let head: Vec<String> = children.iter().map(ToString::to_string).collect();
    let mut text = format!("\n### {title}\n\n| contestant | {} |\n|---|", head.join(" | "));
    text += &"---:|".repeat(children.len());
    text += "\n";
    for contestant in contestant::all() {
        let cells =
            children.iter().map(|children| shown(value(report, contestant.short(), (length, *children))));
        let cells: Vec<String> = cells.collect();
        let _ = writeln!(text, "| {} | {} |", contestant.name(), cells.join(" | "));
    }
    let alone = children.iter().map(|children| shown(value(report, GENERATOR, (length, *children))));
    let _ = writeln!(text, "| (generator alone, a packet) | {} |", alone.collect::<Vec<_>>().join(" | "));
    text
}

/// Microseconds, by rate.
pub fn latency(report: &Report) -> String {
    if report.latency.is_empty() {
        return String::new();
    }
    let mut children: Vec<usize> = report.latency.iter().map(|row| row.children).collect();
    children.sort_unstable();
    children.dedup();
    let mut text = String::new();
    for children in children {
        let _ = write!(text, "\n### Latency, µs, p50 / p99 / p99.9, {children} children\n\n| contestant |");
        RATES.iter().for_each(|rate| text += &format!(" {} packets/s |", grouped(f64::from(*rate))));
        text += "\n|---|---:|---:|---:|\n";
        let contestants = contestant::all();
        let named = contestants.iter().map(|contestant| (contestant.short(), contestant.name()));
        for (who, name) in [(GENERATOR, "nothing between generator and receiver")].into_iter().chain(named) {
            let cells = RATES.map(|rate| {
                let Some(row) = report.latency.iter().find(|row| row.is(who, children, rate)) else {
                    return "–".to_owned();
                };
                let [p50, p99, p999] = row.ns().map(|ns| ns / 1000.0);
                let lost = if row.lost() > 0.0 {
                    format!(" (lost {:.2} %)", row.lost() * 100.0)
                } else {
                    String::new()
                };
                format!("{p50:.1} / {p99:.1} / {p999:.1}{lost}")
            });
            let _ = writeln!(text, "| {name} | {} |", cells.join(" | "));
        }
    }
    text
}

/// By streams.
pub fn growth(report: &Report) -> String {
    if report.growth.is_empty() {
        return String::new();
    }
    let mut streams: Vec<u32> = report.growth.iter().map(|row| row.streams).collect();
    streams.sort_unstable();
    streams.dedup();
    let head: Vec<String> = streams.iter().map(|streams| grouped(f64::from(*streams))).collect();
    let mut text = format!(
        "\n### CPU time of a copy, ns, by streams ({CHILDREN} children)\n\n| data plane | {} |\n|---|",
        head.join(" | ")
    );
    text += &"---:|".repeat(streams.len());
    text += "\n";
    for who in WHO {
        let cells = streams.iter().map(|streams| {
            let row = report.growth.iter().find(|row| row.who == who && row.streams == *streams);
            shown(row.map(|row| format!("{:.0}", row.median())))
        });
        let _ = writeln!(text, "| {who} | {} |", cells.collect::<Vec<_>>().join(" | "));
    }
    text
}

/// By receive queues.
pub fn queues(report: &Report) -> String {
    if report.queues.is_empty() {
        return String::new();
    }
    let mut text = format!(
        "\n### Copies/s by receive queues, a generator on each of two CPUs ({CHILDREN} children)\n\n\
         | data plane | 1 queue | 2 queues | × |\n|---|---:|---:|---:|\n"
    );
    for one in report.queues.iter().filter(|row| row.queues == 1) {
        let Some(two) = report.queues.iter().find(|row| row.who == one.who && row.queues == 2) else {
            continue;
        };
        let (few, many) = (one.median(), two.median());
        let _ = writeln!(text, "| {} | {} | {} | {:.2} |", one.who, grouped(few), grouped(many), many / few);
    }
    text
}

fn shown(text: Option<String>) -> String {
    text.unwrap_or_else(|| "–".to_owned())
}

/// 1 234 567, so that people can read it.
pub fn grouped(number: f64) -> String {
    let digits = format!("{number:.0}");
    let mut text = String::new();
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            text.push(' ');
        }
        text.push(digit);
    }
    text
}
