//! `cargo xtask soak`: the tests of a relay that follows Redis, with numbers too large for every day. They print rows of a
//! table, which are collected at the end.

use anyhow::Result;

use crate::{sh, suite};

const TESTS: [&str; 4] = [
    "random_redis_changes_lose_nothing",
    "redis_outage_never_stops_media",
    "a_lost_topology_is_held_for_a_grace",
    "a_redis_that_refuses_is_said",
];

/// Runs them all, whatever becomes of each, and prints the table.
pub fn run(changes: u64, outage: u64) -> Result<()> {
    let environment =
        [("MEDIA_TREE_CHANGES", changes.to_string()), ("MEDIA_TREE_OUTAGE_S", outage.to_string())];
    sh::say(format!("{changes} random changes, Redis away for {outage} s, in each mode"));
    let mut rows = Vec::new();
    let done = suite::long_run("soak", "net", &TESTS, &environment, |line| {
        // With --nocapture the first row of a test follows its name on the same line.
        if let Some(row) = line.find("| ").filter(|_| line.ends_with(" |")) {
            rows.push(line[row..].to_owned());
        }
    });
    println!("\n| mode | event | /status said | /readyz said | seconds to converge |\n|---|---|---|---|---|");
    rows.iter().for_each(|row| println!("{row}"));
    println!();
    done?;
    sh::say("nothing lost, duplicated or reordered at any stayer");
    Ok(())
}
