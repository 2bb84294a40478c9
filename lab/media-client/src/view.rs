//! `view` and `first-frame`: many viewers at once, or one after the other.

use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use clap::Args;
use serde_json::{Value, json};

use crate::viewer::{Habits, Seen, Viewer};
use crate::watchers::Watchers;
use crate::wish::Endpoint;

const POLL: Duration = Duration::from_millis(5);
/// Between two tries.
const APART: Duration = Duration::from_millis(1100);

#[derive(Args)]
pub struct Options {
    /// WHEP endpoint; each of several gets as many viewers
    #[arg(long, required = true)]
    endpoint: Vec<String>,
    /// Viewers of each
    #[arg(long, default_value_t = 1)]
    count: usize,
    /// Milliseconds between two that join
    #[arg(long, default_value_t = 20)]
    stagger: u64,
    /// Milliseconds between two reports
    #[arg(long, default_value_t = 200)]
    every: u64,
    #[command(flatten)]
    habits: Habits,
    /// Join again after an error, or when no frame has come for so many milliseconds
    #[arg(long)]
    rejoin: Option<u64>,
}

#[derive(Args)]
pub struct Tries {
    /// WHEP endpoint
    #[arg(long)]
    endpoint: String,
    #[command(flatten)]
    habits: Habits,
    /// How often
    #[arg(long, default_value_t = 20)]
    tries: usize,
    /// Seconds after which a try counts as failed
    #[arg(long, default_value_t = 15)]
    patience: u64,
}

/// A viewer and its successors.
struct Seat<'a> {
    url: &'a str,
    endpoint: Endpoint,
    viewer: Viewer,
    joins: u64,
    /// Frames of those that came before.
    frames: u64,
}

/// Who lets viewers in, and the numbers by which their sessions are known.
struct Room {
    watchers: Watchers,
    habits: Habits,
    joined: u64,
}

impl Room {
    /// One thread that handles each packet when it comes.
    fn open(habits: Habits) -> Result<Self> {
        str0m::crypto::from_feature_flags().install_process_default();
        Ok(Self { watchers: Watchers::start(1, Duration::ZERO)?, habits, joined: 0 })
    }

    fn join(&mut self, endpoint: &Endpoint) -> Viewer {
        self.joined += 1;
        Viewer::join(self.watchers.seats(), endpoint, self.joined, self.habits)
    }
}

fn endpoint(url: &str) -> Result<Endpoint> {
    Endpoint::new(url, std::env::var("WHEP_TOKEN").ok())
}

/// Views until SIGTERM. The last line is `"final": true` and has the ages of all decoded frames.
pub fn run(options: &Options) -> Result<()> {
    let mut room = Room::open(options.habits)?;
    let mut seats = Vec::new();
    let mut told = Instant::now();
    let every = Duration::from_millis(options.every);
    let mut ages = Vec::new();
    for url in options.endpoint.iter().flat_map(|url| std::iter::repeat_n(url, options.count)) {
        let endpoint = endpoint(url)?;
        let viewer = room.join(&endpoint);
        seats.push(Seat { url, endpoint, viewer, joins: 1, frames: 0 });
        std::thread::sleep(Duration::from_millis(options.stagger));
    }
    while !crate::stopped() {
        std::thread::sleep(POLL);
        if told.elapsed() < every {
            continue;
        }
        told = Instant::now();
        let seen: Vec<Seen> = seats.iter().map(|seat| seat.viewer.seen()).collect();
        report(&seats, &seen, false, &[]);
        let Some(patience) = options.rejoin.map(Duration::from_millis) else { continue };
        for (seat, seen) in seats.iter_mut().zip(&seen) {
            if seen.failed() || seen.silence() > patience {
                ages.extend_from_slice(seen.ages_ms());
                seat.frames += seen.frames();
                seat.joins += 1;
                seat.viewer = room.join(&seat.endpoint);
            }
        }
    }
    let seen: Vec<Seen> = seats.iter().map(|seat| seat.viewer.seen()).collect();
    ages.extend(seen.iter().flat_map(|seen| seen.ages_ms()));
    report(&seats, &seen, true, &ages);
    // Together: each says goodbye to its server and waits for the answer.
    std::thread::scope(|scope| {
        for seat in seats {
            scope.spawn(move || drop(seat.viewer));
        }
    });
    room.watchers.end()
}

fn report(seats: &[Seat<'_>], seen: &[Seen], last: bool, ages: &[u32]) {
    let viewers: Vec<Value> = seats
        .iter()
        .zip(seen)
        .map(|(seat, seen)| {
            let mut line = seen.json();
            line["endpoint"] = json!(seat.url);
            line["joins"] = json!(seat.joins);
            line["framesOfAll"] = json!(seat.frames + seen.frames());
            line
        })
        .collect();
    crate::tell(
        &json!({ "final": last, "monotonicMs": crate::now_ms(), "viewers": viewers, "agesMs": ages }),
    );
}

/// Prints how long each try took, and ends.
pub fn first_frames(options: &Tries) -> Result<()> {
    let patience = Duration::from_secs(options.patience);
    let mut room = Room::open(options.habits)?;
    let endpoint = endpoint(&options.endpoint)?;
    let mut failed = 0;
    for attempt in 1..=options.tries {
        let viewer = room.join(&endpoint);
        let began = Instant::now();
        let seen = loop {
            let seen = viewer.seen();
            if seen.decoded() > 0 || seen.failed() || began.elapsed() > patience || crate::stopped() {
                break seen;
            }
            std::thread::sleep(POLL);
        };
        failed += usize::from(seen.decoded() == 0);
        let mut line = seen.json();
        line["try"] = json!(attempt);
        crate::tell(&line);
        drop(viewer);
        // One keyframe a second is all that anybody gets: who comes sooner measures that.
        std::thread::sleep(APART);
    }
    ensure!(failed == 0, "{failed} of {} tries saw no picture", options.tries);
    Ok(())
}
