//! The mountpoints: what is wanted (sessions of the tree, and what was asked for by HTTP) and what there is become
//! commands. Pure; carrying them out is somebody else's.
//!
//! A mountpoint is *reserved* first (name, SSRCs, and ports if there is a pool of these), then *made* in the server, or *undone*
//! if the server refuses. It keeps what it has reserved when the server is gone, and is made again with the same when it is back.

#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet};

use node::media::{PerKind, Ssrc, VideoCodec};

use crate::lifecycle::acts::{self, Act};
use crate::portpool::{Pair, PortPool};

/// Largest number of a room, and of a mountpoint: what JavaScript can hold.
const LARGEST_ROOM: u64 = (1 << 53) - 1;

/// Mountpoints at once where no pool of ports bounds them: each keeps packets for a while.
const MOST: usize = 1_000;

/// What a mountpoint is to be: a session as it is to be shown.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Spec {
    /// `sessionId`.
    pub session: String,
    /// SSRCs.
    pub ssrcs: PerKind<Ssrc>,
    /// The session's room, when known: the mountpoint's number.
    pub room: Option<u64>,
    /// Codec of its video.
    pub codec: VideoCodec,
}

/// A mountpoint that there is, or is about to be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mountpoint {
    /// `sessionId`.
    pub session: String,
    /// Its number in the server.
    pub id: u64,
    /// SSRCs.
    pub ssrcs: PerKind<Ssrc>,
    /// Codec of its video.
    pub codec: VideoCodec,
    /// Where the server takes its streams, if that is by ports.
    pub ports: Option<Pair>,
    /// The server has it.
    pub made: bool,
    /// It was made for a session of the tree, without being asked for.
    pub automatic: bool,
    /// ms since 1970.
    pub created: u64,
}

/// Why there will be no mountpoint.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// One SSRC for two streams.
    #[error("audio and video have the same SSRC {0}")]
    SameSsrc(Ssrc),
    /// The tree has the session, and says other SSRCs: audio, video.
    #[error("session {session} has the SSRCs {} (audio) and {} (video) in the tree", .ssrcs.audio, .ssrcs.video)]
    OtherSsrcs { session: String, ssrcs: PerKind<Ssrc> },
    /// Somebody asked for it before.
    #[error("session {0} has a mountpoint already")]
    Exists(String),
    /// Another session has the SSRC.
    #[error("SSRC {ssrc} belongs to session {by}")]
    SsrcTaken { ssrc: Ssrc, by: String },
    /// Another session has the number in the server.
    #[error("room {room} belongs to session {by}")]
    RoomTaken { room: u64, by: String },
    /// No ports are left of so many pairs.
    #[error("all {0} pairs of ports are in use; raise port-pool-size")]
    PortsUsedUp(u16),
    /// None is left that Janus can take.
    #[error("{used} of {all} pairs of ports are in use, and Janus can take none of the others; {why}")]
    PortsHeld { used: u16, all: u16, why: String },
    /// There are so many already.
    #[error("there are {0} mountpoints, and no more may be")]
    TooMany(usize),
    /// A stream cannot be told from others.
    #[error("an SSRC must be a number from 1 to 4294967295, not 0")]
    NoSsrc,
    /// A number that no mountpoint can have.
    #[error("roomId must be a number from 1 to {LARGEST_ROOM}, not {0}")]
    BadRoom(u64),
}

/// Whose fault it is that a session is not shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// The session's own: it clashes with another, or is one too many. The others do not suffer.
    Session,
    /// The node's, or its server's: others would fare no better.
    Node,
}

impl Refusal {
    /// Whose fault it is.
    pub fn fault(&self) -> Fault {
        match self {
            Refusal::PortsHeld { .. } => Fault::Node,
            _ => Fault::Session,
        }
    }
}

/// A session that should have a mountpoint and has none.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refused {
    /// Why, in words.
    pub why: String,
    /// Whose fault it is.
    pub fault: Fault,
}

/// One step from what there is to what is wanted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Step {
    /// Make the mountpoint of a session: reserve it, unless it is, and have the server make it.
    Make(Spec),
    /// End the mountpoint of a session, or what is left of one that was released.
    End(String),
    /// End the mountpoint of a session that goes on: it is made again when this node is attached to its tree again.
    Release(String),
}

/// Answer to somebody who asks for a mountpoint.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Asked {
    /// It is there already, made for a session of the tree.
    Exists(Box<Mountpoint>),
    /// It is reserved; to be made now.
    Reserved(Box<Mountpoint>),
}

/// Everything that is known about mountpoints.
#[derive(Clone, Debug)]
pub struct Books {
    tree: BTreeMap<String, Spec>,
    asked: BTreeMap<String, Spec>,
    /// Ended by hand although the tree still has the session: not made again for the tree.
    dismissed: BTreeSet<String>,
    have: BTreeMap<String, Mountpoint>,
    /// There are to be no mountpoints at present.
    releases: bool,
    /// Those that were, by their sessions, whose viewers wait; each with its SSRCs.
    released: BTreeMap<String, PerKind<Ssrc>>,
    refused: BTreeMap<String, Refused>,
    pool: Option<PortPool>,
}

impl Books {
    /// Nothing yet. `pool`: ports for mountpoints, if they need any.
    pub fn new(pool: Option<PortPool>) -> Books {
        Books {
            tree: BTreeMap::new(),
            asked: BTreeMap::new(),
            dismissed: BTreeSet::new(),
            have: BTreeMap::new(),
            releases: false,
            released: BTreeMap::new(),
            refused: BTreeMap::new(),
            pool,
        }
    }

    /// All mountpoints, by session.
    pub fn all(&self) -> impl Iterator<Item = &Mountpoint> {
        self.have.values()
    }

    /// One of them.
    pub fn get(&self, session: &str) -> Option<&Mountpoint> {
        self.have.get(session)
    }

    /// The ports.
    pub fn pool(&self) -> Option<&PortPool> {
        self.pool.as_ref()
    }

    /// Sessions that should have a mountpoint and have none, and why.
    pub fn refused(&self) -> &BTreeMap<String, Refused> {
        &self.refused
    }

    /// A session is to have a mountpoint, whether or not it has one.
    pub fn wants(&self, session: &str) -> bool {
        let dismissed = self.dismissed.contains(session);
        self.asked.contains_key(session) || (self.tree.contains_key(session) && !dismissed)
    }

    /// Whether there are to be mountpoints at all: none while the node is cut off for longer than its grace. Gives whether that is
    /// new.
    pub fn release(&mut self, releases: bool) -> bool {
        std::mem::replace(&mut self.releases, releases) != releases
    }

    /// Sessions whose mountpoint was released, and whose viewers wait.
    pub fn waiting(&self) -> impl Iterator<Item = &String> {
        self.released.keys()
    }

    /// The SSRCs of a session whose mountpoint was released.
    pub fn released(&self, session: &str) -> Option<PerKind<Ssrc>> {
        self.released.get(session).copied()
    }

    /// Why the node cannot show anything: no session has a mountpoint, and not by its own fault. One session, or some, that
    /// cannot be shown are no reason to send viewers of the others away.
    pub fn trouble(&self) -> Option<String> {
        let (session, refused) = self.refused.iter().find(|(_, refused)| refused.fault == Fault::Node)?;
        let shown = self.have.values().any(|mountpoint| mountpoint.made);
        (!shown).then(|| format!("no session has a mountpoint; session {session}: {}", refused.why))
    }

    /// The tree has a session, or it is another than it was.
    pub fn begins(&mut self, spec: Spec) {
        self.tree.insert(spec.session.clone(), spec);
    }

    /// The tree has a session no more.
    pub fn ends(&mut self, session: &str) {
        if self.tree.remove(session).is_some() {
            // It ends for good, whoever asked for it besides.
            self.asked.remove(session);
            self.dismissed.remove(session);
        }
        if !self.asked.contains_key(session) {
            self.refused.remove(session);
        }
    }

    /// What follows: first what is to end, then what is to be made, or made again.
    pub fn plan(&self) -> Vec<Step> {
        let wanted = self.wanted();
        let stale = |mountpoint: &&Mountpoint| match wanted.get(mountpoint.session.as_str()) {
            None => true,
            Some(spec) => {
                spec.ssrcs != mountpoint.ssrcs
                    || spec.codec != mountpoint.codec
                    || spec.room.is_some_and(|room| room != mountpoint.id)
            }
        };
        let ending: BTreeSet<&str> =
            self.have.values().filter(stale).map(|mountpoint| mountpoint.session.as_str()).collect();
        let over = self.released.keys().filter(|session| !wanted.contains_key(session.as_str()));
        let over = over.map(|session| Step::End(session.clone()));
        if self.releases {
            let releasing = self.have.keys().map(|session| match wanted.contains_key(session.as_str()) {
                true => Step::Release(session.clone()),
                false => Step::End(session.clone()),
            });
            return over.chain(releasing).collect();
        }
        let missing = |session: &str| {
            ending.contains(session) || self.have.get(session).is_none_or(|mountpoint| !mountpoint.made)
        };
        let made = wanted.iter().filter(|(session, _)| missing(session));
        let end = ending.iter().map(|session| Step::End((*session).to_owned()));
        over.chain(end).chain(made.map(|(_, spec)| Step::Make((*spec).clone()))).collect()
    }

    /// Somebody asks for a mountpoint. When it is reserved, [`Books::made`] or [`Books::undo`] must follow.
    pub fn ask(&mut self, mut spec: Spec, now: u64) -> Result<Asked, Refusal> {
        if let Some(tree) = self.tree.get(&spec.session) {
            if tree.ssrcs != spec.ssrcs {
                return Err(Refusal::OtherSsrcs { session: spec.session, ssrcs: tree.ssrcs });
            }
            spec = tree.clone();
        }
        if let Some(mountpoint) = self.have.get(&spec.session).filter(|mountpoint| mountpoint.made) {
            if mountpoint.automatic && mountpoint.ssrcs == spec.ssrcs {
                return Ok(Asked::Exists(Box::new(mountpoint.clone())));
            }
            return Err(Refusal::Exists(spec.session));
        }
        let mountpoint = self.reserve(&spec, false, now)?;
        self.dismissed.remove(&spec.session);
        if !self.tree.contains_key(&spec.session) {
            self.asked.insert(spec.session.clone(), spec);
        }
        Ok(Asked::Reserved(Box::new(mountpoint)))
    }

    /// Sets aside what a mountpoint needs. One that is reserved already stays as it is.
    pub fn reserve(&mut self, spec: &Spec, automatic: bool, now: u64) -> Result<Mountpoint, Refusal> {
        if let Some(mountpoint) = self.have.get(&spec.session) {
            return Ok(mountpoint.clone());
        }
        let PerKind { audio, video } = spec.ssrcs;
        if audio == video {
            return Err(Refusal::SameSsrc(audio));
        }
        if audio.0 == 0 || video.0 == 0 {
            return Err(Refusal::NoSsrc);
        }
        // Janus would draw a number of its own, and nobody would find that mountpoint again.
        if let Some(room) = spec.room.filter(|room| !(1..=LARGEST_ROOM).contains(room)) {
            return Err(Refusal::BadRoom(room));
        }
        for other in self.have.values() {
            if let Some(ssrc) = spec.ssrcs.into_array().into_iter().find(|ssrc| other.ssrcs.contains(ssrc)) {
                return Err(Refusal::SsrcTaken { ssrc, by: other.session.clone() });
            }
            if spec.room == Some(other.id) {
                return Err(Refusal::RoomTaken { room: other.id, by: other.session.clone() });
            }
        }
        let ports = match &mut self.pool {
            None if self.have.len() >= MOST => return Err(Refusal::TooMany(MOST)),
            None => None,
            Some(pool) => Some(pool.take(now).ok_or_else(|| no_ports(pool))?),
        };
        let mountpoint = Mountpoint {
            session: spec.session.clone(),
            id: spec.room.unwrap_or_else(|| self.number(&spec.session)),
            ssrcs: spec.ssrcs,
            codec: spec.codec,
            ports,
            made: false,
            automatic,
            created: now,
        };
        self.have.insert(spec.session.clone(), mountpoint.clone());
        Ok(mountpoint)
    }

    /// The server cannot take a mountpoint's ports: gives it with others. `why`: who has them.
    pub fn other_ports(&mut self, session: &str, why: String, now: u64) -> Result<Mountpoint, Refusal> {
        let Some(pool) = &mut self.pool else { return Err(Refusal::PortsUsedUp(0)) };
        let Some(mountpoint) = self.have.get_mut(session) else { return Err(no_ports(pool)) };
        let Some(held) = mountpoint.ports else { return Err(no_ports(pool)) };
        // It stays this session's until there is another: what is given back is the lowest that is free.
        pool.set_aside(held, why, now);
        let ports = pool.take(now).ok_or_else(|| no_ports(pool))?;
        pool.give_back(held);
        mountpoint.ports = Some(ports);
        Ok(mountpoint.clone())
    }

    /// The server has made it.
    pub fn made(&mut self, session: &str) {
        self.refused.remove(session);
        self.released.remove(session);
        if let Some(mountpoint) = self.have.get_mut(session) {
            mountpoint.made = true;
            if let (Some(pool), Some(ports)) = (&mut self.pool, mountpoint.ports) {
                pool.works(ports);
            }
        }
    }

    /// The server has refused it: nothing of it is left. If viewers have seen it before, they wait; if not, nobody does.
    pub fn failed(&mut self, session: &str, seen: bool) {
        match seen {
            true => self.keep(session),
            false => self.forget(session),
        }
    }

    /// The same of one that somebody asked for: it is not tried again.
    pub fn undo(&mut self, session: &str, seen: bool) {
        self.asked.remove(session);
        self.failed(session, seen);
    }

    /// A session of the tree cannot be shown.
    pub fn refuse(&mut self, session: &str, refused: Refused) {
        self.refused.insert(session.to_owned(), refused);
    }

    /// It has ended in the server.
    pub fn remove(&mut self, session: &str) -> Option<Mountpoint> {
        let mountpoint = self.have.remove(session)?;
        if let (Some(pool), Some(ports)) = (&mut self.pool, mountpoint.ports) {
            let given_back = pool.give_back(ports);
            debug_assert!(given_back, "its ports were taken from this pool");
        }
        Some(mountpoint)
    }

    /// What is to be done when this session ends.
    pub fn ending(&self, session: &str) -> &'static [Act] {
        match (self.have.contains_key(session), self.released.contains_key(session)) {
            (true, _) => acts::ENDING,
            (false, true) => acts::GIVING_UP,
            (false, false) => &[],
        }
    }

    /// The same, and its session has ended, too.
    pub fn forget(&mut self, session: &str) {
        self.remove(session);
        self.released.remove(session);
    }

    /// It has been released in the server: its session goes on.
    pub fn keep(&mut self, session: &str) {
        if let Some(mountpoint) = self.remove(session) {
            self.released.insert(session.to_owned(), mountpoint.ssrcs);
        }
    }

    /// Somebody wants a mountpoint to end. `false`: there is none.
    pub fn dismiss(&mut self, session: &str) -> bool {
        let known = self.have.contains_key(session) || self.released.contains_key(session);
        self.asked.remove(session);
        if known && self.tree.contains_key(session) {
            self.dismissed.insert(session.to_owned());
        }
        known
    }

    /// The server has forgotten everything.
    pub fn forgotten(&mut self) {
        for mountpoint in self.have.values_mut() {
            mountpoint.made = false;
        }
    }

    /// The server has forgotten one.
    pub fn lost(&mut self, session: &str) {
        if let Some(mountpoint) = self.have.get_mut(session) {
            mountpoint.made = false;
        }
    }

    fn wanted(&self) -> BTreeMap<&str, &Spec> {
        let tree = self.tree.iter().filter(|(session, _)| !self.dismissed.contains(*session));
        // What the tree says wins over what was asked before the tree had it.
        self.asked.iter().chain(tree).map(|(session, spec)| (session.as_str(), spec)).collect()
    }

    /// A number for a session whose room is not known: the same at every start, unless it is taken.
    fn number(&self, session: &str) -> u64 {
        let hash = session
            .bytes()
            .fold(0x811c_9dc5_u32, |hash, byte| (hash ^ u32::from(byte)).wrapping_mul(0x0100_0193));
        let taken: BTreeSet<u64> = self.have.values().map(|mountpoint| mountpoint.id).collect();
        let rooms: BTreeSet<u64> = self.tree.values().filter_map(|spec| spec.room).collect();
        let mut number = u64::from(hash >> 1).max(1);
        while taken.contains(&number) || rooms.contains(&number) {
            number += 1;
        }
        number
    }
}

/// Why there is no pair of ports.
fn no_ports(pool: &PortPool) -> Refusal {
    let (view, why) = (pool.view(), pool.troubles().join("; "));
    match why.is_empty() {
        true => Refusal::PortsUsedUp(view.capacity),
        false => Refusal::PortsHeld { used: view.allocated, all: view.capacity, why },
    }
}
