//! Viewers: where they are sent, and moved to, by what the directory says.

use std::collections::{BTreeMap, BTreeSet};

use node::directory::choice::{Wish, choose};
use node::directory::{Entry, Particulars};
use node::record::NodeType;
use rand::Rng;
use rand::rngs::StdRng;

use super::World;

/// Viewers that an egress takes.
const MOST: u32 = 3;
const HERE: &str = "egress-1";
const THERE: &str = "egress-2";

/// Another egress.
#[derive(Default)]
pub struct Other {
    carries: BTreeSet<String>,
    cut_off: bool,
    viewers: u32,
}

impl Other {
    /// It has a mountpoint more or less, is cut off or attached, and viewers leave.
    pub fn changes(&mut self, session: &str, rng: &mut StdRng) {
        if !self.carries.remove(session) {
            self.carries.insert(session.to_owned());
        }
        self.cut_off = rng.random_bool(0.3);
        self.viewers = rng.random_range(0..=MOST);
    }
}

impl World {
    /// Somebody wants to watch: comes here, goes elsewhere, or nowhere.
    pub fn comes(&mut self, session: &str) {
        let viewer: u32 = self.rng.random();
        match self.place(session, viewer, None).as_deref() {
            Some(HERE) => {
                assert!(!self.drains && self.node.standing().cut().is_none(), "nobody is sent here");
                // The directory may be behind what the server has.
                if self.link && self.out.mountpoints.contains(session) {
                    self.viewers.begin(&viewer.to_string(), session, ());
                    self.viewers.connected(&viewer.to_string());
                }
            }
            Some(_) => self.other.viewers += 1,
            None => {}
        }
    }

    /// Those who had better not be here go to where they can watch.
    pub fn move_away(&mut self) {
        if !self.drains && self.node.standing().cut().is_none() {
            return;
        }
        let all: Vec<(String, String)> =
            self.viewers.all().map(|(id, session, ())| (id.to_owned(), session.to_owned())).collect();
        for (id, session) in all {
            if let Some(place) = self.place(&session, 7, Some(HERE)) {
                assert!(
                    place == THERE && self.other.carries.contains(&session),
                    "{id} is moved to where it is not"
                );
                assert!(
                    !self.other.cut_off && self.other.viewers < MOST,
                    "{id} is moved to where nobody is to go"
                );
                self.other.viewers += 1;
                self.viewers.end(&id);
            }
        }
    }

    /// Whoever is still here has nowhere to go.
    pub fn nobody_could_be_elsewhere(&self) {
        for (id, session, ()) in self.viewers.all() {
            assert_eq!(self.place(session, 7, Some(HERE)), None, "{id} of {session} could be elsewhere");
        }
    }

    fn place(&self, session: &str, viewer: u32, not: Option<&str>) -> Option<String> {
        let mut nodes = BTreeMap::new();
        if self.books.get(session).is_some_and(|mountpoint| mountpoint.made) {
            let cut_off = self.node.standing().cut().is_some();
            let viewers = self.viewers.count().0 as u32;
            nodes.insert(HERE.to_owned(), entry(self.drains, cut_off, viewers));
        }
        if self.other.carries.contains(session) {
            nodes.insert(THERE.to_owned(), entry(false, self.other.cut_off, self.other.viewers));
        }
        let wish = Wish { viewer: viewer.into(), not, ..Wish::default() };
        choose(&nodes, &wish).map(str::to_owned)
    }
}

fn entry(draining: bool, cut_off: bool, viewers: u32) -> Entry {
    Entry {
        node_type: NodeType::Egress,
        url: String::new(),
        zone: String::new(),
        status: "active".to_owned(),
        parent: None,
        particulars: Particulars { draining, cut_off, viewers, max_viewers: MOST, ..Particulars::default() },
    }
}
