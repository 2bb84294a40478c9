//! What a page's connections say: not the page's own account but the browser's (W3C webrtc-stats).

use serde::Deserialize;

/// Run before any script of the page: every connection that it makes is remembered.
pub(super) const REMEMBER_PEERS: &str = "
    window.labPeers = [];
    const Native = window.RTCPeerConnection;
    window.RTCPeerConnection = class extends Native {
        constructor(...all) { super(...all); window.labPeers.push(this); }
    };";

/// Gives [`Statistics`].
pub(super) const STATISTICS: &str = "
    const done = arguments[arguments.length - 1];
    (async () => {
        const inbound = [], outbound = [];
        // Firefox never answers about a connection that is closed meanwhile.
        const report = async peer => {
            let look;
            const closed = new Promise(done => {
                look = setInterval(() => peer.connectionState === 'closed' && done(new Map()), 50);
            });
            try { return await Promise.race([peer.getStats(), closed]); } finally { clearInterval(look); }
        };
        for (const peer of window.labPeers) {
            if (peer.connectionState === 'closed') continue;
            for (const entry of (await report(peer)).values()) {
                if (entry.type === 'inbound-rtp') inbound.push(entry);
                if (entry.type === 'outbound-rtp') outbound.push(entry);
            }
        }
        done(JSON.stringify({
            states: window.labPeers.map(peer => peer.connectionState), inbound, outbound,
            title: document.title, text: document.body.innerText,
        }));
    })();";

/// How each connection's own candidate came about, and what its relay is spoken to by, or the other side where that is TCP. Firefox
/// has no reports of transports, and says of a pair whether it is the one.
pub(super) const WAYS: &str = "
    const done = arguments[arguments.length - 1];
    (async () => {
        const ways = [];
        for (const peer of window.labPeers) {
            if (peer.connectionState !== 'connected') continue;
            const report = await peer.getStats(), all = [...report.values()];
            const transport = all.find(entry => entry.type === 'transport' && entry.selectedCandidatePairId);
            const pair = transport ? report.get(transport.selectedCandidatePairId)
                : all.find(entry => entry.type === 'candidate-pair' && entry.selected);
            const local = pair && report.get(pair.localCandidateId);
            const by = local && (local.relayProtocol || (local.protocol === 'tcp' ? 'tcp' : ''));
            if (local) ways.push(local.candidateType + (by ? ' ' + by : ''));
        }
        done(JSON.stringify(ways));
    })();";

/// One received stream, by the names of the W3C's webrtc-stats.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Inbound {
    /// `audio` or `video`.
    pub kind: String,
    /// SSRC.
    pub ssrc: u32,
    /// Packets.
    pub packets_received: u64,
    /// Packets lost; a late one counts back.
    pub packets_lost: i64,
    /// Frames decoded.
    pub frames_decoded: u64,
    /// Width of the picture.
    pub frame_width: u64,
    /// Times that the picture stood still.
    pub freeze_count: u64,
    /// Requests for packets that are missing.
    pub nack_count: u64,
    /// Requests for a keyframe.
    pub pli_count: u64,
}

/// One sent stream.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Outbound {
    /// `audio` or `video`.
    pub kind: String,
    /// Packets.
    pub packets_sent: u64,
    /// Frames encoded.
    pub frames_encoded: u64,
}

/// What a page's connections say, and what the page shows.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub struct Statistics {
    /// `connectionState` of each connection it ever made.
    pub states: Vec<String>,
    /// Streams received, of all connections that are not closed.
    pub inbound: Vec<Inbound>,
    /// Streams sent.
    pub outbound: Vec<Outbound>,
    /// The title.
    pub title: String,
    /// All text.
    pub text: String,
}

impl Statistics {
    /// The received stream of a kind that has the most packets.
    pub fn inbound(&self, kind: &str) -> Inbound {
        let streams = self.inbound.iter().filter(|stream| stream.kind == kind);
        streams.max_by_key(|stream| stream.packets_received).cloned().unwrap_or_default()
    }

    /// The same of what is sent.
    pub fn outbound(&self, kind: &str) -> Outbound {
        let streams = self.outbound.iter().filter(|stream| stream.kind == kind);
        streams.max_by_key(|stream| stream.packets_sent).cloned().unwrap_or_default()
    }
}
