//! What was lost on the way to a node and came after all, and what the node sent again to others.

use std::time::Duration;

use prometheus::Result;

use super::Scrape;
use crate::repair::{Answering, Asking};

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
