//! Whose packet is this? The policy of `relay-ebpf/src/classify.rs`, for packets that a socket delivered: the kernel
//! has already looked at addresses, ports, lengths and checksums.

use std::collections::HashMap;
use std::sync::atomic::AtomicUsize;

use relay_common::layout::{StreamKey, clock_rate};
use relay_common::parse::{Payload, payload_of};
use relay_common::reason::Reason;
use relay_common::stream::{Arrival, Stream, units_per_ns};

use super::books::{self, Books};
use super::listen::Endpoint;
use super::plan::Compiled;
use super::socket::Received;

/// A packet to forward.
pub struct Media<'p> {
    pub key: StreamKey,
    /// Which port of the child's pair: 0 RTP, 1 RTCP.
    pub port: usize,
    /// Indexes of the children; never empty.
    pub set: &'p [usize],
}

/// What [`classify`] needs to know of the thread's batch.
pub struct Context<'a> {
    pub endpoint: &'a Endpoint,
    pub kind: u8,
    pub plan: &'a Compiled,
    pub books: &'a Books,
    pub known: &'a AtomicUsize,
}

/// Decides whether the packet is media to forward, keeps the books of its stream, and finds its children.
pub fn classify<'a>(
    packet: &Received<'_>,
    now: u64,
    context: &Context<'a>,
    streams: &mut HashMap<StreamKey, Stream>,
) -> Result<Media<'a>, Reason> {
    let Context { endpoint, kind, plan, books, known } = context;
    if !packet.unicast {
        return Err(Reason::NotLocal);
    }
    if !packet.whole {
        return Err(Reason::BadLength);
    }
    let payload = payload_of(packet.payload, endpoint.rtcp)?;
    if packet.ttl <= 1 {
        return Err(Reason::TtlExpired);
    }
    let (Payload::Rtp { ssrc, .. } | Payload::Rtcp { ssrc, .. }) = payload;
    let key = StreamKey { port: endpoint.port, reserved: [0; 2], ssrc };
    match payload {
        Payload::Rtp { sequence, timestamp, .. } => {
            let rate = units_per_ns(clock_rate(*kind));
            let arrival = Arrival { sequence, timestamp, bytes: packet.payload.len() as u16, now, rate };
            // Such a packet is forwarded all the same.
            books::record(streams, known, key, arrival, packet.source, packet.source_port)
                .unwrap_or_else(|reason| books.drop(reason, 1));
        }
        Payload::Rtcp { .. } => {
            if plan.is_peer(packet.source, packet.source_port) {
                return Err(Reason::RtcpFromChild);
            }
            if let Some(stream) = streams.get_mut(&key) {
                stream.rtcp_packets += 1;
            }
        }
    }
    let set = plan.set(&key);
    if set.is_empty() {
        return Err(Reason::NoChildren);
    }
    Ok(Media { key, port: usize::from(endpoint.rtcp), set })
}
