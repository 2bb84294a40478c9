//! What was aimed at, and what came out.

use std::fmt::Write as _;

use super::{CHILDREN, LENGTH, Report};

const USER_SPACE: [&str; 6] = ["gso", "sendmmsg", "io_uring", "sendto", "rtpengine", "multiudpsink"];
/// Of the latency.
const RATE: u32 = 100_000;

/// One goal: what, what is wanted (at most, or at least), what was seen.
struct Goal {
    what: &'static str,
    at_most: bool,
    wanted: f64,
    seen: Option<f64>,
}

/// The table of goals.
pub fn table(report: &Report) -> String {
    let cell = (LENGTH, CHILDREN);
    let cost = |over, under| report.cost_ratio((over, cell), (under, cell));
    let rate = |over, under| Some(report.rate(over, cell)? / report.rate(under, cell)?);
    let best = USER_SPACE.iter().filter_map(|who| report.ns(who, cell)).min_by(f64::total_cmp);
    let most = *report.children(LENGTH).last().unwrap_or(&CHILDREN);
    let p99 = |who| {
        let mut rows = report.latency.iter().filter(|row| row.lost() == 0.0 || who == "multiudpsink");
        rows.find(|row| row.is(who, 1, RATE)).map(|row| row.ns()[1])
    };
    let goals = [
        Goal {
            what: "xdp: CPU time of a copy, of multiudpsink's",
            at_most: true,
            wanted: 0.1,
            seen: cost("xdp", "multiudpsink"),
        },
        Goal {
            what: "xdp: loss-free rate, × multiudpsink's",
            at_most: false,
            wanted: 6.0,
            seen: rate("xdp", "multiudpsink"),
        },
        Goal { what: "xdp: loss-free rate, × tc's", at_most: false, wanted: 2.5, seen: rate("xdp", "tc") },
        Goal {
            what: "xdp: copies a second of CPU time, × tc's",
            at_most: false,
            wanted: 2.5,
            seen: cost("tc", "xdp"),
        },
        Goal {
            what: "xdp: CPU time of a copy, of its floor's",
            at_most: true,
            wanted: 1.10,
            seen: cost("xdp", "xdp-floor"),
        },
        Goal {
            what: "xdp: CPU time of a copy at most children, of that at 8",
            at_most: true,
            wanted: 1.15,
            seen: report.cost_ratio(("xdp", (LENGTH, most)), ("xdp", cell)),
        },
        Goal {
            what: "tc: CPU time of a copy, of the bare loop's",
            at_most: true,
            wanted: 1.15,
            seen: cost("tc", "tc-floor"),
        },
        Goal {
            what: "userspace: CPU time of a copy, of the best user-space contestant's",
            at_most: true,
            wanted: 1.0,
            seen: report.ns("userspace", cell).zip(best).map(|(ours, best)| ours / best),
        },
        Goal {
            what: "xdp: latency p99 at 100,000 packets/s and one child, of multiudpsink's",
            at_most: true,
            wanted: 0.1,
            seen: p99("xdp").zip(p99("multiudpsink")).map(|(ours, theirs)| ours / theirs),
        },
    ];
    let mut text = String::from(
        "\n### Goals\n\n| at 8 children, 214-byte frames | wanted | seen | |\n|---|---:|---:|---|\n",
    );
    for Goal { what, at_most, wanted, seen } in goals {
        let sign = if at_most { "≤" } else { "≥" };
        let (shown, met) = match seen {
            Some(seen) if at_most => {
                (format!("{seen:.2}"), if seen <= wanted { "met" } else { "**missed**" })
            }
            Some(seen) => (format!("{seen:.2}"), if seen >= wanted { "met" } else { "**missed**" }),
            None => ("–".to_owned(), "not measured"),
        };
        let _ = writeln!(text, "| {what} | {sign} {wanted} | {shown} | {met} |");
    }
    text
}
