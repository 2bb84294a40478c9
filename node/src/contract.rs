//! What nodes and their operators share through Redis: every key, hash field, channel and event name, once. Their types,
//! times to live and who writes them: docs/contract.md, *Redis*, which a test holds to this file.
//!
//! Names that an operator types (`SADD children:relay-1 egress-2`) can never change; a field that is added must be one that
//! an older node can do without.

use std::time::Duration;

/// The registration of a node expires if it is not written again.
pub const NODE_TTL: Duration = Duration::from_secs(60);
/// A node writes its registration so often.
pub const NODE_REWRITTEN: Duration = Duration::from_secs(20);
/// A node of which nobody has heard for so long is doubtful: it says every two seconds that it lives.
pub const NODE_DOUBTED: Duration = Duration::from_secs(6);
/// Sessions and mountpoints that have ended are remembered for so long.
pub const ENDED_TTL: Duration = Duration::from_secs(24 * 3600);

/// Keys. Where there is a `…_PREFIX`, a script or a notification needs it without the name behind it.
pub mod key {
    /// Of [`node`].
    pub const NODE_PREFIX: &str = "node:";
    /// Of [`children`].
    pub const CHILDREN_PREFIX: &str = "children:";
    /// Of [`parent`].
    pub const PARENT_PREFIX: &str = "parent:";
    /// Of [`standby`].
    pub const STANDBY_PREFIX: &str = "parents:";
    /// Of [`session`].
    pub const SESSION_PREFIX: &str = "session:";
    /// Set: names of the active sessions of all trees.
    pub const ACTIVE_SESSIONS: &str = "sessions:active";
    /// Set: those of [`ACTIVE_SESSIONS`] that are in the index of their tree, in the same slot of a Cluster.
    pub const INDEXED_SESSIONS: &str = "sessions:indexed:{sessions:active}";
    /// Set: the active mountpoints of all egresses, as [`active_mountpoint`] writes them.
    pub const ACTIVE_MOUNTPOINTS: &str = "mountpoints:active";
    /// Set: names of the trees that a scaler looks after, unless it was told which.
    pub const ACTIVE_TREES: &str = "trees:active";

    /// Hash ([`field::node`](super::field::node)): a node's registration.
    pub fn node(id: &str) -> String {
        format!("{NODE_PREFIX}{id}")
    }

    /// Hash ([`field::instance`](super::field::instance)): the process that has registered.
    pub fn instance(id: &str) -> String {
        format!("node:instance:{id}")
    }

    /// Set: names of a node's children.
    pub fn children(id: &str) -> String {
        format!("{CHILDREN_PREFIX}{id}")
    }

    /// String: name of a node's parent.
    pub fn parent(id: &str) -> String {
        format!("{PARENT_PREFIX}{id}")
    }

    /// Set: names of a node's standby parents, who send to it as well as its parent does.
    pub fn standby(id: &str) -> String {
        format!("{STANDBY_PREFIX}{id}")
    }

    /// Hash: a tree's nodes, each an [`Entry`](crate::directory::Entry) as JSON.
    pub fn directory(tree: &str) -> String {
        format!("directory:{tree}")
    }

    /// Hash ([`field::session`](super::field::session)): a session.
    pub fn session(id: &str) -> String {
        format!("{SESSION_PREFIX}{id}")
    }

    /// Set: names of an injection's active sessions.
    pub fn sessions(injection: &str) -> String {
        format!("sessions:{injection}")
    }

    /// Set: names of a tree's active sessions. This and the next two are in one slot of a Cluster.
    pub fn session_index(tree: &str) -> String {
        format!("sessions:index:{{{tree}}}")
    }

    /// String: number of the last change of a tree's sessions.
    pub fn session_version(tree: &str) -> String {
        format!("sessions:version:{{{tree}}}")
    }

    /// Hash: which session of a tree has an SSRC, a room or a name.
    pub fn session_claims(tree: &str) -> String {
        format!("sessions:claims:{{{tree}}}")
    }

    /// Hash with a time to live: which node sweeps a tree (`crate::sweep`), and its fence.
    pub fn sweeper_lease(tree: &str) -> String {
        format!("sweeper:owner:{{{tree}}}")
    }

    /// Hash in another key's slot, or with a tree's sessions: what is about to be swept there, and by which fence.
    pub fn sweeper(key: &str) -> String {
        format!("sweeper:{{{key}}}")
    }

    /// Field of [`sweeper`] that says that something is about to be swept. Whoever writes the thing takes it out.
    pub fn doomed(what: &str) -> String {
        format!("doomed:{what}")
    }

    /// Of a Cluster only: a key in another key's slot that says that this server has not lost its data.
    pub fn beside(key: &str) -> String {
        format!("node:beside:{{{key}}}")
    }

    /// Set: names of the egresses that a scaler has attached in a tree.
    pub fn scaled_egresses(tree: &str) -> String {
        format!("nodes:{tree}:egress")
    }

    /// Set: names of the relays that a scaler may put egresses under.
    pub fn relay_slots(tree: &str) -> String {
        format!("relay-slots:{tree}:available")
    }

    /// Hash with a time to live: which scaler leads in a tree, and its fence. This and the next six are in one slot of a Cluster.
    pub fn scaler_leader(tree: &str) -> String {
        format!("scaler:leader:{{{tree}}}")
    }

    /// String: the highest fence so far.
    pub fn scaler_fence(tree: &str) -> String {
        format!("scaler:fence:{{{tree}}}")
    }

    /// Stream: what scalers have done in a tree.
    pub fn scaler_actions(tree: &str) -> String {
        format!("scaler:actions:{{{tree}}}")
    }

    /// Hash: actions that are not done yet, and how far each is, by name.
    pub fn scaler_running(tree: &str) -> String {
        format!("scaler:running:{{{tree}}}")
    }

    /// Hash: actions that wait for somebody's approval, by name.
    pub fn scaler_proposed(tree: &str) -> String {
        format!("scaler:proposed:{{{tree}}}")
    }

    /// Hash: what was said about those: `approved` or `refused`, by name.
    pub fn scaler_approvals(tree: &str) -> String {
        format!("scaler:approvals:{{{tree}}}")
    }

    /// String, JSON: what a look has to know of those before it.
    pub fn scaler_memory(tree: &str) -> String {
        format!("scaler:memory:{{{tree}}}")
    }

    /// String, JSON: what is wanted of a tree; it wins over the scaler's file.
    pub fn scaler_settings(tree: &str) -> String {
        format!("scaler:settings:{{{tree}}}")
    }

    /// Of a Cluster only: in another key's slot, the highest fence that has written there.
    pub fn scaler_fence_beside(key: &str) -> String {
        format!("scaler:fence:{{{key}}}")
    }

    /// Hash ([`field::mountpoint`](super::field::mountpoint)): a session at an egress.
    pub fn mountpoint(egress: &str, session: &str) -> String {
        format!("mountpoint:{egress}:{session}")
    }

    /// Set: names of the sessions that an egress has mountpoints for.
    pub fn mountpoints(egress: &str) -> String {
        format!("mountpoints:{egress}")
    }

    /// The [`mountpoint`] that a member of [`ACTIVE_MOUNTPOINTS`] names.
    pub fn mountpoint_of(member: &str) -> String {
        format!("mountpoint:{member}")
    }

    /// Member of [`ACTIVE_MOUNTPOINTS`].
    pub fn active_mountpoint(egress: &str, session: &str) -> String {
        format!("{egress}:{session}")
    }
}

/// Fields of hashes.
pub mod field {
    /// Of [`key::node`](super::key::node).
    pub mod node {
        /// Name.
        pub const ID: &str = "id";
        /// The same.
        pub const NODE_ID: &str = "nodeId";
        /// `injection`, `relay` or `egress`.
        pub const TYPE: &str = "type";
        /// Tree.
        pub const TREE_ID: &str = "treeId";
        /// Host name or address that media is sent to.
        pub const HOST: &str = "host";
        /// All addresses that media may come from, with commas.
        pub const ADDRESSES: &str = "addresses";
        /// HTTP port.
        pub const PORT: &str = "port";
        /// Where operators' HTTP is, if not at the host and HTTP port.
        pub const ADMIN: &str = "admin";
        /// RTP port for audio.
        pub const AUDIO_PORT: &str = "audioPort";
        /// RTP port for video.
        pub const VIDEO_PORT: &str = "videoPort";
        /// `active`, or why not.
        pub const STATUS: &str = "status";
        /// ms since 1970.
        pub const CREATED: &str = "created";

        /// All of them.
        pub const ALL: [&str; 12] = [
            ID, NODE_ID, TYPE, TREE_ID, HOST, ADDRESSES, PORT, ADMIN, AUDIO_PORT, VIDEO_PORT, STATUS, CREATED,
        ];
    }

    /// Of [`key::instance`](super::key::instance).
    pub mod instance {
        /// Process.
        pub const INSTANCE: &str = "instance";
        /// Another node that wants the name.
        pub const RIVAL: &str = "rival";
        /// The same, until it expires: it outlives the node that has the name.
        pub const REFUSED: &str = "refused";
    }

    /// Of [`key::session`](super::key::session).
    pub mod session {
        /// Name.
        pub const SESSION_ID: &str = "sessionId";
        /// Room in Janus, and mountpoint at every egress.
        pub const ROOM_ID: &str = "roomId";
        /// SSRC of the audio.
        pub const AUDIO_SSRC: &str = "audioSsrc";
        /// SSRC of the video.
        pub const VIDEO_SSRC: &str = "videoSsrc";
        /// JSON: who gets it instead of the injection's children.
        pub const RECIPIENTS: &str = "recipients";
        /// The injection.
        pub const INJECTION_NODE_ID: &str = "injectionNodeId";
        /// Tree.
        pub const TREE_ID: &str = "treeId";
        /// `true` or `false`.
        pub const ACTIVE: &str = "active";
        /// `vp8` or `h264`; absent until somebody has published.
        pub const VIDEO_CODEC: &str = "videoCodec";
        /// ms since 1970.
        pub const CREATED_AT: &str = "createdAt";
        /// ms since 1970.
        pub const UPDATED_AT: &str = "updatedAt";

        /// All of them.
        pub const ALL: [&str; 11] = [
            SESSION_ID,
            ROOM_ID,
            AUDIO_SSRC,
            VIDEO_SSRC,
            RECIPIENTS,
            INJECTION_NODE_ID,
            TREE_ID,
            ACTIVE,
            VIDEO_CODEC,
            CREATED_AT,
            UPDATED_AT,
        ];
    }

    /// Of [`key::mountpoint`](super::key::mountpoint).
    pub mod mountpoint {
        /// Session.
        pub const SESSION_ID: &str = "sessionId";
        /// Number in Janus.
        pub const MOUNTPOINT_ID: &str = "mountpointId";
        /// SSRC of the audio.
        pub const AUDIO_SSRC: &str = "audioSsrc";
        /// SSRC of the video.
        pub const VIDEO_SSRC: &str = "videoSsrc";
        /// UDP port at which Janus takes the audio.
        pub const JANUS_AUDIO_PORT: &str = "janusAudioPort";
        /// UDP port at which Janus takes the video.
        pub const JANUS_VIDEO_PORT: &str = "janusVideoPort";
        /// The egress.
        pub const EGRESS_NODE_ID: &str = "egressNodeId";
        /// Tree.
        pub const TREE_ID: &str = "treeId";
        /// `true` while RTP arrives.
        pub const ACTIVE: &str = "active";
        /// ms since 1970.
        pub const CREATED_AT: &str = "createdAt";
        /// ms since 1970.
        pub const UPDATED_AT: &str = "updatedAt";

        /// All of them.
        pub const ALL: [&str; 11] = [
            SESSION_ID,
            MOUNTPOINT_ID,
            AUDIO_SSRC,
            VIDEO_SSRC,
            JANUS_AUDIO_PORT,
            JANUS_VIDEO_PORT,
            EGRESS_NODE_ID,
            TREE_ID,
            ACTIVE,
            CREATED_AT,
            UPDATED_AT,
        ];
    }
}

/// Longest name of a session.
pub const LONGEST_SESSION: usize = 64;

/// Whether it is a name that a session can have: it is part of addresses (RFC 3986, *unreserved*).
pub fn is_session(name: &str) -> bool {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~".contains(&byte);
    (1..=LONGEST_SESSION).contains(&name.len()) && name.bytes().all(plain) && name != "." && name != ".."
}

/// Largest number of a room: JSON's numbers are exact up to here.
pub const LARGEST_ROOM: u64 = (1 << 53) - 1;

/// Whether it is a number that a room or a mountpoint can have. 0 has Janus draw one, which nobody else would know.
pub fn is_room(number: u64) -> bool {
    (1..=LARGEST_ROOM).contains(&number)
}

/// Channels; what is published there: [`Event`](crate::event::Event).
pub mod channel {
    /// What changes around a node or, by the tree's name, in a whole tree.
    pub fn topology(node_or_tree: &str) -> String {
        format!("topology:{node_or_tree}")
    }

    /// Sessions of a tree.
    pub fn tree_sessions(tree: &str) -> String {
        format!("sessions:tree:{tree}")
    }

    /// Sessions of an injection.
    pub fn node_sessions(injection: &str) -> String {
        format!("sessions:node:{injection}")
    }

    /// What the server itself says about keys of a database (Redis, *Keyspace notifications*), to put a key behind.
    pub fn keyspace_prefix(database: i64) -> String {
        format!("__keyspace@{database}__:")
    }
}

#[cfg(test)]
mod tests;
