//! What must be so.

use std::collections::BTreeSet;

use node::media::{PerKind, Ssrc};

use super::{PAIRS, SESSIONS, World};
use crate::mountpoints::Mountpoint;
use crate::notices::Happened;

impl World {
    /// What viewers are told makes sense, one after the other.
    pub fn hear(&mut self) {
        while let Ok(notice) = self.listener.try_recv() {
            let told = self.told.entry(notice.session_id.clone()).or_default();
            let last = told.last().map(|last| (last.happened, last.cut_off));
            let makes_sense = match (last, notice.happened) {
                (None | Some((Happened::Ended, _)), happened) => happened == Happened::Started,
                (Some(_), Happened::Started | Happened::Ended) => true,
                (Some(last), happened) => last != (happened, notice.cut_off),
            };
            assert!(makes_sense, "{}: {:?} after {last:?}", notice.session_id, notice.happened);
            told.push(notice);
        }
    }

    /// What must be so when everything has been carried out.
    pub fn check(&self) {
        assert!(self.doing.is_empty());
        let made: BTreeSet<&str> = self
            .books
            .all()
            .filter(|mountpoint| mountpoint.made)
            .map(|mountpoint| &*mountpoint.session)
            .collect();
        let all: Vec<&Mountpoint> = self.books.all().collect();
        let pool = self.books.pool().unwrap().view();
        assert_eq!(usize::from(pool.allocated), all.len(), "pairs of ports without a mountpoint");
        let there: BTreeSet<&str> = self.out.mountpoints.iter().map(String::as_str).collect();
        assert_eq!(there, made, "in the server, and in the books");
        let open: BTreeSet<Ssrc> = self.routes.keys().copied().collect();
        let wanted = all.iter().flat_map(|mountpoint| mountpoint.ssrcs.into_array()).collect();
        assert!(open.is_subset(&wanted), "streams without a mountpoint: {open:?}");
        let awaited: BTreeSet<Ssrc> = SESSIONS
            .iter()
            .filter_map(|name| self.books.released(name))
            .flat_map(PerKind::into_array)
            .collect();
        assert_eq!(self.awaited, awaited, "streams that are waited for");
        if self.drains || self.node.standing().cut().is_some() {
            self.nobody_could_be_elsewhere();
        }
        for (viewer, session, ()) in self.viewers.all() {
            assert!(made.contains(session), "{viewer} watches {session}, which has no mountpoint");
        }
        let standing = self.node.standing();
        if standing.is_released() {
            assert!(all.is_empty(), "released, and there are mountpoints");
        }
        for name in SESSIONS {
            let last = self.told.get(name).and_then(|told| told.last());
            match (last, self.books.wants(name)) {
                (None, _) => {}
                (Some(last), false) => assert_eq!(last.happened, Happened::Ended, "{name} has ended"),
                // It has changed, which ends it, and cannot be shown yet.
                (Some(last), true) if last.happened == Happened::Ended => {
                    assert!(
                        !made.contains(name),
                        "{name} goes on, and its viewers were told that it has ended"
                    );
                }
                (Some(last), true) => {
                    let cut_off = standing.dark().is_some();
                    assert_eq!(last.cut_off, cut_off, "{name}: {standing:?}, and viewers were told {last:?}");
                }
            }
            if self.books.wants(name) && self.link && !standing.is_released() {
                assert!(
                    made.contains(name) || self.books.refused().contains_key(name),
                    "{name} has no mountpoint"
                );
            }
        }
        // Cut off is who has been detached, whatever else there is.
        if !self.out.child && !self.parent && self.had_parent && self.out.redis {
            assert!(standing.is_released(), "{standing:?}");
        }
        // Nobody publishes: that is no reason.
        if self.out.child
            && self.out.parent
            && self.parent
            && self.out.publishing.is_empty()
            && self.out.redis
        {
            assert!(standing.cut().is_none(), "{standing:?}");
        }
    }

    /// Everything is well again, and so is everything here, by itself.
    pub fn heal(&mut self) {
        let out = &mut self.out;
        (out.parent, out.child, out.way, out.redis) = (true, true, true, true);
        self.server(true);
        let all = self.out.sessions.values().flat_map(|spec| spec.ssrcs.into_array()).collect();
        self.out.publishing = all;
        self.settle();
        assert!(self.node.standing().cut().is_none());
        for mountpoint in self.books.all() {
            let name = &mountpoint.session;
            // One that was asked for by hand may be of a session that ended before the tree knew of it.
            if self.out.sessions.get(name).is_some_and(|spec| spec.ssrcs == mountpoint.ssrcs) {
                let last = self.told[name].last().map(|notice| notice.happened);
                assert!(matches!(last, Some(Happened::Back | Happened::Started)), "{name}: {last:?}");
                assert!(self.notices.is_active(name), "{name} plays on");
            }
        }
        let shown = self.books.all().count();
        let wanted = SESSIONS.iter().filter(|name| self.books.wants(name)).count();
        assert_eq!(shown, wanted.min(PAIRS.into()), "{:?}", self.books.refused());
    }
}
