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

/// A session as it is to be shown.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Wish {
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
    pub by_itself: bool,
    /// ms since 1970.
    pub created: u64,
}

/// Why there will be no mountpoint.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// What was asked for makes no sense.
    #[error("{0}")]
    Bad(String),
    /// Something of it is in use.
    #[error("{0}")]
    Taken(String),
    /// No ports are left.
    #[error("{0}")]
    Full(String),
}

/// What is to be done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Command {
    /// Make the mountpoint of a session: reserve it, unless it is, and have Janus make it.
    Make(Wish),
    /// End the mountpoint of a session.
    End(String),
}

/// Answer to somebody who asks for a mountpoint.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Asked {
    /// It is there already, made by itself.
    Exists(Box<Mountpoint>),
    /// It is reserved; to be made now.
    Reserved(Box<Mountpoint>),
}

/// Everything that is known about mountpoints.
#[derive(Clone, Debug)]
pub struct Books {
    tree: BTreeMap<String, Wish>,
    asked: BTreeMap<String, Wish>,
    /// Ended by hand although the tree still has the session: not made again by themselves.
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

    /// These are the sessions of the tree now.
    pub fn sessions(&mut self, sessions: Vec<Wish>) {
        let before = std::mem::take(&mut self.tree);
        self.tree = sessions.into_iter().map(|wish| (wish.session.clone(), wish)).collect();
        for session in before.keys().filter(|session| !self.tree.contains_key(*session)) {
            // A session that the tree had ends for good, whoever asked for it besides.
            self.asked.remove(session);
            self.dismissed.remove(session);
        }
        let (tree, asked) = (&self.tree, &self.asked);
        self.refused.retain(|session, _| tree.contains_key(session) || asked.contains_key(session));
    }

    /// What follows: first what is to end, then what is to be made, or made again.
    pub fn plan(&self) -> Vec<Command> {
        let wanted = self.wanted();
        let stale = |mountpoint: &&Mountpoint| match wanted.get(mountpoint.session.as_str()) {
            None => true,
            Some(wish) => {
                wish.ssrcs != mountpoint.ssrcs
                    || wish.codec != mountpoint.codec
                    || wish.room.is_some_and(|room| room != mountpoint.id)
            }
        };
        let ending: BTreeSet<&str> =
            self.have.values().filter(stale).map(|mountpoint| mountpoint.session.as_str()).collect();
        let missing = |session: &str| {
            ending.contains(session) || self.have.get(session).is_none_or(|mountpoint| !mountpoint.made)
        };
        let made = wanted.iter().filter(|(session, _)| missing(session));
        let end = ending.iter().map(|session| Command::End((*session).to_owned()));
        end.chain(made.map(|(_, wish)| Command::Make((*wish).clone()))).collect()
    }

    /// Somebody asks for a mountpoint. When it is reserved, [`Books::made`] or [`Books::undo`] must follow.
    pub fn ask(&mut self, mut wish: Wish, now: u64) -> Result<Asked, Refusal> {
        if let Some(tree) = self.tree.get(&wish.session) {
            if tree.ssrcs != wish.ssrcs {
                return Err(Refusal::Taken(format!(
                    "session {} has the SSRCs {} (audio) and {} (video) in the tree",
                    wish.session, tree.ssrcs.audio, tree.ssrcs.video
                )));
            }
            wish = tree.clone();
        }
        if let Some(mountpoint) = self.have.get(&wish.session).filter(|mountpoint| mountpoint.made) {
            if mountpoint.by_itself && mountpoint.ssrcs == wish.ssrcs {
                return Ok(Asked::Exists(Box::new(mountpoint.clone())));
            }
            return Err(Refusal::Taken(format!("session {} has a mountpoint already", wish.session)));
        }
        let mountpoint = self.reserve(&wish, false, now)?;
        self.dismissed.remove(&wish.session);
        if !self.tree.contains_key(&wish.session) {
            self.asked.insert(wish.session.clone(), wish);
        }
        Ok(Asked::Reserved(Box::new(mountpoint)))
    }

    /// Sets aside what a mountpoint needs. One that is reserved already stays as it is.
    pub fn reserve(&mut self, wish: &Wish, by_itself: bool, now: u64) -> Result<Mountpoint, Refusal> {
        if let Some(mountpoint) = self.have.get(&wish.session) {
            return Ok(mountpoint.clone());
        }
        let PerKind { audio, video } = wish.ssrcs;
        if audio == video {
            return Err(Refusal::Bad(format!("audio and video have the same SSRC {audio}")));
        }
        for other in self.have.values() {
            if let Some(ssrc) = wish.ssrcs.into_array().into_iter().find(|ssrc| other.ssrcs.contains(ssrc)) {
                return Err(Refusal::Taken(format!("SSRC {ssrc} belongs to session {}", other.session)));
            }
            if wish.room == Some(other.id) {
                return Err(Refusal::Taken(format!(
                    "room {} belongs to session {}",
                    other.id, other.session
                )));
            }
        }
        let ports = self.pool.take().ok_or_else(|| {
            let view = self.pool.view();
            Refusal::Full(format!("all {} pairs of ports are in use; raise PORT_POOL_SIZE", view.capacity))
        })?;
        let mountpoint = Mountpoint {
            session: wish.session.clone(),
            id: wish.room.unwrap_or_else(|| self.number(&wish.session)),
            ssrcs: wish.ssrcs,
            codec: wish.codec,
            ports,
            made: false,
            by_itself,
            created: now,
        };
        self.have.insert(wish.session.clone(), mountpoint.clone());
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

    fn wanted(&self) -> BTreeMap<&str, &Wish> {
        let tree = self.tree.iter().filter(|(session, _)| !self.dismissed.contains(*session));
        // What the tree says wins over what was asked before the tree had it.
        self.asked.iter().chain(tree).map(|(session, wish)| (session.as_str(), wish)).collect()
    }

    /// A number for a session whose room is not known: the same at every start, unless it is taken.
    fn number(&self, session: &str) -> u64 {
        let hash = session
            .bytes()
            .fold(0x811c_9dc5_u32, |hash, byte| (hash ^ u32::from(byte)).wrapping_mul(0x0100_0193));
        let taken: BTreeSet<u64> = self.have.values().map(|mountpoint| mountpoint.id).collect();
        let rooms: BTreeSet<u64> = self.tree.values().filter_map(|wish| wish.room).collect();
        let mut number = u64::from(hash >> 1).max(1);
        while taken.contains(&number) || rooms.contains(&number) {
            number += 1;
        }
        number
    }
}
