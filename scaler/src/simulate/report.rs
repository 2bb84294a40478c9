//! What came of the scenarios, for people and for docs/scaling.md.

use std::fmt::Write as _;

use super::drive::Outcome;
use super::prices::Bill;

/// Two tables: what happened, and what it cost. Of several runs of a scenario, the worst.
pub fn markdown(outcomes: &[Outcome]) -> String {
    let mut text = String::new();
    text += "| scenario | most viewers | egresses | relays | most without a place | their part of all time | longest wait, s | lost their egress | actions done, undone |\n";
    text += "|---|---:|---:|---:|---:|---:|---:|---:|---:|\n";
    let scenarios: Vec<&[Outcome]> = outcomes.chunk_by(|one, other| one.name == other.name).collect();
    for runs in &scenarios {
        let most = |of: fn(&Outcome) -> f64| runs.iter().map(of).fold(0.0, f64::max);
        let _ = writeln!(
            text,
            "| {} | {} | {} | {} | {} | {} | {:.0} | {} | {}, {} |",
            runs[0].name,
            grouped(most(|run| f64::from(run.most.watching))),
            most(|run| run.most.egresses as f64),
            most(|run| run.most.relays as f64),
            grouped(most(|run| f64::from(run.books.most_in_the_dark))),
            percent(most(|run| run.books.part_in_the_dark())),
            most(|run| run.books.longest_wait as f64 / 1000.0),
            grouped(most(|run| run.books.lost_egress as f64)),
            most(|run| f64::from(run.actions[0])),
            most(|run| f64::from(run.actions[1])),
        );
    }
    text += "\n| scenario | viewer hours | TB sent | most Gbit/s | $ by the documents | $ of machines that may send it | $ of traffic | $ a viewer and month, by the documents | with all paid |\n";
    text += "|---|---:|---:|---:|---:|---:|---:|---:|---:|\n";
    for runs in &scenarios {
        let bills = || runs.iter().map(Bill::of);
        let most = |of: fn(&Bill) -> f64| bills().map(|bill| of(&bill)).fold(0.0, f64::max);
        let _ = writeln!(
            text,
            "| {} | {} | {:.1} | {:.1} | {:.2} | {:.2} | {} | {:.3} | {:.2} |",
            runs[0].name,
            grouped(most(|bill| bill.viewer_hours)),
            most(|bill| bill.terabytes),
            runs.iter().map(|run| run.most.gigabits).fold(0.0, f64::max),
            most(|bill| bill.by_the_documents),
            most(|bill| bill.machines),
            grouped(most(|bill| bill.traffic)),
            most(|bill| bill.of_a_viewer(bill.by_the_documents)),
            most(|bill| bill.of_a_viewer(bill.honest())),
        );
    }
    text
}

/// Laws that were broken, a line each.
pub fn broken(outcomes: &[Outcome]) -> Vec<String> {
    let of = |outcome: &Outcome| -> Vec<String> {
        let lines =
            outcome.broken.iter().map(|why| format!("{}, seed {}: {why}", outcome.name, outcome.seed));
        lines.collect()
    };
    outcomes.iter().flat_map(of).collect()
}

/// How much was simulated, and how long that took.
pub fn effort(outcomes: &[Outcome], seconds: f64) -> String {
    let hours: f64 = outcomes.iter().map(|outcome| outcome.seconds).sum::<f64>() / 3600.0;
    let looks: u64 = outcomes.iter().map(|outcome| outcome.looks).sum();
    format!(
        "{} runs, {hours:.0} simulated hours, {} looks, in {seconds:.1} s",
        outcomes.len(),
        grouped(looks as f64)
    )
}

fn percent(part: f64) -> String {
    if part == 0.0 { "0".to_owned() } else { format!("{:.3} %", part * 100.0) }
}

/// 12,345.
fn grouped(number: f64) -> String {
    let digits = format!("{number:.0}");
    let mut text = String::new();
    for (n, digit) in digits.chars().enumerate() {
        if n > 0 && (digits.len() - n).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn large_numbers_can_be_read() {
        assert_eq!([0.0, 999.0, 1000.0, 1_234_567.0].map(grouped), ["0", "999", "1,000", "1,234,567"]);
    }
}
