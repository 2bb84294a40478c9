//! Janus' VideoRoom as far as an injection needs it: rooms, publishers, forwarders. What is begun here is completed or
//! taken back.

use std::net::{IpAddr, SocketAddr};

use janus::{Client, Error, Event, Handle, Jsep};
use node::media::{Codec, Kind, PerKind, Ssrc};
use node::secret::Secret;
use serde_json::{Value, json};
use tokio::sync::mpsc;

use crate::config::JanusConfig;

pub const PLUGIN: &str = "janus.plugin.videoroom";
/// "No such room".
const NO_SUCH_ROOM: i64 = 426;
/// "Room exists already".
const ROOM_EXISTS: i64 = 427;
/// What is asked for cannot be.
const INVALID_ELEMENT: i64 = 430;
/// "Invalid SDP", of Janus itself and of the plugin.
const BAD_SDP: i64 = 465;
/// See [`BAD_SDP`].
const BAD_SDP_OF_PLUGIN: i64 = 437;
/// Largest bitrate that publishers are allowed, in bits per second: Janus' own limit is for video calls.
const BITRATE: u64 = 20_000_000;

/// A connection to Janus, with a handle for what concerns rooms.
#[derive(Clone)]
pub struct VideoRoom {
    client: Client,
    control: Handle,
    room_secret: Option<Secret>,
    admin_key: Option<Secret>,
    /// Janus' address.
    pub peer: IpAddr,
    /// The address that Janus reaches us by.
    pub local: IpAddr,
    /// Begins the description of all our rooms.
    mark: String,
}

/// A publisher in a room: as a rule one of Janus', for who does not bundle his media one for each.
pub struct Publisher {
    parts: Vec<Part>,
    /// What it sends, at most one of each kind.
    pub streams: Vec<OfferedStream>,
}

/// One of Janus' publishers, with a connection of its own.
struct Part {
    handle: Handle,
    id: u64,
    /// What Janus answered the offer with.
    answer: String,
    streams: Vec<OfferedStream>,
}

/// One medium of a publisher.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OfferedStream {
    /// Janus' name for it.
    pub mid: String,
    /// Audio or video.
    pub kind: Kind,
    /// Codec, in lower case.
    pub codec: String,
}

/// Where Janus is to forward a publication to.
pub struct Destination {
    /// RTP ports.
    pub ports: PerKind<u16>,
    /// The SSRCs that the streams get.
    pub ssrcs: PerKind<Ssrc>,
    /// Our port for what Janus says by RTCP.
    pub rtcp_port: u16,
    /// The video comes in several sizes, of which one is wanted: the largest that comes.
    pub simulcast: bool,
}

impl VideoRoom {
    /// Connects; with that all that an earlier connection of this node left behind is removed.
    pub async fn connect(config: &JanusConfig, node_id: &str) -> Result<VideoRoom, Error> {
        let url = &config.url;
        let unreachable =
            |error: std::io::Error| Error::Connect { url: url.to_owned(), why: error.to_string() };
        let (peer, local) = addresses(config).await.map_err(unreachable)?;
        let secret = config.api_secret.as_ref().map(Secret::reveal);
        let client = Client::connect(url, secret).await?;
        let (control, _) = client.attach(PLUGIN).await?;
        let room = VideoRoom {
            client,
            control,
            room_secret: config.room_secret.clone(),
            admin_key: config.admin_key.clone().or_else(|| config.room_secret.clone()),
            peer,
            local: config.media_address.unwrap_or(local),
            mark: format!("media-tree {node_id}/"),
        };
        room.clean_up().await;
        Ok(room)
    }

    /// Ends when the connection is gone.
    pub async fn closed(&self) {
        self.client.closed().await;
    }

    /// Makes a room.
    pub async fn create(&self, room: u64, session: &str) -> Result<(), Error> {
        let body = json!({
            "request": "create",
            "room": room,
            "description": format!("{}{session}", self.mark),
            "is_private": true,
            "permanent": false,
            // One publishes; one that is dead may still be in the room when the next comes.
            "publishers": 8,
            "audiocodec": "opus",
            "videocodec": "vp8,h264",
            "h264_profile": "42e01f",
            "bitrate": BITRATE,
            // Keyframes are asked for when somebody needs one.
            "fir_freq": 0,
            "notify_joining": false,
        });
        self.ask(body, true).await.map(drop)
    }

    /// Removes a room and whoever is in it. One that is not there is fine.
    pub async fn destroy(&self, room: u64) -> Result<(), Error> {
        match self.ask(json!({ "request": "destroy", "room": room, "permanent": false }), true).await {
            Err(error) if error.code() == Some(NO_SUCH_ROOM) => Ok(()),
            other => other.map(drop),
        }
    }

    /// Takes a publisher in with its offers, one for each connection. Gives besides what will happen to it.
    pub async fn publish(
        &self,
        room: u64,
        session: &str,
        offers: Vec<String>,
    ) -> Result<(Publisher, mpsc::UnboundedReceiver<Event>), Error> {
        let mut publisher = Publisher { parts: Vec::new(), streams: Vec::new() };
        let mut events = Vec::new();
        for offer in offers {
            match self.join(room, session, offer).await {
                Ok((part, happens)) => {
                    publisher.streams.extend(part.streams.iter().cloned());
                    publisher.parts.push(part);
                    events.push(happens);
                }
                Err(error) => {
                    publisher.leave().await;
                    return Err(error);
                }
            }
        }
        Ok((publisher, merged(events)))
    }

    async fn join(
        &self,
        room: u64,
        session: &str,
        offer: String,
    ) -> Result<(Part, mpsc::UnboundedReceiver<Event>), Error> {
        let (handle, events) = self.client.attach(PLUGIN).await?;
        let body = json!({
            "request": "joinandconfigure", "ptype": "publisher", "room": room, "display": session,
        });
        let joined = handle.message(body, Some(Jsep { kind: "offer".to_owned(), sdp: offer })).await;
        match joined.and_then(|reply| part(&handle, reply)) {
            Ok(part) => Ok((part, events)),
            Err(error) => {
                take_back(handle).await;
                Err(error)
            }
        }
    }

    /// Has a publication forwarded. Gives where Janus takes keyframe requests for it.
    pub async fn forward(
        &self,
        room: u64,
        publisher: &Publisher,
        to: &Destination,
    ) -> Result<Option<SocketAddr>, Error> {
        let mut keyframes = None;
        for part in &publisher.parts {
            keyframes = self.forward_part(room, part, to).await?.or(keyframes);
        }
        Ok(keyframes)
    }

    async fn forward_part(
        &self,
        room: u64,
        part: &Part,
        to: &Destination,
    ) -> Result<Option<SocketAddr>, Error> {
        let streams: Vec<Value> = part
            .streams
            .iter()
            .map(|stream| {
                let mut forward = json!({
                    "mid": stream.mid,
                    "port": to.ports[stream.kind],
                    "ssrc": to.ssrcs[stream.kind],
                    "pt": Codec::parse(&stream.codec).map(Codec::payload_type),
                });
                if stream.kind == Kind::Video {
                    forward["rtcp_port"] = json!(to.rtcp_port);
                    // Without it the first of all is what there is, which is the smallest.
                    forward["simulcast"] = json!(to.simulcast);
                }
                forward
            })
            .collect();
        let wanted = streams.len();
        let body = json!({
            "request": "rtp_forward",
            "room": room,
            "publisher_id": part.id,
            "host": self.local.to_string(),
            "host_family": if self.local.is_ipv4() { "ipv4" } else { "ipv6" },
            "streams": streams,
        });
        let reply = self.ask(body, true).await?;
        // An unknown mid is no error to Janus.
        let forwarders = reply["forwarders"].as_array().map(Vec::as_slice).unwrap_or_default();
        if forwarders.len() != wanted {
            return Err(Error::Answer { request: "rtp_forward".to_owned(), answer: reply.to_string() });
        }
        let port = forwarders.iter().find_map(|forwarder| forwarder["local_rtcp_port"].as_u64());
        Ok(port.and_then(|port| Some(SocketAddr::new(self.peer, u16::try_from(port).ok()?))))
    }

    /// Removes rooms that a former life of this node left behind. That it fails is no reason to do without Janus.
    async fn clean_up(&self) {
        let rooms = match self.ask(json!({ "request": "list" }), true).await {
            Ok(reply) => reply["list"].as_array().cloned().unwrap_or_default(),
            Err(error) => return tracing::warn!("cannot see which rooms there are: {error}"),
        };
        let ours =
            |room: &&Value| room["description"].as_str().is_some_and(|text| is_marked(text, &self.mark));
        for room in rooms.iter().filter(ours).filter_map(|room| room["room"].as_u64()) {
            match self.destroy(room).await {
                Ok(()) => tracing::info!("room {room} was left behind; removed"),
                Err(error) => tracing::warn!("room {room} was left behind and stays: {error}"),
            }
        }
    }

    async fn ask(&self, mut body: Value, with_secrets: bool) -> Result<Value, Error> {
        if with_secrets {
            for (name, secret) in [("secret", &self.room_secret), ("admin_key", &self.admin_key)] {
                if let Some(secret) = secret {
                    body[name] = json!(secret.reveal());
                }
            }
        }
        Ok(self.control.message(body, None).await?.data)
    }
}

impl Publisher {
    /// What Janus answered each offer with.
    pub fn answers(&self) -> Vec<String> {
        self.parts.iter().map(|part| part.answer.clone()).collect()
    }

    /// Passes a candidate on, for one of its connections.
    pub async fn trickle(&self, way: usize, candidate: Value) -> Result<(), Error> {
        match self.parts.get(way) {
            Some(part) => part.handle.trickle(candidate).await,
            None => Ok(()),
        }
    }

    /// Takes it out of its room, and with it its forwarders.
    pub async fn leave(&self) {
        for part in &self.parts {
            take_back(part.handle.clone()).await;
        }
    }
}

/// Whether Janus takes our secrets: it is asked for a room that cannot be, which it says only to those who may have one.
pub async fn admits(config: &JanusConfig) -> Result<(), Error> {
    let client = Client::connect(&config.url, config.api_secret.as_ref().map(Secret::reveal)).await?;
    let (handle, _events) = client.attach(PLUGIN).await?;
    let mut body = json!({ "request": "create", "audiocodec": "none" });
    if let Some(key) = config.admin_key.as_ref().or(config.room_secret.as_ref()) {
        body["admin_key"] = json!(key.reveal());
    }
    match handle.message(body, None).await {
        Err(Error::Plugin { code: INVALID_ELEMENT, .. }) | Ok(_) => Ok(()),
        Err(error) => Err(error),
    }
}

/// Whether Janus says that a room is not there.
pub fn is_no_room(error: &Error) -> bool {
    error.code() == Some(NO_SUCH_ROOM)
}

/// Whether Janus says that an offer is none.
pub fn is_bad_sdp(error: &Error) -> bool {
    matches!(error, Error::Janus { code: BAD_SDP, .. } | Error::Plugin { code: BAD_SDP_OF_PLUGIN, .. })
}

/// Whether Janus says that a room is there.
pub fn is_room_exists(error: &Error) -> bool {
    error.code() == Some(ROOM_EXISTS)
}

/// Whether a description is of a room of the node that the mark is of. A name of a session has no `/`; that of a node may:
/// rooms of `inj/2` are none of `inj`.
fn is_marked(description: &str, mark: &str) -> bool {
    description.strip_prefix(mark).is_some_and(|session| !session.contains('/'))
}

/// A handle takes publisher, peer connection and forwarders with it. When Janus does not answer, its session ends with
/// the connection, and they with it.
async fn take_back(handle: Handle) {
    if let Err(error) = handle.detach().await {
        tracing::debug!("a handle was not given back: {error}");
    }
}

/// What happens to any of several connections, in one stream. The end of one is the end of all. Names of media are told apart by the
/// connection: unnamed ones are all called alike.
fn merged(mut events: Vec<mpsc::UnboundedReceiver<Event>>) -> mpsc::UnboundedReceiver<Event> {
    if events.len() == 1 {
        return events.swap_remove(0);
    }
    let (all, merged) = mpsc::unbounded_channel();
    for (way, mut events) in events.into_iter().enumerate() {
        let all = all.clone();
        tokio::spawn(async move {
            while let Some(mut event) = events.recv().await {
                if let Event::Media { mid, kind, .. } = &mut event {
                    *mid = Some(format!("{way}/{}", mid.as_ref().unwrap_or(kind)));
                }
                if all.send(event).is_err() {
                    return;
                }
            }
            let _ = all.send(Event::Detached);
        });
    }
    merged
}

fn part(handle: &Handle, reply: janus::Reply) -> Result<Part, Error> {
    let data = reply.data;
    let odd = || Error::Answer { request: "joinandconfigure".to_owned(), answer: data.to_string() };
    let id = data["id"].as_u64().ok_or_else(odd)?;
    let answer = reply.jsep.filter(|jsep| jsep.kind == "answer").ok_or_else(odd)?.sdp;
    let streams = streams(&data["streams"]);
    if streams.is_empty() {
        return Err(odd());
    }
    Ok(Part { handle: handle.clone(), id, answer, streams })
}

/// The media that a publisher was granted, at most one of each kind.
fn streams(list: &Value) -> Vec<OfferedStream> {
    let mut streams: Vec<OfferedStream> = Vec::new();
    for stream in list.as_array().map(Vec::as_slice).unwrap_or_default() {
        let text = |name: &str| stream[name].as_str().map(str::to_owned);
        let Some(kind) = stream["type"].as_str().and_then(Kind::parse) else { continue };
        let disabled = stream["disabled"].as_bool().unwrap_or_default();
        if let (Some(mid), Some(codec), false) = (text("mid"), text("codec"), disabled)
            && streams.iter().all(|other| other.kind != kind)
        {
            streams.push(OfferedStream { mid, kind, codec: codec.to_lowercase() });
        }
    }
    streams
}

/// Janus' address, and ours as Janus sees it.
async fn addresses(config: &JanusConfig) -> std::io::Result<(IpAddr, IpAddr)> {
    let place = node::resolve::server(&config.host, config.port).await.map_err(std::io::Error::other)?;
    let any: IpAddr = match place {
        SocketAddr::V4(_) => std::net::Ipv4Addr::UNSPECIFIED.into(),
        SocketAddr::V6(_) => std::net::Ipv6Addr::UNSPECIFIED.into(),
    };
    // Nothing is sent: the kernel says which address it would send from.
    let probe = tokio::net::UdpSocket::bind((any, 0)).await?;
    probe.connect(place).await?;
    Ok((place.ip(), probe.local_addr()?.ip()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rooms_of_a_node_with_a_longer_name_are_not_ours() {
        assert!(is_marked("media-tree inj/s1", "media-tree inj/"));
        assert!(
            !is_marked("media-tree inj/2/s1", "media-tree inj/") && !is_marked("a room", "media-tree inj/")
        );
        assert!(is_marked("media-tree inj/2/s1", "media-tree inj/2/"));
    }

    #[test]
    fn media_are_found_by_type_not_by_place() {
        let list = json!([
            { "type": "video", "mindex": 0, "mid": "video0", "codec": "VP8" },
            { "type": "data", "mindex": 2, "mid": "2" },
            { "type": "audio", "mindex": 1, "mid": "audio1", "codec": "opus" },
            { "type": "video", "mindex": 3, "mid": "3", "codec": "h264" },
        ]);
        let stream = |mid: &str, kind, codec: &str| OfferedStream {
            mid: mid.to_owned(),
            kind,
            codec: codec.to_owned(),
        };
        assert_eq!(
            streams(&list),
            [stream("video0", Kind::Video, "vp8"), stream("audio1", Kind::Audio, "opus")]
        );
        let disabled = json!([{ "type": "audio", "mid": "0", "codec": "opus", "disabled": true }]);
        assert_eq!(streams(&disabled), []);
        assert_eq!(streams(&Value::Null), []);
    }
}
