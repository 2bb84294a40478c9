//! What was lost on the way to a node and came after all, and what the node sent again to others.

use std::time::Duration;

use prometheus::Result;

use super::Scrape;
use crate::repair::{Answering, Asking, OfParent};

impl Scrape {
    /// Of packets that did not come in their place. `round_trip`: from a question to its answer, if that is known.
    pub fn repair_asking(&self, asking: &Asking, round_trip: Option<Duration>) -> Result<()> {
        let Asking { missing, late, asked, repeated, requests, repaired, expired, useless, too_many } =
            *asking;
        for (name, help, count) in [
            ("repair_missing_total", "RTP packets that did not come in their place.", missing),
            ("repair_late_total", "Of these, packets that came by themselves.", late),
            ("repair_asked_total", "Of these, packets that were asked for.", asked),
            ("repair_repeated_total", "Packets that were asked for again: each time counts.", repeated),
            ("repair_requests_total", "NACK packets for what was missing.", requests),
            ("repair_repaired_total", "Packets that came because they had been asked for.", repaired),
        ] {
            self.one_counter(name, help, count as f64)?;
        }
        let given_up = [("expired", expired), ("useless", useless), ("too_many", too_many)];
        self.counter(
            "repair_given_up_total",
            "Packets that never came, by why they are not asked for any more.",
            ["reason"],
            given_up.map(|(reason, count)| ([reason], count as f64)),
        )?;
        let help = "From a question for a packet to its answer.";
        let round_trip = round_trip.map(|time| ([], time.as_secs_f64()));
        self.gauge("repair_round_trip_seconds", help, [], round_trip)
    }

    /// The same of each parent. A node has two of them at most.
    pub fn repair_parents(&self, parents: &[OfParent]) -> Result<()> {
        let each = |of: fn(&OfParent) -> u64| {
            parents.iter().map(move |parent| ([parent.parent.as_str()], of(parent) as f64))
        };
        let label = ["parent"];
        let help = "RTP packets of a parent's that did not come in their place.";
        self.counter("parent_repair_missing_total", help, label, each(|of| of.missing))?;
        let help = "Of these, packets that came by themselves.";
        self.counter("parent_repair_late_total", help, label, each(|of| of.late))?;
        let help = "Of these, packets that were asked for.";
        self.counter("parent_repair_asked_total", help, label, each(|of| of.asked))?;
        let help = "Of these, packets that came.";
        self.counter("parent_repair_repaired_total", help, label, each(|of| of.repaired))?;
        let help = "Packets that never came, and that viewers miss.";
        self.counter("parent_repair_given_up_total", help, label, each(|of| of.given_up))?;
        let help = "Packets that came again from where their stream comes from.";
        self.counter("parent_repair_duplicates_total", help, label, each(|of| of.duplicates))?;
        let trips =
            parents.iter().filter_map(|of| Some(([of.parent.as_str()], of.round_trip?.as_secs_f64())));
        self.gauge(
            "parent_repair_round_trip_seconds",
            "From a question to the parent to its answer.",
            label,
            trips,
        )
    }

    /// What each child asked for: times that it asked for a packet, of these those that were answered, and those that were refused.
    pub fn repair_children<'a>(
        &self,
        children: impl Iterator<Item = (&'a str, [u64; 3])> + Clone,
    ) -> Result<()> {
        let each = |at: usize| children.clone().map(move |(child, counts)| ([child], counts[at] as f64));
        let label = ["child"];
        let help = "Packets that a child asked for: each time counts.";
        self.counter("child_repair_wanted_total", help, label, each(0))?;
        let help = "Of these, packets that were sent again.";
        self.counter("child_repair_answered_total", help, label, each(1))?;
        let help = "Of these, packets that were not, for whatever reason.";
        self.counter("child_repair_refused_total", help, label, each(2))
    }

    /// Of packets that children asked for. `failed`: answers that could not be sent.
    pub fn repair_answering(&self, answering: &Answering, failed: u64) -> Result<()> {
        let Answering { asked, answered, bytes, .. } = *answering;
        for (name, help, count) in [
            ("repair_wanted_total", "Packets that others asked for: each time counts.", asked),
            ("repair_answered_total", "Of these, packets that were sent again.", answered),
            ("repair_answered_bytes_total", "RTP bytes of packets that were sent again.", bytes),
            ("repair_send_errors_total", "Packets that could not be sent again.", failed),
        ] {
            self.one_counter(name, help, count as f64)?;
        }
        self.counter(
            "repair_refused_total",
            "Packets that others asked for and were not sent, by why.",
            ["reason"],
            answering.refused().map(|(reason, count)| ([reason], count as f64)),
        )
    }
}
