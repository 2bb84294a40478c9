//! What a run of [`super`] says: a table for each stream, ratios of one run, plots, and every sample.

use std::fmt::Write as _;
use std::path::Path;

use anyhow::{Context, Result};
use serde_json::json;

use super::cell::Measured;
use super::server::Server;
use super::stream::{FULL, LIGHT, Stream};
use crate::figures::median;
use crate::machine::Machine;
use crate::report::plots::{Line, chart};
use crate::report::tables_into;

/// Everything measured, round by round.
pub struct Results {
    pub machine: Machine,
    pub rounds: Vec<Vec<Measured>>,
    pub seconds: f64,
}

impl Results {
    /// For people.
    pub fn markdown(&self) -> String {
        let mut text = format!(
            "{}. The run took {:.0} s; medians of {} round{}.\n",
            self.machine,
            self.seconds,
            self.rounds.len(),
            if self.rounds.len() == 1 { "" } else { "s" }
        );
        for stream in [FULL, LIGHT] {
            text += &self.table(stream);
        }
        text += &self.ratios();
        for one in self.all().filter(|one| one.dropped_here > 0) {
            let Measured { cell, lost, dropped_here, .. } = one;
            let (server, viewers) = (cell.server.name(), cell.viewers);
            let _ = writeln!(
                text,
                "\n{server}, {viewers} viewers: {dropped_here} of the {lost} packets lost found a viewer's socket full."
            );
        }
        let errors: Vec<&Measured> = self.all().filter(|measured| !measured.errors.is_empty()).collect();
        for Measured { cell, errors, .. } in errors {
            let _ = writeln!(text, "\n{}, {} viewers: {errors}", cell.server.name(), cell.viewers);
        }
        text
    }

    fn table(&self, stream: Stream) -> String {
        let cells = self.cells(stream);
        if cells.is_empty() {
            return String::new();
        }
        let mut text = format!(
            "\n### The {} stream: {:.0} packets/s, {:.1} Mbit/s\n\n\
             | server | viewers | µs a packet | of that sending, crypto, rest | viewers a core | lost | longest gap, ms | joins/s | \
             first packet p50, p99, ms | KiB a viewer |\n|---|---:|---:|---|---:|---:|---:|---:|---|---:|\n",
            stream.name,
            stream.packets_a_second(),
            stream.bits_a_second() / 1e6,
        );
        for (server, viewers) in cells {
            let of = |value: &dyn Fn(&Measured) -> f64| self.median(server, stream, viewers, value);
            let most = |value: fn(&Measured) -> f64| {
                self.samples(server, stream, viewers).map(value).fold(0.0, f64::max)
            };
            let watched = self.samples(server, stream, viewers).map(|one| one.watching).min().unwrap_or(0);
            let came = if watched < viewers as u64 {
                format!("{watched} of {viewers}")
            } else {
                viewers.to_string()
            };
            let part = |which: usize| of(&|one| one.parts().map_or(f64::NAN, |parts| parts[which]));
            let parts = match part(0).is_nan() {
                true => "–".to_owned(),
                false => [0, 1, 2].map(|which| format!("{:.1}", part(which))).join(", "),
            };
            let _ = writeln!(
                text,
                "| {} | {came} | {:.1} | {parts} | {:.0} | {} | {:.0} | {:.0} | {:.0}, {:.0} | {:.0} |",
                server.name(),
                of(&|one| one.us_a_packet),
                of(&Measured::viewers_a_core),
                share(most(|one| one.lost as f64 / one.packets as f64)),
                most(|one| one.longest_gap_ms),
                of(&|one| one.joins_a_second),
                of(&|one| one.first_packet_ms[0]),
                of(&|one| one.first_packet_ms[1]),
                of(&|one| one.kib_a_viewer),
            );
        }
        text
    }

    /// CPU time of a packet, divided by that of the one that is last in [`Server::ALL`] and was measured: neighbours in time.
    fn ratios(&self) -> String {
        let measured = |server: &Server| self.all().any(|one| one.cell.server == *server);
        let Some(ours) = Server::ALL.into_iter().rfind(measured) else { return String::new() };
        let mut text = String::new();
        for stream in [FULL, LIGHT] {
            for (server, viewers) in self.cells(stream).into_iter().filter(|(server, _)| *server != ours) {
                let ratios: Vec<f64> = self
                    .rounds
                    .iter()
                    .filter_map(|round| {
                        let of = |server| {
                            let found = round.iter().find(|one| one.is(server, stream, viewers))?;
                            Some(found.us_a_packet)
                        };
                        Some(of(server)? / of(ours)?)
                    })
                    .collect();
                if !ratios.is_empty() {
                    let _ = writeln!(
                        text,
                        "| {} | {} | {viewers} | {:.1} |",
                        server.name(),
                        stream.name,
                        median(&ratios)
                    );
                }
            }
        }
        match text.is_empty() {
            true => text,
            false => format!(
                "\n### CPU time of a packet, × that of “{}”\n\n| server | stream | viewers | times |\n|---|---|---:|---:|\n{text}",
                ours.name()
            ),
        }
    }

    /// For programs: one sample a line.
    pub fn json(&self) -> String {
        let samples = self.rounds.iter().enumerate().flat_map(|(round, samples)| {
            samples.iter().map(move |sample| {
                let mut line = sample.json();
                line["round"] = json!(round + 1);
                format!("  {line}")
            })
        });
        let samples: Vec<String> = samples.collect();
        let machine =
            json!({ "model": self.machine.model, "cpus": self.machine.cpus, "kernel": self.machine.kernel });
        format!(
            "{{\n \"machine\": {machine},\n \"seconds\": {:.0},\n \"samples\": [\n{}\n ]\n}}\n",
            self.seconds,
            samples.join(",\n")
        )
    }

    /// Tables into docs/capacity.md, plot and samples into docs/benchmarks.
    pub fn write(&self, docs: &Path) -> Result<()> {
        let folder = docs.join("benchmarks");
        std::fs::create_dir_all(&folder).with_context(|| format!("making {}", folder.display()))?;
        for stream in [FULL, LIGHT] {
            let line = |server: Server| {
                let cells = self.cells(stream).into_iter().filter(|(one, _)| *one == server);
                let cost = |viewers| self.median(server, stream, viewers, &|one| one.us_a_packet);
                let points = cells.map(|(_, viewers)| (viewers as f64, cost(viewers))).collect();
                Line::new(server.name(), server.is_ours(), points)
            };
            let lines: Vec<Line> =
                Server::ALL.into_iter().map(line).filter(|line| !line.is_empty()).collect();
            let file = folder.join(format!("viewers-{}.svg", stream.name));
            chart(
                &file,
                &format!("CPU time of a packet, {} stream", stream.name),
                ["viewers", "µs"],
                &lines,
            )?;
        }
        std::fs::write(folder.join("viewers.json"), self.json()).context("writing the samples")?;
        tables_into(&docs.join("capacity.md"), &self.markdown())
    }

    fn all(&self) -> impl Iterator<Item = &Measured> {
        self.rounds.iter().flatten()
    }

    fn samples(&self, server: Server, stream: Stream, viewers: usize) -> impl Iterator<Item = &Measured> {
        self.all().filter(move |one| one.is(server, stream, viewers))
    }

    fn median(
        &self,
        server: Server,
        stream: Stream,
        viewers: usize,
        value: &dyn Fn(&Measured) -> f64,
    ) -> f64 {
        median(&self.samples(server, stream, viewers).map(value).collect::<Vec<_>>())
    }

    /// What was measured of a stream, by server and number of viewers.
    fn cells(&self, stream: Stream) -> Vec<(Server, usize)> {
        let of_stream = self.all().filter(|one| one.cell.stream == stream);
        let mut cells: Vec<(Server, usize)> =
            of_stream.map(|one| (one.cell.server, one.cell.viewers)).collect();
        cells.sort_unstable();
        cells.dedup();
        cells
    }
}

impl Measured {
    fn is(&self, server: Server, stream: Stream, viewers: usize) -> bool {
        let cell = &self.cell;
        cell.server == server && cell.stream == stream && cell.viewers == viewers
    }
}

/// A share of packets; a few of many are not none.
fn share(lost: f64) -> String {
    match lost * 100.0 {
        0.0 => "0".to_owned(),
        few if few < 0.01 => "< 0.01 %".to_owned(),
        some => format!("{some:.2} %"),
    }
}

#[cfg(test)]
mod tests {
    use super::super::cell::tests::measured;
    use super::*;

    fn results() -> Results {
        let round = |factor: f64| {
            vec![
                measured(Server::JanusAsItComes, 100, 40.0 * factor),
                measured(Server::Janus, 100, 20.0 * factor),
            ]
        };
        let machine = Machine { model: "a".to_owned(), kernel: "6".to_owned(), cpus: 2, realtime: true };
        Results { machine, rounds: vec![round(1.0), round(2.0), round(1.5)], seconds: 9.0 }
    }

    #[test]
    fn ratios_are_of_neighbours_in_time() {
        let text = results().markdown();
        assert!(text.contains("| Janus as it comes: a thread a viewer | full | 100 | 2.0 |"), "{text}");
        assert!(
            text.contains(
                "| Janus as deploy/janus has it: one loop | 100 | 30.0 | 15.0, 6.0, 9.0 | 178 | 0 | 60 |"
            ),
            "{text}"
        );
        assert!(!text.contains("light stream"), "{text}");
    }

    #[test]
    fn a_few_lost_packets_are_not_none() {
        assert_eq!([0.0, 0.00001, 0.02].map(share), ["0", "< 0.01 %", "2.00 %"]);
    }

    #[test]
    fn a_run_is_written_into_the_page() {
        let docs = tempfile::tempdir().unwrap();
        let page = docs.path().join("capacity.md");
        std::fs::write(&page, include_str!("../../../docs/capacity.md")).unwrap();
        results().write(docs.path()).unwrap();
        let text = std::fs::read_to_string(&page).unwrap();
        assert!(text.starts_with("# Capacity") && text.contains("medians of 3 rounds"), "{text}");
        let plot = std::fs::read_to_string(docs.path().join("benchmarks/viewers-full.svg")).unwrap();
        assert!(plot.contains("one loop"));
        let samples = std::fs::read_to_string(docs.path().join("benchmarks/viewers.json")).unwrap();
        let samples: serde_json::Value = serde_json::from_str(&samples).unwrap();
        assert_eq!(samples["samples"].as_array().unwrap().len(), 6);
    }
}
