//! The mountpoints: what is wanted (sessions of the tree, and what was asked for by HTTP) and what there is become
//! commands. Pure; carrying them out is somebody else's.
//!
//! A mountpoint is *reserved* first (name, ports, SSRCs), then *made* in Janus, or *undone* if Janus refuses. It keeps what
//! it has reserved when Janus is gone, and is made again with the same when Janus is back.

#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet};

use node::media::{PerKind, Ssrc, VideoCodec};

use crate::portpool::{Pair, PortPool};

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
    /// Its number in Janus.
    pub id: u64,
    /// SSRCs.
    pub ssrcs: PerKind<Ssrc>,
    /// Codec of its video.
    pub codec: VideoCodec,
    /// Where Janus takes its streams.
    pub ports: Pair,
    /// Janus has it.
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
    /// Another session has the number in Janus.
    #[error("room {room} belongs to session {by}")]
    RoomTaken { room: u64, by: String },
    /// No ports are left of so many pairs.
    #[error("all {0} pairs of ports are in use; raise PORT_POOL_SIZE")]
    PortsUsedUp(u16),
}

/// One step from what there is to what is wanted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Step {
    /// Make the mountpoint of a session: reserve it, unless it is, and have Janus make it.
    Make(Spec),
    /// End the mountpoint of a session.
    End(String),
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
    refused: BTreeMap<String, String>,
    pool: PortPool,
}

impl Books {
    /// Nothing yet.
    pub fn new(pool: PortPool) -> Books {
        Books {
            tree: BTreeMap::new(),
            asked: BTreeMap::new(),
            dismissed: BTreeSet::new(),
            have: BTreeMap::new(),
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
    pub fn pool(&self) -> &PortPool {
        &self.pool
    }

    /// Sessions that should have a mountpoint and have none, and why.
    pub fn refused(&self) -> &BTreeMap<String, String> {
        &self.refused
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
        let missing = |session: &str| {
            ending.contains(session) || self.have.get(session).is_none_or(|mountpoint| !mountpoint.made)
        };
        let made = wanted.iter().filter(|(session, _)| missing(session));
        let end = ending.iter().map(|session| Step::End((*session).to_owned()));
        end.chain(made.map(|(_, spec)| Step::Make((*spec).clone()))).collect()
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
        for other in self.have.values() {
            if let Some(ssrc) = spec.ssrcs.into_array().into_iter().find(|ssrc| other.ssrcs.contains(ssrc)) {
                return Err(Refusal::SsrcTaken { ssrc, by: other.session.clone() });
            }
            if spec.room == Some(other.id) {
                return Err(Refusal::RoomTaken { room: other.id, by: other.session.clone() });
            }
        }
        let ports = self.pool.take().ok_or_else(|| Refusal::PortsUsedUp(self.pool.view().capacity))?;
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

    /// Janus has made it.
    pub fn made(&mut self, session: &str) {
        self.refused.remove(session);
        if let Some(mountpoint) = self.have.get_mut(session) {
            mountpoint.made = true;
        }
    }

    /// Janus has refused it: nothing of it is left, nor is it tried again for whoever asked.
    pub fn undo(&mut self, session: &str) {
        self.asked.remove(session);
        self.remove(session);
    }

    /// A session of the tree cannot be shown.
    pub fn refuse(&mut self, session: &str, why: String) {
        self.refused.insert(session.to_owned(), why);
    }

    /// It has ended in Janus.
    pub fn remove(&mut self, session: &str) -> Option<Mountpoint> {
        let mountpoint = self.have.remove(session)?;
        let given_back = self.pool.give_back(mountpoint.ports);
        debug_assert!(given_back, "its ports were taken from this pool");
        Some(mountpoint)
    }

    /// Somebody wants a mountpoint to end. `false`: there is none.
    pub fn dismiss(&mut self, session: &str) -> bool {
        let known = self.have.contains_key(session);
        self.asked.remove(session);
        if known && self.tree.contains_key(session) {
            self.dismissed.insert(session.to_owned());
        }
        known
    }

    /// Janus has forgotten everything.
    pub fn forgotten(&mut self) {
        for mountpoint in self.have.values_mut() {
            mountpoint.made = false;
        }
    }

    /// Janus has forgotten one.
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
