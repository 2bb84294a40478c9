//! Whose packet is this? The policy of `relay-ebpf/src/classify.rs`, for packets that a socket delivered: the kernel
//! has already looked at addresses, ports, lengths and checksums.

use std::collections::HashMap;
use std::sync::atomic::AtomicUsize;

use relay_common::layout::{StreamKey, clock_rate};
use relay_common::parse::{Payload, payload_of};
use relay_common::reason::Reason;
use relay_common::stream::{Arrival, Elsewhere, Missing, Standing, Stream, units_per_ns};

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
    /// Of RTP, what repair has to know.
    pub rtp: Option<Rtp>,
}

/// An RTP packet that is forwarded.
#[derive(Clone, Copy)]
pub struct Rtp {
    pub sequence: u16,
    /// When it came, CLOCK_MONOTONIC ns.
    pub came: u64,
    /// What the stream jumped over with it.
    pub gap: Option<Missing>,
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
    let Context { endpoint, kind, plan, .. } = context;
    if !packet.unicast || packet.is_disguised() {
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
    let rtp = match payload {
        Payload::Rtp { sequence, timestamp, .. } => {
            let rate = units_per_ns(clock_rate(*kind));
            let arrival = Arrival { sequence, timestamp, bytes: packet.payload.len() as u16, now, rate };
            let gap = rtp(packet, key, arrival, context, streams)?;
            Some(Rtp { sequence, came: now, gap })
        }
        Payload::Rtcp { feedback, .. } => {
            rtcp(packet, key, feedback, now, context, streams)?;
            None
        }
    };
    let set = plan.set(&key);
    if set.is_empty() {
        return Err(Reason::NoChildren);
    }
    Ok(Media { key, port: usize::from(endpoint.rtcp), set, rtp })
}

/// Takes one RTP packet into its stream's statistics, if it may belong there. Gives what the stream jumped over with it.
fn rtp(
    packet: &Received<'_>,
    key: StreamKey,
    arrival: Arrival,
    context: &Context<'_>,
    streams: &mut HashMap<StreamKey, Stream>,
) -> Result<Option<Missing>, Reason> {
    let (source, port, plan) = (&packet.source, packet.source_port, context.plan);
    let Some(stream) = streams.get_mut(&key) else {
        plan.admit(source)?;
        context.begin(
            streams,
            key,
            Stream { changes: plan.version, ..Stream::begin(arrival, *source, port) },
        );
        return Ok(None);
    };
    // Asked once a plan, not for every packet.
    if stream.changes != plan.version || !stream.is_from(source, port) {
        plan.admit(source)?;
    }
    let is_own = stream.is_from(source, port);
    let before = stream.highest;
    let became = match if is_own { Standing::Own } else { plan.standing(&stream.source, source) } {
        Standing::Own if stream.once == 0 => {
            if stream.update(arrival) {
                Elsewhere::Moved
            } else {
                Elsewhere::Repeated
            }
        }
        Standing::Apart => stream.elsewhere(source, port, arrival),
        standing => stream.take_once(source, port, arrival, standing),
    };
    if is_own || became == Elsewhere::Moved {
        stream.changes = plan.version;
    }
    match became {
        Elsewhere::Moved | Elsewhere::Taken => Ok(stream.missing_since(before)),
        Elsewhere::Repeated => Err(Reason::Duplicate),
        Elsewhere::Collision => Err(Reason::SsrcCollision),
    }
}

/// Takes one RTCP packet into account, if it is for the children: what a stream's sender says, not what receivers do.
fn rtcp(
    packet: &Received<'_>,
    key: StreamKey,
    feedback: bool,
    now: u64,
    context: &Context<'_>,
    streams: &mut HashMap<StreamKey, Stream>,
) -> Result<(), Reason> {
    let (source, port, plan) = (&packet.source, packet.source_port, context.plan);
    let child = plan.is_peer(source);
    if feedback {
        return Err(if child { Reason::RtcpFromChild } else { Reason::RtcpFeedback });
    }
    let Some(stream) = streams.get_mut(&key) else {
        if child {
            return Err(Reason::RtcpFromChild);
        }
        plan.admit(source)?;
        // Its first RTP packet is to be looked at: no plan has the version 0.
        context.begin(streams, key, Stream::begin_with_rtcp(now, *source, port));
        return Ok(());
    };
    let is_own = stream.is_from_address(source);
    if child && !is_own {
        return Err(Reason::RtcpFromChild);
    }
    plan.admit(source)?;
    match if is_own { Standing::Own } else { plan.standing(&stream.source, source) } {
        Standing::Own | Standing::OneOfTwo | Standing::Gone => {
            stream.rtcp_packets += 1;
            Ok(())
        }
        // The other parent says the same.
        Standing::Twin => Err(Reason::Duplicate),
        Standing::Apart => Err(Reason::SsrcCollision),
    }
}

impl Context<'_> {
    /// A stream that does not fit into the table is forwarded all the same.
    fn begin(&self, streams: &mut HashMap<StreamKey, Stream>, key: StreamKey, stream: Stream) {
        if let Err(reason) = books::begin(streams, self.known, key, stream) {
            self.books.drop(reason, 1);
        }
    }
}
