//! What viewers cost: servers beside each other, one after the other in the same place, the same stream, the same viewers.
//!
//! ```text
//! viewers: broadcast (RTP by UDP) ──┐              ┌── egress-1: the server, and the egress if it has one
//!          crowd (media-client)  ───┴ eth0 ── eth0 ┘
//! ```
//! Each round measures all servers at a number of viewers before it goes on to the next number: who is compared are
//! neighbours in time. CPU time is that of the server's processes, from the kernel's own account.

mod cell;
mod crowd;
mod profile;
mod report;
mod server;
mod stream;

use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use cell::{Cell, Measured, measure};
use lab::Lab;
pub use report::Results;
pub use server::Server;
use stream::{FULL, LIGHT, Stream};

use crate::machine::Machine;

/// Unless told otherwise.
const VIEWERS: [usize; 3] = [100, 300, 1000];

/// How much is measured.
struct Grid {
    streams: &'static [Stream],
    rounds: usize,
    /// Of each measurement.
    time: Duration,
}

/// Measures; `only` these servers and so many `viewers`, if any are named.
pub fn run(quick: bool, only: &[Server], viewers: &[usize]) -> Result<Results> {
    let grid = match quick {
        true => Grid { streams: &[FULL], rounds: 1, time: Duration::from_secs(8) },
        false => Grid { streams: &[FULL, LIGHT], rounds: 3, time: Duration::from_secs(15) },
    };
    let servers: Vec<Server> =
        Server::ALL.into_iter().filter(|server| only.is_empty() || only.contains(server)).collect();
    let mut counts = if viewers.is_empty() { VIEWERS.to_vec() } else { viewers.to_vec() };
    // What a server bears is known from fewer.
    counts.sort_unstable();
    let machine = Machine::describe()?;
    let began = Instant::now();
    let lab = Lab::new("bench-viewers-")?;
    server::wire(&lab)?;
    let mut number = 0;
    let mut rounds: Vec<Vec<Measured>> = Vec::new();
    for round in 1..=grid.rounds {
        let mut samples: Vec<Measured> = Vec::new();
        for stream in grid.streams {
            for &viewers in &counts {
                for server in &servers {
                    let fewer =
                        samples.iter().rfind(|one| one.cell.server == *server && one.cell.stream == *stream);
                    if fewer.is_some_and(|fewer| !fewer.may_bear(viewers, machine.cpus)) {
                        eprintln!(
                            "bench: round {round}: {}, {viewers} viewers: more than it bears",
                            server.short()
                        );
                        continue;
                    }
                    number += 1;
                    let cell = Cell { stream: *stream, viewers, server: *server };
                    let sample = measure(&lab, cell, grid.time, number).with_context(|| {
                        format!("{} with {viewers} viewers of {}", server.short(), stream.name)
                    })?;
                    eprintln!(
                        "bench: round {round}: {}, {viewers} viewers of {}: {:.1} µs a packet, {} lost",
                        server.short(),
                        stream.name,
                        sample.us_a_packet,
                        sample.lost
                    );
                    samples.push(sample);
                }
            }
        }
        rounds.push(samples);
    }
    Ok(Results { machine, rounds, seconds: began.elapsed().as_secs_f64() })
}
