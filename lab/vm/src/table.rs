//! What was seen, as the README shows it.

use std::collections::BTreeMap;
use std::fmt::Write;

use lab::relay::Mode;

use crate::media::Copies;
use crate::trial::Findings;

/// Kernel × card × mode with the copies that came behind eth0 + behind eth1, then what the verifier walked.
pub fn render(all: &[Findings]) -> String {
    let mut text = String::from(
        "| kernel | card | `auto` | copies by xdp | by tc | by sockets | changes under traffic |\n|---|---|---|---|---|---|---|\n",
    );
    for findings in all {
        let copies = |mode: Mode| findings.copies.get(&mode.to_string()).map_or("—".to_owned(), count);
        let changes: Vec<String> =
            findings.changes.iter().map(|(what, copies)| format!("{what}: {}", count(copies))).collect();
        let failed = findings.checks.iter().filter(|check| !check.passed).count();
        let _ = writeln!(
            text,
            "| {} | {} | {} | {} | {} | {} | {}{} |",
            findings.release,
            findings.card,
            findings.auto.as_deref().unwrap_or("nothing"),
            copies(Mode::Xdp),
            copies(Mode::Tc),
            copies(Mode::Userspace),
            if changes.is_empty() { "—".to_owned() } else { changes.join(", ") },
            if failed > 0 { format!(" (**{failed} checks failed**)") } else { String::new() },
        );
    }
    let mut verified: BTreeMap<&str, BTreeMap<&str, u64>> = BTreeMap::new();
    for findings in all {
        let kernel = verified.entry(&findings.release).or_default();
        kernel.extend(findings.verified.iter().map(|(program, count)| (program.as_str(), *count)));
    }
    text.push_str("\n| kernel | instructions that the verifier walked |\n|---|---|\n");
    for (release, programs) in verified {
        let programs: Vec<String> =
            programs.iter().map(|(name, count)| format!("{name} {}", grouped(*count))).collect();
        let _ = writeln!(
            text,
            "| {release} | {} |",
            if programs.is_empty() { "none loads".to_owned() } else { programs.join(", ") }
        );
    }
    text
}

fn count(copies: &Copies) -> String {
    let [same, other] = copies.came.map(grouped);
    let what = format!("{same} + {other} of {}", grouped(copies.wanted));
    if copies.flaws == 0 { what } else { format!("{what}, {} of them wrong", copies.flaws) }
}

/// 667,234
fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (position, digit) in digits.chars().enumerate() {
        if position > 0 && (digits.len() - position).is_multiple_of(3) {
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
    fn numbers_are_grouped() {
        assert_eq!(
            [0, 999, 1_000, 667_234, 1_000_000].map(grouped),
            ["0", "999", "1,000", "667,234", "1,000,000"]
        );
    }
}
