//! What it costs, by the documents' price table, and by the same one if all that goes out is paid.

use super::drive::Outcome;
use super::figures::{BITS_A_SECOND, HEADERS};

/// Of a month.
const HOURS: f64 = 730.0;
/// Two t3.large for injections, a cache.m5.large for Redis, a t3.medium for Prometheus.
const OF_A_TREE: f64 = 120.0 + 150.0 + 30.0;
/// A t3.medium.
const RELAY: f64 = 30.0;
/// A t3.small.
const EGRESS: f64 = 15.0;
/// A terabyte that goes out. The documents count one a month, whatever is sent.
const TERABYTE: f64 = 90.0;
/// Viewers of 1.4 Mbit/s whom a t3.small may serve for good, by what its maker lets its card send: docs/capacity.md, *What it means
/// for a machine*.
const VIEWERS_FOR_GOOD: f64 = 90.0;

/// Dollars.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Bill {
    /// Machines, for as long as they were there, and the documents' one terabyte a month.
    pub by_the_documents: f64,
    /// The same machines, but as many as may send that much for good.
    pub machines: f64,
    /// All that was sent, at the documents' price.
    pub traffic: f64,
    /// Terabytes that were sent.
    pub terabytes: f64,
    /// Hours that viewers watched.
    pub viewer_hours: f64,
}

impl Bill {
    /// Of what happened.
    pub fn of(outcome: &Outcome) -> Bill {
        let month = HOURS * 3600.0;
        let books = &outcome.books;
        let egress_months = books.egress_seconds / month;
        let fixed = OF_A_TREE * outcome.seconds / month + RELAY * books.relay_seconds / month;
        let enough = egress_months.max(books.watched / VIEWERS_FOR_GOOD / month);
        let terabytes = books.watched * BITS_A_SECOND * HEADERS / 8.0 / 1e12;
        Bill {
            by_the_documents: fixed + EGRESS * egress_months + TERABYTE * outcome.seconds / month,
            machines: fixed + EGRESS * enough,
            traffic: TERABYTE * terabytes,
            terabytes,
            viewer_hours: books.watched / 3600.0,
        }
    }

    /// All that is really to be paid.
    pub fn honest(&self) -> f64 {
        self.machines + self.traffic
    }

    /// Of one viewer who would watch for a month, day and night, as the documents count.
    pub fn of_a_viewer(&self, dollars: f64) -> f64 {
        dollars / self.viewer_hours.max(1.0) * HOURS
    }
}
