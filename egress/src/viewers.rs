//! Who watches: counted are those whose connection is really up. Pure.

use std::collections::{BTreeMap, BTreeSet};

/// Viewers by name, each with what belongs to it (`T`: how Janus is asked about it).
#[derive(Clone, Debug)]
pub struct Viewers<T> {
    all: BTreeMap<String, Viewer<T>>,
    /// How many are connected to a session: asked for each, again and again.
    connected: BTreeMap<String, usize>,
    served: u64,
}

#[derive(Clone, Debug)]
struct Viewer<T> {
    session: String,
    connected: bool,
    belongs: T,
}

impl<T> Default for Viewers<T> {
    fn default() -> Self {
        Viewers { all: BTreeMap::new(), connected: BTreeMap::new(), served: 0 }
    }
}

impl<T: Clone> Viewers<T> {
    /// Somebody wants to watch a session.
    pub fn begin(&mut self, id: &str, session: &str, belongs: T) {
        let viewer = Viewer { session: session.to_owned(), connected: false, belongs };
        self.all.insert(id.to_owned(), viewer);
    }

    /// Its connection is up. `false`: it has gone meanwhile.
    pub fn connected(&mut self, id: &str) -> bool {
        let Some(viewer) = self.all.get_mut(id) else { return false };
        if !std::mem::replace(&mut viewer.connected, true) {
            self.served += 1;
            *self.connected.entry(viewer.session.clone()).or_default() += 1;
        }
        true
    }

    /// What belongs to a viewer of this session.
    pub fn get(&self, session: &str, id: &str) -> Option<T> {
        self.all.get(id).filter(|viewer| viewer.session == session).map(|viewer| viewer.belongs.clone())
    }

    /// The same, to be changed.
    pub fn get_mut(&mut self, session: &str, id: &str) -> Option<&mut T> {
        self.all.get_mut(id).filter(|viewer| viewer.session == session).map(|viewer| &mut viewer.belongs)
    }

    /// It has gone; gives what belonged to it, once.
    pub fn end(&mut self, id: &str) -> Option<T> {
        let viewer = self.all.remove(id)?;
        if viewer.connected
            && let Some(connected) = self.connected.get_mut(&viewer.session)
        {
            *connected -= 1;
            if *connected == 0 {
                self.connected.remove(&viewer.session);
            }
        }
        Some(viewer.belongs)
    }

    /// All of a session have gone.
    pub fn end_session(&mut self, session: &str) -> Vec<T> {
        self.connected.remove(session);
        self.all
            .extract_if(.., |_, viewer| viewer.session == session)
            .map(|(_, viewer)| viewer.belongs)
            .collect()
    }

    /// All who are connected: name, session, and what belongs to each.
    pub fn all(&self) -> impl Iterator<Item = (&str, &str, &T)> {
        let connected = self.all.iter().filter(|(_, viewer)| viewer.connected);
        connected.map(|(id, viewer)| (id.as_str(), viewer.session.as_str(), &viewer.belongs))
    }

    /// The same of all, whether they are connected or about to be.
    pub fn everybody(&self) -> impl Iterator<Item = (&str, &str, &T)> {
        self.all.iter().map(|(id, viewer)| (id.as_str(), viewer.session.as_str(), &viewer.belongs))
    }

    /// All have gone.
    pub fn clear(&mut self) {
        self.all.clear();
        self.connected.clear();
    }

    /// How many are connected to a session.
    pub fn of(&self, session: &str) -> usize {
        self.connected.get(session).copied().unwrap_or_default()
    }

    /// Sessions that somebody watches, or is about to.
    pub fn watched(&self) -> BTreeSet<&str> {
        self.all.values().map(|viewer| viewer.session.as_str()).collect()
    }

    /// How many are connected, and how many are about to be.
    pub fn count(&self) -> (usize, usize) {
        let connected = self.connected.values().sum();
        (connected, self.all.len() - connected)
    }

    /// How many have been connected since the start.
    pub fn served(&self) -> u64 {
        self.served
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_those_who_are_connected_count() {
        let mut viewers = Viewers::default();
        for (id, session) in [("a", "s1"), ("b", "s1"), ("c", "s2")] {
            viewers.begin(id, session, id.len());
        }
        assert_eq!((viewers.of("s1"), viewers.count()), (0, (0, 3)));
        assert!(viewers.connected("a") && viewers.connected("a") && viewers.connected("c"));
        assert_eq!((viewers.of("s1"), viewers.of("s2"), viewers.count()), (1, 1, (2, 1)));
        assert_eq!(viewers.get("s2", "a"), None, "it watches something else");
        assert_eq!((viewers.end("a"), viewers.end("a")), (Some(1), None));
        assert!(!viewers.connected("a"));
        assert_eq!(viewers.end_session("s1").len(), 1);
        assert_eq!((viewers.count(), viewers.served(), viewers.of("s1")), ((1, 0), 2, 0));
        assert_eq!(viewers.end("c"), Some(1));
        assert_eq!((viewers.count(), viewers.of("s2"), viewers.connected.len()), ((0, 0), 0, 0));
    }
}
