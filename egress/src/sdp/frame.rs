//! What every description of ours has, before anything is said in it.

use sdp_types::{Connection, Media, Origin, Session, Time};

use super::lines::{attr, value};

/// A description without media. `id`: a number that no other of the same maker has.
pub fn session(id: String) -> Session {
    Session {
        origin: Origin {
            username: Some("-".to_owned()),
            sess_id: id,
            sess_version: 1,
            nettype: "IN".to_owned(),
            addrtype: "IP4".to_owned(),
            unicast_address: "127.0.0.1".to_owned(),
        },
        session_name: "-".to_owned(),
        session_description: None,
        uri: None,
        emails: Vec::new(),
        phones: Vec::new(),
        connection: None,
        bandwidths: Vec::new(),
        times: vec![Time { start_time: 0, stop_time: 0, repeats: Vec::new() }],
        time_zones: Vec::new(),
        key: None,
        attributes: Vec::new(),
        medias: Vec::new(),
    }
}

/// A medium of this kind and protocol.
pub fn medium(kind: &str, proto: &str, port: u16, fmt: String) -> Media {
    let connection = Connection {
        nettype: "IN".to_owned(),
        addrtype: "IP4".to_owned(),
        connection_address: "0.0.0.0".to_owned(),
    };
    Media {
        media: kind.to_owned(),
        port,
        num_ports: None,
        proto: proto.to_owned(),
        fmt,
        media_title: None,
        connections: vec![connection],
        bandwidths: Vec::new(),
        key: None,
        attributes: Vec::new(),
    }
}

/// Says that all media that are not refused share a transport.
pub fn bundle(session: &mut Session) {
    let open = session.medias.iter().filter(|media| media.port != 0);
    let mids: Vec<&str> = open.filter_map(|media| value(media, "mid")).collect();
    let group = format!("BUNDLE {}", mids.join(" "));
    session.attributes.push(attr("group", Some(&group)));
    session.attributes.push(attr("msid-semantic", Some(" WMS *")));
}
