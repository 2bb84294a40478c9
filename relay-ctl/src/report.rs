//! Views of a kernel data plane, from its maps alone: the daemon and, when that is down, the command line show the same.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::path::Path;

use node::topology::TopologyView;
use relay_common::layout::{AUDIO, ChildInfo, Egress, MODE_XDP, StreamKey, Total, clock_rate};
use relay_common::reason::{Fate, Reason};
use relay_common::stream::Stream;

use crate::address::unmapped;
use crate::clock::{monotonic_ns, now_ms};
use crate::fanout::ChildId;
use crate::kernel::{self, KernelError, Maps, Pins, pins, unpadded};
use crate::mode::Mode;
use crate::view;

/// `status`, as far as the maps know.
pub fn status(maps: &Maps, pins: &Pins) -> view::Status {
    let not_made = kernel::copies_not_made(maps);
    let sums = Sums { not_made, ..Sums::of(&kernel::streams(maps), maps.totals()) };
    let children = children(maps);
    view::Status {
        topology: TopologyView {
            children: children.iter().map(|child| child.name.clone()).collect(),
            ..TopologyView::default()
        },
        forwarding: forwarding(&children),
        ..outline(maps, pins, sums)
    }
}

/// The maps of an interface, or of the only one that has any. An error is one line.
pub fn pinned(pin_root: &Path, interface: Option<&str>) -> Result<(Pins, Maps), String> {
    let names = Pins::interfaces(pin_root);
    let interface = match (interface, names.as_slice()) {
        (Some(interface), _) => interface,
        (None, [only]) => only,
        (None, []) => return Err(format!("and nothing is pinned in {}", pin_root.display())),
        (None, several) => return Err(format!("name one with --interface: {}", several.join(", "))),
    };
    let pins = Pins::new(pin_root, interface);
    if !pins.versioned().exists() {
        let error = KernelError::NotAttached { interface: interface.to_owned(), folder: pins.versioned() };
        return Err(error.to_string());
    }
    let maps = Maps::open(&pins).map_err(|error| error.to_string())?;
    Ok((pins, maps))
}

/// Who manages an interface.
pub fn keeper(pin_root: &Path, interface: &str) -> String {
    let pins = Pins::new(pin_root, interface);
    match (pins.is_locked(), pins.keeper(), pins.is_linked()) {
        (true, Some(pid), _) => format!("held by relay-ctl PID {pid}"),
        (true, None, _) => "held by a relay-ctl of another container".to_owned(),
        (false, _, true) => format!(
            "attached, and no daemon is there; forwarding goes on, and `relay-ctl attach {interface}` takes over"
        ),
        (false, _, false) => "nothing is attached".to_owned(),
    }
}

/// All streams together, those that are forgotten included.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Sums {
    /// RTP and RTCP packets.
    pub packets: u64,
    /// RTP bytes.
    pub bytes: u64,
    /// Copies that the kernel did not make, see [`kernel::copies_not_made`].
    pub not_made: u64,
}

impl Sums {
    /// Adds up.
    pub fn of(streams: &[(StreamKey, Stream)], forgotten: [Total; 2]) -> Sums {
        let streams = streams.iter().map(|(_, stream)| Total::from(stream));
        streams.chain(forgotten).fold(Sums::default(), |sums, one| Sums {
            packets: sums.packets + one.packets + one.rtcp_packets,
            bytes: sums.bytes + one.bytes,
            ..sums
        })
    }
}

/// `status` without children, which the daemon knows better.
pub fn outline(maps: &Maps, pins: &Pins, sums: Sums) -> view::Status {
    let relay = maps.relay.get(&0, 0).ok();
    let mut addresses: Vec<IpAddr> = maps
        .listeners
        .keys()
        .flatten()
        .filter(|key| key.port == 0)
        .map(|key| unmapped(key.address))
        .collect();
    addresses.sort();
    let mode = if relay.is_some_and(|relay| relay.mode == MODE_XDP) { Mode::Xdp } else { Mode::Tc };
    let spread = pins.file(pins::LINK_BUSY).exists();
    let on_xdp = match mode {
        Mode::Xdp if spread => "relay_spread relay_xdp_cpu relay_copy",
        Mode::Xdp => "relay_xdp relay_copy",
        _ => "relay_pass",
    };
    let links = [
        (pins::LINK_XDP, on_xdp),
        (pins::LINK_TCX, "relay_tc"),
        (pins::LINK_XMIT, "relay_xmit"),
        (pins::LINK_BUSY, "relay_busy"),
    ];
    let attached_programs = links.iter().filter(|(link, _)| pins.file(link).exists());
    let programs = attached_programs.flat_map(|(_, names)| names.split(' ').map(str::to_owned)).collect();
    let attached = pins.is_linked();
    let mut problems: Vec<String> = Vec::new();
    if !attached {
        problems.push("no program is attached".to_owned());
    }
    let mut counted = kernel::drops(maps);
    if sums.not_made > 0 {
        // The programs count those that they can see missing, which are some of these.
        let not_made = counted.entry(Reason::CopyNotMade.name().to_owned()).or_default();
        *not_made = sums.not_made.max(*not_made);
    }
    let (drops, passed_to_stack) = by_fate(counted);
    let ports = relay.map_or([0; 2], |relay| relay.ports);
    view::Status {
        node_id: relay.map_or_else(String::new, |relay| unpadded(&relay.node)),
        node_type: "relay".to_owned(),
        tree_id: String::new(),
        healthy: attached,
        daemon: false,
        uptime: relay.map_or(0, |relay| now_ms().saturating_sub(relay.attached) / 1000),
        network: view::Network {
            addresses: addresses.iter().map(ToString::to_string).collect(),
            audio_port: ports[0],
            video_port: ports[1],
        },
        sources: maps.prefixes().iter().map(ToString::to_string).collect(),
        topology: TopologyView::default(),
        redis: None,
        gstreamer: view::Gstreamer {
            audio_running: attached,
            video_running: attached,
            audio_restarts: 0,
            video_restarts: 0,
        },
        forwarding: forwarding(&[]),
        dataplane: view::Dataplane {
            mode,
            mode_reason: relay.map_or_else(String::new, |relay| unpadded(&relay.mode_reason)),
            interface: pins.interface().to_owned(),
            generation: relay.map_or(0, |relay| relay.generation),
            programs,
            packets: sums.packets,
            bytes: sums.bytes,
            drops,
            passed_to_stack,
            egress: if mode == Mode::Xdp { egress(maps) } else { BTreeMap::new() },
            receive_overflow: None,
        },
        repair: None,
        drain: None,
        problems,
        warnings: Vec::new(),
    }
}

/// Counters by reason: what was lost, and what was none of the relay's business.
type ByFate = (BTreeMap<String, u64>, BTreeMap<String, u64>);

/// Tells the counters apart by what became of the packets.
pub fn by_fate(counted: impl IntoIterator<Item = (String, u64)>) -> ByFate {
    let to_stack =
        |name: &str| Reason::ALL.iter().any(|reason| reason.name() == name && reason.fate() == Fate::Stack);
    counted.into_iter().partition(|(name, _)| !to_stack(name))
}

/// `forwarding` of `status`.
pub fn forwarding(children: &[view::Child]) -> view::Forwarding {
    view::Forwarding {
        children_count: children.len(),
        children: children.iter().map(|child| child.name.clone()).collect(),
    }
}

/// `children`, as far as the maps know.
pub fn children(maps: &Maps) -> Vec<view::Child> {
    let mut children: Vec<view::Child> =
        maps.known_children().into_iter().map(|(id, info)| child(maps, id, &info)).collect();
    children.sort_by(|a, b| a.name.cmp(&b.name));
    children
}

fn child(maps: &Maps, id: ChildId, info: &ChildInfo) -> view::Child {
    let headers = info.slot.checked_sub(1).and_then(|slot| maps.children.get(&slot, 0).ok());
    let stats = maps.stats_of(id);
    view::Child {
        name: unpadded(&info.name),
        host: unpadded(&info.host),
        audio_port: info.ports[0],
        video_port: info.ports[1],
        state: if headers.is_some() { view::ChildState::Forwarding } else { view::ChildState::Resolving },
        problem: None,
        address: headers.map(|headers| unmapped(headers.destination).to_string()),
        interface: headers.map(|headers| interface_name(headers.ifindex)),
        mac: headers.map(|headers| mac_text(headers.destination_mac)),
        packets: stats.packets,
        bytes: stats.bytes,
        errors: stats.errors,
        too_big: stats.too_big,
        stale: false,
        held: false,
    }
}

/// `streams`, with the children of routed ones by name.
pub fn streams(maps: &Maps) -> Vec<view::Stream> {
    let names: BTreeMap<ChildId, String> =
        maps.known_children().into_iter().map(|(id, info)| (id, unpadded(&info.name))).collect();
    let routes = kernel::routes(maps);
    let audio = maps.relay.get(&0, 0).map_or(0, |relay| relay.ports[0]);
    let own = |key: &StreamKey| {
        routes.get(key).map(|subset| subset.iter().filter_map(|id| names.get(id).cloned()).collect())
    };
    kernel::streams(maps).iter().map(|(key, stream)| self::stream(key, stream, audio, own(key))).collect()
}

/// One stream.
pub fn stream(
    key: &StreamKey,
    stream: &Stream,
    audio_port: u16,
    children: Option<Vec<String>>,
) -> view::Stream {
    let audio = key.port == audio_port;
    let rate = clock_rate(if audio { AUDIO } else { AUDIO + 1 });
    view::Stream {
        port: key.port,
        ssrc: key.ssrc,
        kind: if audio { "audio" } else { "video" }.to_owned(),
        session: None,
        source: std::net::SocketAddr::new(unmapped(stream.source), stream.source_port).to_string(),
        packets: stream.packets,
        bytes: stream.bytes,
        rtcp_packets: stream.rtcp_packets,
        lost: stream.lost(),
        repaired: 0,
        reordered: stream.reordered,
        duplicates: stream.duplicates,
        jitter_ms: f64::from(stream.jitter_units()) * 1000.0 / f64::from(rate),
        last_seen_ms: monotonic_ns().saturating_sub(stream.last_seen) / 1_000_000,
        restarts: stream.restarts,
        children,
    }
}

fn egress(maps: &Maps) -> BTreeMap<String, view::Egress> {
    let slots = maps.known_children().into_iter().filter_map(|(_, info)| info.slot.checked_sub(1));
    let interfaces: BTreeSet<u32> =
        slots.filter_map(|slot| maps.children.get(&slot, 0).ok()).map(|headers| headers.ifindex).collect();
    let counted = |ifindex: u32| {
        let Egress { sent, refused } = maps.egress_of(ifindex);
        (interface_name(ifindex), view::Egress { sent, refused })
    };
    interfaces.into_iter().map(counted).collect()
}

/// An interface's name, or its index when it is gone.
pub fn interface_name(ifindex: u32) -> String {
    nix::net::if_::if_indextoname(ifindex)
        .map_or_else(|_| format!("#{ifindex}"), |name| name.to_string_lossy().into_owned())
}

/// A MAC address as people write it.
pub fn mac_text(mac: [u8; 6]) -> String {
    mac.map(|byte| format!("{byte:02x}")).join(":")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_went_to_the_stack_was_not_dropped() {
        let counted = [("not-udp", 1237), ("no-children", 3), ("other-family", 2), ("rtcp-from-child", 1)];
        let (drops, passed) = by_fate(counted.map(|(name, count)| (name.to_owned(), count)));
        assert_eq!(Vec::from_iter(drops), [("no-children".to_owned(), 3), ("other-family".to_owned(), 2)]);
        assert_eq!(Vec::from_iter(passed), [("not-udp".to_owned(), 1237), ("rtcp-from-child".to_owned(), 1)]);
    }
}
