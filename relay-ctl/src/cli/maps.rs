//! `relay-ctl maps`: what the pinned maps hold, decoded, and of the fixed-size ones only the entries that are in use. Reads
//! the files alone: no daemon is asked.

use std::collections::BTreeSet;
use std::net::IpAddr;

use relay_common::layout::{AUDIO, ListenerKey, MAX_SETS, SetWord, Span, StreamKey, half};
use serde::{Serialize, Serializer};
use serde_json::{Value, json};

use crate::address::unmapped;
use crate::fanout::children_of_mask;
use crate::kernel::{self, Maps, unpadded};
use crate::report::{interface_name, mac_text};

/// One map.
#[derive(Debug, Serialize)]
pub struct Contents {
    /// Its name, which is that of its file.
    pub map: &'static str,
    /// What an entry says.
    pub holds: &'static str,
    /// The entries in use.
    pub entries: Vec<Entry>,
}

/// The fields of an entry, key first.
#[derive(Debug)]
pub struct Entry(pub Vec<(&'static str, Value)>);

impl Serialize for Entry {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(self.0.iter().map(|(name, value)| (name, value)))
    }
}

macro_rules! entry {
    ($($name:literal: $value:expr),+ $(,)?) => { Entry(vec![$(($name, json!($value))),+]) };
}

/// All maps, or those that are named. An error names those that there are.
pub fn contents(maps: &Maps, wanted: &[String]) -> Result<Vec<Contents>, String> {
    let sets = sets(maps);
    let instances = sets.iter().map(|half| half.word.instance()).filter(|instance| *instance != 0);
    let spans: Vec<(u32, Span)> =
        instances.filter_map(|instance| Some((instance, maps.instances.get(&instance, 0).ok()?))).collect();
    let positions: BTreeSet<u32> =
        spans.iter().flat_map(|(_, span)| span.first..span.first + span.count).collect();
    let members: Vec<(u32, u32)> =
        positions.into_iter().filter_map(|at| Some((at, maps.members.get(&at, 0).ok()?))).collect();
    let all = vec![
        of("RELAY", "the data plane", relay(maps)),
        of("LISTENERS", "where media is taken; port 0: the address is ours", listeners(maps)),
        of("SOURCES", "where media is taken from", sources(maps)),
        of("ROUTES", "streams with a fan-out set of their own", routes(maps)),
        of(
            "SETS",
            "what is in force for a fan-out set and an IP version; set 0: all children",
            set_entries(&sets),
        ),
        of("SET_CHILDREN", "the children meant for a set of its own", set_children(maps, &sets)),
        of("INSTANCES", "where an instance's members begin", instance_entries(&spans)),
        of("GROUPS", "an instance's members behind one interface (xdp)", groups(maps)),
        of("MEMBERS", "whose copy is at a position", members_of(&members)),
        of("CHILDREN", "what a copy is made from", children(maps, &members)),
        of("CHILD_INFO", "who a child is, and what it was sent", child_info(maps)),
        of("PEERS", "where RTCP of children comes from", peers(maps)),
        of("STREAMS", "statistics of streams", streams(maps)),
        of("DROPS", "packets and copies not forwarded", drops(maps)),
        of("EGRESS", "copies that drivers took and refused (xdp)", egress(maps, &members)),
        of("TOTALS", "what streams had that are forgotten", totals(maps)),
    ];
    let is = |map: &Contents, name: &String| map.map.eq_ignore_ascii_case(name);
    if let Some(unknown) = wanted.iter().find(|name| !all.iter().any(|map| is(map, name))) {
        let names: Vec<&str> = all.iter().map(|map| map.map).collect();
        return Err(format!("no map '{unknown}' to be shown; there are {}", names.join(", ")));
    }
    let shown = |map: &Contents| wanted.is_empty() || wanted.iter().any(|name| is(map, name));
    Ok(all.into_iter().filter(shown).collect())
}

fn of(map: &'static str, holds: &'static str, entries: Vec<Entry>) -> Contents {
    Contents { map, holds, entries }
}

/// What is in force for one IP version of a set.
struct Half {
    set: u32,
    v6: bool,
    word: SetWord,
}

/// The halves of sets that have members, of this IP version or of the other.
fn sets(maps: &Maps) -> Vec<Half> {
    let halves = (0..MAX_SETS).flat_map(|set| [(set, false), (set, true)]);
    let read = |(set, v6)| Some(Half { set, v6, word: maps.sets.get(&half(set, v6), 0).ok()? });
    halves.filter_map(read).filter(|half| half.word != SetWord::default()).collect()
}

fn relay(maps: &Maps) -> Vec<Entry> {
    let Ok(relay) = maps.relay.get(&0, 0) else { return Vec::new() };
    vec![entry! {
        "version": relay.version,
        "mode": if relay.mode == relay_common::layout::MODE_XDP { "xdp" } else { "tc" },
        "interface": interface_name(relay.ifindex),
        "ports": relay.ports,
        "generation": relay.generation,
        "node": unpadded(&relay.node),
        "modeReason": unpadded(&relay.mode_reason),
    }]
}

fn listeners(maps: &Maps) -> Vec<Entry> {
    let mut listeners: Vec<_> = maps.listeners.iter().flatten().collect();
    listeners.sort_by_key(|(key, _)| *key);
    let entry = |(key, listener): (ListenerKey, relay_common::layout::Listener)| {
        entry! {
            "address": unmapped(key.address).to_string(),
            "port": key.port,
            "kind": kind(key.port, listener.kind),
            "rtpPort": listener.port,
            "rtcp": listener.rtcp == 1,
            "routed": listener.routed == 1,
            "mac": mac_text(listener.mac),
        }
    };
    listeners.into_iter().map(entry).collect()
}

fn kind(port: u16, kind: u8) -> &'static str {
    match (port, kind) {
        (0, _) => "-",
        (_, AUDIO) => "audio",
        (_, _) => "video",
    }
}

fn routes(maps: &Maps) -> Vec<Entry> {
    let mut routes: Vec<(StreamKey, u32)> = maps.routes.iter().flatten().collect();
    routes.sort_unstable_by_key(|(key, _)| *key);
    routes.into_iter().map(|(key, set)| entry! {"port": key.port, "ssrc": key.ssrc, "set": set}).collect()
}

fn sources(maps: &Maps) -> Vec<Entry> {
    let mut prefixes: Vec<(IpAddr, u32)> =
        maps.sources.keys().flatten().map(|key| (unmapped(key.data()), key.prefix_len())).collect();
    prefixes.sort_unstable();
    let entry = |(address, length): (IpAddr, u32)| {
        // As people write it: IPv4 is mapped into the last 32 bits.
        let length = if address.is_ipv4() { length.saturating_sub(96) } else { length };
        entry! {"prefix": format!("{address}/{length}")}
    };
    prefixes.into_iter().map(entry).collect()
}

fn set_entries(sets: &[Half]) -> Vec<Entry> {
    let entry = |half: &Half| {
        entry! {
            "set": half.set,
            "ipVersion": if half.v6 { 6 } else { 4 },
            "instance": half.word.instance(),
            "mtu": half.word.mtu(),
            "ofOtherVersion": half.word.others(),
        }
    };
    sets.iter().map(entry).collect()
}

fn set_children(maps: &Maps, sets: &[Half]) -> Vec<Entry> {
    let routed: BTreeSet<u32> = maps.routes.iter().flatten().map(|(_, set)| set).collect();
    let known = sets.iter().map(|half| half.set).chain(routed).filter(|set| *set != 0);
    let known: BTreeSet<u32> = known.collect();
    let entry = |set: u32| {
        let children = children_of_mask(&maps.set_children.get(&set, 0).ok()?);
        Some(entry! {"set": set, "children": children})
    };
    known.into_iter().filter_map(entry).collect()
}

fn instance_entries(spans: &[(u32, Span)]) -> Vec<Entry> {
    let interface = |span: &Span| match span.ifindex {
        0 => "several".to_owned(),
        ifindex => interface_name(ifindex),
    };
    let entry = |(instance, span): &(u32, Span)| {
        entry! {"instance": instance, "first": span.first, "count": span.count, "interface": interface(span)}
    };
    spans.iter().map(entry).collect()
}

fn groups(maps: &Maps) -> Vec<Entry> {
    let mut groups: Vec<_> = maps.groups.iter().flatten().collect();
    groups.sort_by_key(|(key, _)| (key.instance, key.ifindex));
    let entry = |(key, span): (relay_common::layout::GroupKey, Span)| {
        let interface = interface_name(key.ifindex);
        entry! {"instance": key.instance, "interface": interface, "first": span.first, "count": span.count}
    };
    groups.into_iter().map(entry).collect()
}

fn members_of(members: &[(u32, u32)]) -> Vec<Entry> {
    members.iter().map(|(position, slot)| entry! {"position": position, "slot": slot}).collect()
}

/// The slots that members are in, and so nearly none of the 770.
fn children(maps: &Maps, members: &[(u32, u32)]) -> Vec<Entry> {
    let slots: BTreeSet<u32> = members.iter().map(|(_, slot)| *slot).collect();
    let entry = |slot: u32| {
        let child = maps.children.get(&slot, 0).ok()?;
        Some(entry! {
            "slot": slot,
            "child": child.counter,
            "destination": unmapped(child.destination).to_string(),
            "ports": child.ports,
            "source": unmapped(child.source).to_string(),
            "interface": interface_name(child.ifindex),
            "mtu": child.mtu,
            "destinationMac": mac_text(child.destination_mac),
            "sourceMac": mac_text(child.source_mac),
        })
    };
    slots.into_iter().filter_map(entry).collect()
}

fn child_info(maps: &Maps) -> Vec<Entry> {
    let children = maps.known_children().into_iter();
    let entry = |(child, info): (u32, relay_common::layout::ChildInfo)| {
        let stats = maps.stats_of(child);
        entry! {
            "child": child,
            "name": unpadded(&info.name),
            "host": unpadded(&info.host),
            "ports": info.ports,
            "slot": info.slot.checked_sub(1),
            "packets": stats.packets,
            "bytes": stats.bytes,
            "errors": stats.errors,
        }
    };
    children.map(entry).collect()
}

fn peers(maps: &Maps) -> Vec<Entry> {
    let mut peers: Vec<ListenerKey> = maps.peers.keys().flatten().collect();
    peers.sort_unstable();
    let entry = |key: ListenerKey| entry! {"address": unmapped(key.address).to_string(), "port": key.port};
    peers.into_iter().map(entry).collect()
}

fn streams(maps: &Maps) -> Vec<Entry> {
    let entry = |(key, stream): (StreamKey, relay_common::stream::Stream)| {
        entry! {
            "port": key.port,
            "ssrc": key.ssrc,
            "source": std::net::SocketAddr::new(unmapped(stream.source), stream.source_port).to_string(),
            "packets": stream.packets,
            "bytes": stream.bytes,
            "rtcpPackets": stream.rtcp_packets,
            "lost": stream.lost(),
            "reordered": stream.reordered,
            "duplicates": stream.duplicates,
        }
    };
    kernel::streams(maps).into_iter().map(entry).collect()
}

fn drops(maps: &Maps) -> Vec<Entry> {
    kernel::drops(maps)
        .into_iter()
        .map(|(reason, count)| entry! {"reason": reason, "packets": count})
        .collect()
}

fn egress(maps: &Maps, members: &[(u32, u32)]) -> Vec<Entry> {
    let children = members.iter().filter_map(|(_, slot)| maps.children.get(slot, 0).ok());
    let interfaces: BTreeSet<u32> = children.map(|child| child.ifindex).collect();
    let entry = |ifindex: u32| {
        let counted = maps.egress_of(ifindex);
        (counted.sent + counted.refused > 0).then(|| {
            entry! {"interface": interface_name(ifindex), "sent": counted.sent, "refused": counted.refused}
        })
    };
    interfaces.into_iter().filter_map(entry).collect()
}

fn totals(maps: &Maps) -> Vec<Entry> {
    let kinds = ["audio", "video"].into_iter().zip(maps.totals());
    let some = kinds.filter(|(_, total)| total.packets + total.rtcp_packets > 0);
    some.map(|(kind, total)| {
        entry! {
            "kind": kind,
            "packets": total.packets,
            "bytes": total.bytes,
            "rtcpPackets": total.rtcp_packets,
        }
    })
    .collect()
}
