//! [`Sent`]: what each child was sent, and what it asked for again, of all sessions together. Without I/O.
//!
//! Pipelines know addresses only. Whose they are is said before anything is sent there, and what was sent is asked for before they
//! may be another's.

use std::collections::BTreeMap;
use std::net::SocketAddr;

use node::media::PerKind;
use node::metrics::{Kept, add};

use crate::answers::Answered;

/// Whose an address is, of each kind of media.
pub(super) type Owners = PerKind<BTreeMap<SocketAddr, String>>;

/// Packets that were sent somewhere, and their bytes.
pub type Parcel = (SocketAddr, [u64; 2]);

/// What a child has counted: packets and bytes that it was sent; packets that it asked for again, and of these those that it was sent
/// and those that it was not.
pub type Counts = [u64; 5];

/// What children were sent.
#[derive(Default)]
pub(super) struct Sent {
    owners: Owners,
    counts: BTreeMap<String, Counts>,
    removed: Kept<String, 5>,
}

impl Sent {
    /// These are sent to from now on, too.
    pub fn and(&mut self, owners: &Owners) {
        for (kind, owners) in owners.iter() {
            self.owners[kind].extend(owners.iter().map(|(at, name)| (*at, name.clone())));
        }
    }

    /// Only these are sent to from now on.
    pub fn only(&mut self, owners: Owners) {
        self.owners = owners;
        let is_there =
            |name: &String| self.owners.iter().any(|(_, owners)| owners.values().any(|own| own == name));
        let gone: Vec<String> = self.counts.keys().filter(|name| !is_there(name)).cloned().collect();
        for name in gone {
            if let Some(counts) = self.counts.remove(&name) {
                self.removed.gone(name, counts);
            }
        }
        for name in self.owners.iter().flat_map(|(_, owners)| owners.values()) {
            self.counts.entry(name.clone()).or_default();
        }
    }

    /// So much was sent since the last time.
    pub fn took(&mut self, parcels: PerKind<Vec<Parcel>>) {
        self.count(parcels, |[packets, bytes]| [packets, bytes, 0, 0, 0]);
    }

    /// So much was asked for again since the last time.
    pub fn answered(&mut self, answered: PerKind<Vec<Answered>>) {
        self.count(answered, |[asked, answered, refused]| [0, 0, asked, answered, refused]);
    }

    fn count<T>(&mut self, at: PerKind<Vec<(SocketAddr, T)>>, counts: impl Fn(T) -> Counts) {
        for (kind, all) in at {
            for (at, count) in all {
                // A recipient of a session's own is no child.
                if let Some(name) = self.owners[kind].get(&at) {
                    add(self.counts.entry(name.clone()).or_default(), counts(count));
                }
            }
        }
    }

    /// Each child that is sent to, with all that it has ever been sent.
    pub fn shown(&self) -> Vec<(String, Counts)> {
        let all = self.counts.iter().map(|(name, counts)| {
            let mut counts = *counts;
            add(&mut counts, self.removed.before(name.as_str()));
            (name.clone(), counts)
        });
        all.collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn owners(children: &[(&str, u8)]) -> Owners {
        PerKind::from_fn(|kind| {
            let port = 5002 + 2 * u16::from(kind.number());
            let at = |host: u8| SocketAddr::from(([10, 0, 0, host], port));
            children.iter().map(|(name, host)| (at(*host), (*name).to_owned())).collect()
        })
    }

    fn video(host: u8, packets: u64) -> PerKind<Vec<Parcel>> {
        let at = SocketAddr::from(([10, 0, 0, host], 5004));
        PerKind { audio: Vec::new(), video: vec![(at, [packets, packets * 100])] }
    }

    #[test]
    fn a_child_that_comes_back_or_moves_goes_on_where_it_was() {
        let mut sent = Sent::default();
        sent.only(owners(&[("egress-1", 1), ("egress-2", 2)]));
        sent.took(video(1, 5));
        sent.took(video(9, 5));
        let asked =
            |host: u8| PerKind { audio: Vec::new(), video: vec![(video(host, 0).video[0].0, [3, 2, 1])] };
        sent.answered(asked(1));
        sent.answered(asked(9));
        assert_eq!(
            sent.shown(),
            [("egress-1".to_owned(), [5, 500, 3, 2, 1]), ("egress-2".to_owned(), [0; 5])]
        );
        // What was on its way when it moved was for the former place.
        let moved = owners(&[("egress-1", 3)]);
        sent.and(&moved);
        sent.took(video(1, 1));
        sent.took(video(3, 2));
        sent.only(moved);
        assert_eq!(sent.shown(), [("egress-1".to_owned(), [8, 800, 3, 2, 1])]);
        sent.only(owners(&[]));
        sent.took(video(3, 1));
        assert!(sent.shown().is_empty());
        sent.only(owners(&[("egress-1", 1)]));
        sent.took(video(1, 1));
        assert_eq!(sent.shown(), [("egress-1".to_owned(), [9, 900, 3, 2, 1])]);
    }
}
