//! The test bench: network namespaces, an RTP source, sinks that judge what arrives, packet captures; a real Redis, a real
//! Janus, publishers, viewers and a browser.
//!
//! Used by the namespace tests, the demo and the benchmarks. It knows the relay only as a program ([`relay`]).
//! Everything needs root. Drop order matters: keep [`Lab`] declared before sources and sinks, so that it
//! goes last.
#![warn(missing_docs)]

pub mod bpf;
pub mod browser;
pub mod capture;
pub mod client;
pub mod firewall;
pub mod http;
pub mod interrupt;
pub mod janus;
pub mod json;
pub mod judge;
pub mod latency;
pub mod link;
pub mod monitoring;
pub mod netns;
pub mod node;
mod pace;
pub mod process;
pub mod proxy;
pub mod random;
pub mod receiver;
pub mod redis;
pub mod relay;
pub mod rtp;
pub mod sink;
pub mod socket;
pub mod source;
pub mod studio;
pub mod topology;
pub mod turn;
pub mod wish;

pub use browser::Browser;
pub use capture::{PcapFile, Tcpdump};
pub use client::{Publisher, Viewers};
pub use janus::Janus;
pub use judge::{FlowReport, RtpJudge, SendTimes};
pub use latency::Latencies;
pub use link::{Link, Way};
pub use monitoring::Prometheus;
pub use netns::Lab;
pub use node::NodeProcess;
pub use process::Process;
pub use proxy::{Proxy, ProxyKind};
pub use redis::{Redis, RedisConfig};
pub use sink::Sink;
pub use source::{Flow, Limit, Sent, Source, SourceConfig};
pub use studio::Studio;
pub use topology::{Chain, Child, Endpoint, Levels, Topology, control_host};
pub use turn::{Turn, TurnLogin};

/// Says what kept a trial from being one: a generator without a CPU, a ring that overflowed. `cargo xtask test` repeats a
/// test that failed and said so; it reads these lines in the test's output.
pub fn disturbed(what: &str) {
    eprintln!("disturbed: {what}");
}

/// `CLOCK_MONOTONIC` in nanoseconds: the clock of every time stamp in this crate.
pub fn monotonic_ns() -> u64 {
    let now = nix::time::clock_gettime(nix::time::ClockId::CLOCK_MONOTONIC)
        .expect("CLOCK_MONOTONIC exists on every Linux");
    now.tv_sec() as u64 * 1_000_000_000 + now.tv_nsec() as u64
}
