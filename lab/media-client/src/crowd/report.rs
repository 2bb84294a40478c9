//! What a crowd has seen, as JSON.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use lab::client::percentile;
use nix::sys::resource::{UsageWho, getrusage};
use nix::sys::time::TimeValLike;
use serde_json::{Value, json};

use super::member::{Member, Members};
use crate::watcher::Seen;

/// Of those who stay; of those who come and go under `visitors`, if there are any. `elapsed`: since the first was to come.
pub fn report(members: &Members, elapsed: Duration, follows: bool, last: bool) -> Value {
    let of = |visitors: bool| -> Vec<(&Member, Seen)> {
        let some = members.all.iter().filter(|member| member.visitor == visitors);
        some.map(|member| (member, member.seen())).collect()
    };
    let visitors = of(true);
    let mut report = group(&of(false));
    report["final"] = json!(last);
    report["seconds"] = json!(elapsed.as_secs_f64());
    report["monotonicMs"] = json!(crate::now_ms());
    // Of this process, all threads together.
    report["cpuSeconds"] = json!(cpu().as_secs_f64());
    if follows {
        report["moves"] = moves(members);
    }
    if !visitors.is_empty() {
        report["visitors"] = group(&visitors);
    }
    report
}

/// How they went on elsewhere.
fn moves(members: &Members) -> Value {
    let all = || {
        members
            .all
            .iter()
            .enumerate()
            .flat_map(|(number, member)| member.moves.iter().map(move |moved| (number, moved)))
    };
    let ms = |time: Duration| time.as_secs_f64() * 1000.0;
    let dark: Vec<f64> = all().map(|(_, moved)| ms(moved.dark)).collect();
    let mut failed = BTreeMap::<&str, usize>::new();
    for why in members.all.iter().flat_map(|member| &member.failed_moves) {
        *failed.entry(why).or_default() += 1;
    }
    let each = all().map(|(number, moved)| {
        json!({
            "viewer": number,
            "at": moved.at.as_secs_f64(),
            "darkMs": ms(moved.dark),
            "why": moved.why,
            // Of the dark time, counted from its beginning when positive: what a move without a break does is before it.
            "askedMs": ms(moved.dark) - ms(moved.steps.asked),
            "answeredMs": ms(moved.dark) - ms(moved.steps.answered),
            "firstPacketMs": ms(moved.dark) - ms(moved.steps.first_packet),
        })
    });
    json!({
        "count": dark.len(),
        // Those who know where to go if their server were gone.
        "prepared": members.all.iter().filter(|member| member.knows).count(),
        "failed": failed,
        "darkMs": { "p50": percentile(&dark, 0.5), "p99": percentile(&dark, 0.99), "most": percentile(&dark, 1.0) },
        "each": each.collect::<Vec<_>>(),
    })
}

fn group(members: &[(&Member, Seen)]) -> Value {
    let count =
        |is: fn(&Member, &Seen) -> bool| members.iter().filter(|(member, seen)| is(member, seen)).count();
    let sum = |of: fn(&Seen) -> u64| members.iter().map(|(_, seen)| of(seen)).sum::<u64>();
    let times = |since: fn(&Member) -> Instant, of: fn(&Member, &Seen) -> Option<Instant>| {
        let taken = |(member, seen): &(&Member, Seen)| Some(of(member, seen)? - since(member));
        let times: Vec<f64> =
            members.iter().filter_map(taken).map(|time| time.as_secs_f64() * 1000.0).collect();
        json!({ "p50": percentile(&times, 0.5), "p99": percentile(&times, 0.99), "most": percentile(&times, 1.0) })
    };
    let due = |member: &Member| member.due;
    let asked = |member: &Member| member.asked;
    let gaps: Vec<f64> = members
        .iter()
        .filter(|(_, seen)| seen.video.packets > 0)
        .map(|(_, seen)| seen.video.longest_gap.as_secs_f64() * 1000.0)
        .collect();
    let (mut statuses, mut errors) = (BTreeMap::<u16, usize>::new(), BTreeMap::<&str, usize>::new());
    for (member, seen) in members {
        if let Some((status, _)) = member.answer {
            *statuses.entry(status).or_default() += 1;
        }
        for error in [&member.error, &seen.ended].into_iter().flatten() {
            *errors.entry(error).or_default() += 1;
        }
    }
    json!({
        "asked": members.len(),
        "statuses": statuses,
        // Had an answer; had media that could be opened; have it now.
        "joined": count(|member, _| member.answer.is_some_and(|(status, _)| status == 201)),
        "watched": count(|_, seen| seen.first_packet.is_some()),
        "watching": count(|member, _| member.watches()),
        "joinsPerSecond": joins_per_second(members),
        "packets": sum(|seen| seen.video.packets + seen.audio.packets),
        "bytes": sum(|seen| seen.video.bytes + seen.audio.bytes),
        "lost": sum(|seen| seen.video.lost + seen.audio.lost),
        "videoLost": sum(|seen| seen.video.lost),
        "losers": count(|_, seen| seen.video.lost + seen.audio.lost > 0),
        "late": sum(|seen| seen.video.late + seen.audio.late),
        "repeated": sum(|seen| seen.video.repeated + seen.audio.repeated),
        "ssrcChanges": sum(|seen| seen.video.restarts + seen.audio.restarts),
        "droppedHere": sum(|seen| seen.dropped_here),
        // Of each viewer's video, between two packets.
        "longestGapMs": { "p50": percentile(&gaps, 0.5), "p99": percentile(&gaps, 0.99), "most": percentile(&gaps, 1.0) },
        // From when it was to come until it asked: what this process kept it waiting, which makes --requests at once.
        "askedMs": times(due, |member, _| Some(member.asked)),
        "answerMs": times(asked, |member, _| member.answer.map(|(_, at)| at)),
        "firstPacketMs": times(asked, |_, seen| seen.first_packet),
        "pictureMs": times(asked, |_, seen| seen.picture),
        // What a viewer would say, who knows nothing of the requests before his.
        "firstPacketSinceDueMs": times(due, |_, seen| seen.first_packet),
        "errors": errors,
    })
}

/// From when the first was to come to the last viewer's first packet; `None` if there were fewer than two.
fn joins_per_second(members: &[(&Member, Seen)]) -> Option<f64> {
    let first = members.iter().map(|(member, _)| member.due).min()?;
    let times: Vec<Instant> = members.iter().filter_map(|(_, seen)| seen.first_packet).collect();
    let took = (*times.iter().max()? - first).as_secs_f64();
    (times.len() > 1).then(|| times.len() as f64 / took)
}

fn cpu() -> Duration {
    let Ok(used) = getrusage(UsageWho::RUSAGE_SELF) else { return Duration::ZERO };
    let both = used.user_time() + used.system_time();
    Duration::from_micros(both.num_microseconds() as u64)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::watcher::locked;

    /// Two were to come at once, and the second was kept waiting for the first.
    #[test]
    fn what_this_process_keeps_waiting_is_told_from_what_the_server_does() {
        let (began, ms) = (Instant::now(), Duration::from_millis);
        let mut members = Members::default();
        for (asked, first) in [(0, 300), (400, 600)] {
            let (number, seen) = members.add(false, began);
            members.all[number].asked = began + ms(asked);
            locked(&seen).first_packet = Some(began + ms(first));
        }
        let report = report(&members, ms(1000), false, true);
        let p = |what: &str| [&report[what]["p50"], &report[what]["p99"]].map(|ms| ms.as_f64().unwrap());
        assert_eq!(p("askedMs"), [0.0, 400.0]);
        assert_eq!(p("firstPacketMs"), [200.0, 300.0]);
        assert_eq!(p("firstPacketSinceDueMs"), [300.0, 600.0]);
        assert_eq!(report["joinsPerSecond"].as_f64().unwrap().round(), 3.0, "two in 0.6 s");
    }
}
