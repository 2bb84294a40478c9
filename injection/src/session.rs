//! Sessions, without I/O: from what is asked for and what there is to a session or a refusal.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use node::addresses::is_no_host;
use node::contract::field::session as field;
use node::contract::{LARGEST_ROOM, LONGEST_SESSION, is_room, is_session};
use node::media::{PerKind, Ssrc};
use serde::{Deserialize, Deserializer, Serialize};

/// Most recipients of a session; beyond that a relay does it better.
const MOST_RECIPIENTS: usize = 64;

/// Somebody whom a session's media is sent to.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Recipient {
    /// Host name or address.
    pub host: String,
    /// RTP port for audio.
    pub audio_port: u16,
    /// RTP port for video.
    pub video_port: u16,
}

/// A session.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Session {
    /// Name.
    pub id: String,
    /// Room in Janus, and mountpoint at every egress.
    pub room: u64,
    /// SSRCs in the tree.
    pub ssrcs: PerKind<Ssrc>,
    /// Who gets it; none: the node's children, as they come and go.
    pub recipients: Vec<Recipient>,
    /// What its video is encoded with, once somebody has published: `vp8` or `h264`.
    pub codec: Option<String>,
    /// ms since 1970.
    pub created: u64,
    /// ms since 1970.
    pub updated: u64,
}

/// `POST /session/create`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct NewSession {
    /// Name.
    pub session_id: Option<String>,
    /// Room.
    #[serde(deserialize_with = "number")]
    pub room_id: Option<u64>,
    /// SSRC of the audio.
    #[serde(deserialize_with = "number")]
    pub audio_ssrc: Option<u64>,
    /// SSRC of the video.
    #[serde(deserialize_with = "number")]
    pub video_ssrc: Option<u64>,
    /// Who gets it.
    pub recipients: Option<Vec<Recipient>>,
}

/// What another session has, of this node or of another.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Taken {
    /// Its name.
    pub id: String,
    /// It is of this node's tree.
    pub same_tree: bool,
    /// Its room.
    pub room: Option<u64>,
    /// Its SSRCs.
    pub ssrcs: Vec<Ssrc>,
}

/// Why there is no session.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// It has no name.
    #[error("sessionId is missing; a session needs a name")]
    NoName,
    /// Its name could not be part of an address.
    #[error(
        "sessionId must be 1 to {LONGEST_SESSION} letters, digits, or any of '-._~', because it is part of addresses"
    )]
    BadName,
    /// A number that is no SSRC, in a field of that name.
    #[error("{0} must be a number from 1 to {max}", max = u32::MAX)]
    BadSsrc(&'static str),
    /// One SSRC for two streams.
    #[error("audioSsrc and videoSsrc are both {0}; they must differ")]
    SameSsrc(Ssrc),
    /// A number that is no room.
    #[error("roomId must be a number from 1 to {LARGEST_ROOM}")]
    BadRoom,
    /// More recipients than one node should send to.
    #[error("a session has at most {MOST_RECIPIENTS} recipients; make a relay one of them")]
    TooManyRecipients,
    /// A recipient that is nowhere.
    #[error("'{}' is no host name or address of a recipient", .0.escape_debug())]
    BadHost(String),
    /// A recipient that is not one host.
    #[error("'{host}' is {what}; a recipient is one host")]
    NoHost { host: String, what: &'static str },
    /// A recipient without a port.
    #[error("recipient {0} has a port 0; ports are 1 to 65535")]
    PortZero(String),
    /// There is a session of that name.
    #[error("session {0} exists; destroy it first, or choose another name")]
    Exists(String),
    /// Another session has the SSRC.
    #[error("SSRC {ssrc} belongs to session {by}; leave it out and one is allotted")]
    SsrcTaken { ssrc: Ssrc, by: String },
    /// Another session has the room.
    #[error("room {room} belongs to session {by}; leave it out and one is allotted")]
    RoomTaken { room: u64, by: String },
}

impl Refusal {
    /// Whether another session is in the way; otherwise it makes no sense at any time.
    pub fn is_conflict(&self) -> bool {
        matches!(self, Refusal::Exists(_) | Refusal::SsrcTaken { .. } | Refusal::RoomTaken { .. })
    }
}

/// From what is asked for to a session. `random`: numbers to draw from; `now`: ms since 1970.
pub fn decide(
    new: NewSession,
    taken: &[Taken],
    mut random: impl FnMut() -> u32,
    now: u64,
) -> Result<Session, Refusal> {
    let id = checked_id(new.session_id)?;
    let wanted = [checked_ssrc("audioSsrc", new.audio_ssrc)?, checked_ssrc("videoSsrc", new.video_ssrc)?];
    if let [Some(audio), Some(video)] = wanted
        && audio == video
    {
        return Err(Refusal::SameSsrc(audio));
    }
    if new.room_id.is_some_and(|room| !is_room(room)) {
        return Err(Refusal::BadRoom);
    }
    let recipients = checked_recipients(new.recipients.unwrap_or_default())?;

    if taken.iter().any(|other| other.id == id) {
        return Err(Refusal::Exists(id));
    }
    let has_ssrc = |ssrc: Ssrc| taken.iter().find(|other| other.same_tree && other.ssrcs.contains(&ssrc));
    let has_room = |room: u64| taken.iter().find(|other| other.same_tree && other.room == Some(room));
    for ssrc in wanted.into_iter().flatten() {
        if let Some(other) = has_ssrc(ssrc) {
            return Err(Refusal::SsrcTaken { ssrc, by: other.id.clone() });
        }
    }
    if let Some(room) = new.room_id
        && let Some(other) = has_room(room)
    {
        return Err(Refusal::RoomTaken { room, by: other.id.clone() });
    }

    let mut draw = |free: &dyn Fn(u32) -> bool| loop {
        let number = random();
        if number != 0 && free(number) {
            return number;
        }
    };
    let room = new.room_id.unwrap_or_else(|| draw(&|room| has_room(u64::from(room)).is_none()).into());
    let [audio, video] = wanted;
    let audio = audio
        .unwrap_or_else(|| Ssrc(draw(&|ssrc| has_ssrc(Ssrc(ssrc)).is_none() && video != Some(Ssrc(ssrc)))));
    let video =
        video.unwrap_or_else(|| Ssrc(draw(&|ssrc| has_ssrc(Ssrc(ssrc)).is_none() && audio != Ssrc(ssrc))));
    Ok(Session {
        id,
        room,
        ssrcs: PerKind { audio, video },
        recipients,
        codec: None,
        created: now,
        updated: now,
    })
}

impl Session {
    /// What it takes from others.
    pub fn taken(&self) -> Taken {
        Taken {
            id: self.id.clone(),
            same_tree: true,
            room: Some(self.room),
            ssrcs: self.ssrcs.into_array().to_vec(),
        }
    }

    /// The hash `session:{sid}`.
    pub fn fields(&self, node_id: &str, tree_id: &str, active: bool) -> Vec<(&'static str, String)> {
        let mut fields = vec![
            (field::SESSION_ID, self.id.clone()),
            (field::ROOM_ID, self.room.to_string()),
            (field::AUDIO_SSRC, self.ssrcs.audio.to_string()),
            (field::VIDEO_SSRC, self.ssrcs.video.to_string()),
            (field::RECIPIENTS, serde_json::json!(self.recipients).to_string()),
            (field::INJECTION_NODE_ID, node_id.to_owned()),
            (field::TREE_ID, tree_id.to_owned()),
            (field::ACTIVE, active.to_string()),
            (field::CREATED_AT, self.created.to_string()),
            (field::UPDATED_AT, self.updated.to_string()),
        ];
        fields.extend(self.codec.clone().map(|codec| (field::VIDEO_CODEC, codec)));
        fields
    }

    /// Reads the hash back. An error says what is wrong with it.
    pub fn of(id: &str, fields: &BTreeMap<String, String>) -> Result<Session, String> {
        let text = |name: &str| fields.get(name).map(|value| value.trim()).unwrap_or_default();
        let number = |name: &str| -> Result<u64, String> {
            text(name).parse().map_err(|_| format!("its {name} is '{}', which is no number", text(name)))
        };
        let ssrc =
            |name: &str| u32::try_from(number(name)?).map(Ssrc).map_err(|_| format!("its {name} is no SSRC"));
        let recipients = match text(field::RECIPIENTS) {
            "" => Vec::new(),
            json => serde_json::from_str(json).map_err(|error| format!("its recipients: {error}"))?,
        };
        if !is_session(id) {
            return Err(Refusal::BadName.to_string());
        }
        Ok(Session {
            id: id.to_owned(),
            room: Some(number(field::ROOM_ID)?)
                .filter(|room| is_room(*room))
                .ok_or_else(|| format!("its {} is no room's", field::ROOM_ID))?,
            ssrcs: PerKind { audio: ssrc(field::AUDIO_SSRC)?, video: ssrc(field::VIDEO_SSRC)? },
            recipients,
            codec: Some(text(field::VIDEO_CODEC)).filter(|codec| !codec.is_empty()).map(str::to_owned),
            created: number(field::CREATED_AT).unwrap_or_default(),
            updated: number(field::UPDATED_AT).unwrap_or_default(),
        })
    }
}

fn checked_id(id: Option<String>) -> Result<String, Refusal> {
    let id = id.ok_or(Refusal::NoName)?;
    if is_session(&id) { Ok(id) } else { Err(Refusal::BadName) }
}

fn checked_ssrc(field: &'static str, ssrc: Option<u64>) -> Result<Option<Ssrc>, Refusal> {
    match ssrc.map(u32::try_from) {
        None => Ok(None),
        Some(Ok(ssrc)) if ssrc != 0 => Ok(Some(Ssrc(ssrc))),
        Some(_) => Err(Refusal::BadSsrc(field)),
    }
}

fn checked_recipients(recipients: Vec<Recipient>) -> Result<Vec<Recipient>, Refusal> {
    if recipients.len() > MOST_RECIPIENTS {
        return Err(Refusal::TooManyRecipients);
    }
    for recipient in &recipients {
        let host = &recipient.host;
        if host.is_empty() || host.chars().any(|c| c.is_whitespace() || c.is_control() || "/@,[]".contains(c))
        {
            return Err(Refusal::BadHost(host.clone()));
        }
        if recipient.audio_port == 0 || recipient.video_port == 0 {
            return Err(Refusal::PortZero(host.clone()));
        }
    }
    are_hosts(&recipients, &BTreeSet::new())?;
    Ok(recipients)
}

/// Refuses recipients that are nobody, or many: media is sent to hosts. `broadcasts`: the broadcast addresses of this host's
/// networks.
pub fn are_hosts(recipients: &[Recipient], broadcasts: &BTreeSet<IpAddr>) -> Result<(), Refusal> {
    for Recipient { host, .. } in recipients {
        if let Some(what) = host.parse().ok().and_then(|address| is_no_host(&address, broadcasts)) {
            return Err(Refusal::NoHost { host: host.clone(), what });
        }
    }
    Ok(())
}

/// A number, or the same as text, as scripts send it.
fn number<'de, D: Deserializer<'de>>(from: D) -> Result<Option<u64>, D::Error> {
    #[derive(Deserialize)]
    #[serde(untagged, expecting = "expected a whole number")]
    enum Either {
        Number(u64),
        Text(String),
    }
    match Option::<Either>::deserialize(from)? {
        None => Ok(None),
        Some(Either::Number(number)) => Ok(Some(number)),
        Some(Either::Text(text)) => {
            let wrong = || serde::de::Error::custom(format!("'{}' is no whole number", text.escape_debug()));
            text.trim().parse().map(Some).map_err(|_| wrong())
        }
    }
}

#[cfg(test)]
mod tests;
