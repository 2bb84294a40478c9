//! [`Session`]: ICE, DTLS and SRTP of one publisher or viewer, by str0m, over one UDP socket. It takes packets as they are: RTP in,
//! RTP out, nothing put together.

use std::net::{SocketAddr, UdpSocket};
use std::time::Instant;

use anyhow::{Context, Result};
use str0m::change::{SdpAnswer, SdpPendingOffer};
use str0m::format::{Codec, CodecConfig, FormatParams, PayloadParams};
use str0m::media::{Direction, Frequency, MediaKind, Mid};
use str0m::net::{Protocol, Receive};
use str0m::{Candidate, Event, Input, Output, Rtc};

use crate::socket;

/// Whose payload types are offered.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum Numbers {
    /// The tree's, which are Chromium's as well.
    Tree,
    /// Firefox': others for each codec.
    Firefox,
    /// Those that GStreamer's whepsrc has by default.
    Gstreamer,
}

/// Payload types of a codec and of its retransmissions (RFC 4588).
type Pair = (u8, Option<u8>);

impl Numbers {
    /// Of that codec.
    pub fn of(self, codec: Codec) -> Pair {
        match (self, codec) {
            (Numbers::Tree, Codec::Vp8) => (96, Some(97)),
            (Numbers::Tree, Codec::H264) => (108, Some(109)),
            (Numbers::Tree, _) => (111, None),
            (Numbers::Firefox, Codec::Vp8) => (120, Some(124)),
            (Numbers::Firefox, Codec::H264) => (126, Some(127)),
            (Numbers::Firefox, _) => (109, None),
            (Numbers::Gstreamer, Codec::Vp8) => (101, None),
            (Numbers::Gstreamer, Codec::H264) => (103, None),
            (Numbers::Gstreamer, _) => (96, None),
        }
    }

    /// What is in a packet with that payload type; `None` for a retransmission and for what nobody offered.
    pub fn codec(self, payload_type: u8) -> Option<Codec> {
        [Codec::Opus, Codec::Vp8, Codec::H264].into_iter().find(|codec| self.of(*codec).0 == payload_type)
    }
}

/// What is offered.
#[derive(Clone, Debug)]
pub struct Terms {
    /// Of the video, in this order.
    pub video: Vec<Codec>,
    /// By which numbers.
    pub numbers: Numbers,
    /// Whether missing packets are asked for, and lost ones sent again.
    pub repairs: bool,
    /// Receive or send.
    pub direction: Direction,
}

impl Terms {
    fn codecs(&self) -> CodecConfig {
        let mut config = CodecConfig::empty();
        let (opus, _) = self.numbers.of(Codec::Opus);
        let format = FormatParams { min_p_time: Some(10), use_inband_fec: Some(true), ..Default::default() };
        config.add_config(opus.into(), None, Codec::Opus, Frequency::FORTY_EIGHT_KHZ, Some(2), format);
        for codec in &self.video {
            let (number, again) = self.numbers.of(*codec);
            let again = again.filter(|_| self.repairs).map(Into::into);
            match codec {
                // Constrained baseline, which every browser decodes.
                Codec::H264 => config.add_h264(number.into(), again, true, 0x0042_e01f),
                _ => config.add_config(
                    number.into(),
                    again,
                    *codec,
                    Frequency::NINETY_KHZ,
                    None,
                    FormatParams::default(),
                ),
            }
        }
        let mut all: Vec<PayloadParams> = config.params().to_vec();
        for one in all.iter_mut().filter(|one| one.spec().codec.is_video()) {
            one.set_fb_nack(self.repairs);
        }
        CodecConfig::new_from_payload_params(all)
    }
}

/// A session; it does something only while it is [polled](Session::poll).
pub struct Session {
    pub rtc: Rtc,
    own: SocketAddr,
}

/// What was offered and waits for its answer.
pub struct Offer {
    /// The description.
    pub sdp: String,
    /// Of audio and video.
    pub mids: [Mid; 2],
    pending: SdpPendingOffer,
}

impl Session {
    /// A session with its socket and its offer, for a server that is reached by HTTP there.
    pub fn offer(server: SocketAddr, terms: &Terms) -> Result<(Self, UdpSocket, Offer)> {
        let socket = socket::open(socket::address_towards(server)?)?;
        let own = socket.local_addr()?;
        let mut config = Rtc::builder().set_rtp_mode(true);
        *config.codec_config() = terms.codecs();
        let mut rtc = config.build(Instant::now());
        rtc.add_local_candidate(Candidate::host(own, "udp")?);
        let mut change = rtc.sdp_api();
        let mids = [MediaKind::Audio, MediaKind::Video]
            .map(|kind| change.add_media(kind, terms.direction, None, None, None));
        let (offer, pending) = change.apply().context("no offer")?;
        Ok((Self { rtc, own }, socket, Offer { sdp: offer.to_sdp_string(), mids, pending }))
    }

    /// Takes the answer.
    pub fn accept(&mut self, offer: Offer, answer: &str) -> Result<()> {
        let answer = SdpAnswer::from_sdp_string(answer).context("the answer is no description")?;
        self.rtc.sdp_api().accept_answer(offer.pending, answer).context("the answer fits no offer")
    }

    /// A packet has come, or none has and it is time.
    pub fn take(&mut self, packet: Option<(&[u8], SocketAddr)>) -> Result<()> {
        let now = Instant::now();
        let Some((bytes, source)) = packet else { return Ok(self.rtc.handle_input(Input::Timeout(now))?) };
        // What is nothing of WebRTC's is none of ours.
        let Ok(contents) = bytes.try_into() else { return Ok(()) };
        let received = Receive { proto: Protocol::Udp, source, destination: self.own, contents };
        Ok(self.rtc.handle_input(Input::Receive(now, received))?)
    }

    /// Sends what there is to send, hands on what happened, and gives the time of the next [`Session::take`].
    pub fn poll(&mut self, socket: &UdpSocket, mut happened: impl FnMut(Event)) -> Result<Instant> {
        loop {
            match self.rtc.poll_output()? {
                Output::Timeout(due) => return Ok(due),
                Output::Transmit(sent) => {
                    // To a candidate that cannot be reached from here; or there is no room: lost, as in any network.
                    let _ = socket.send_to(&sent.contents, sent.destination);
                }
                Output::Event(event) => happened(event),
            }
        }
    }
}
