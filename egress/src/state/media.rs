//! [`Media`]: what a mountpoint needs of the inputs, and nothing else: its streams are let through to Janus or not.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Instant;

use node::media::{Codec, Kind, PerKind};

use crate::activity::StreamAge;
use crate::config::Config;
use crate::keyframes::{Keyframes, Sockets};
use crate::mountpoints::Mountpoint;
use crate::pipeline::{Input, Lane, PipelineError, Route};
use crate::streaming::Streaming;

/// Both inputs, and the way up for requests for keyframes.
pub(super) struct Media {
    audio: Arc<Lane>,
    video: Arc<Lane>,
    pub keyframes: Arc<Keyframes>,
    epoch: Instant,
}

impl Media {
    /// Binds the ports and starts the pipelines. `epoch`: where times count from.
    pub async fn start(config: &Config, epoch: Instant) -> Result<Media, String> {
        let sockets = Sockets::bind(config.listen, config.media).await?;
        let lane = |kind: Kind, port: u16| {
            Lane::start(kind, Input { address: config.listen, port, epoch })
                .map_err(|error| error.to_string())
        };
        let audio = lane(Kind::Audio, config.media[0])?;
        let video = lane(Kind::Video, config.media[1])?;
        let keyframes = Keyframes::start(sockets, video.clone(), epoch);
        Ok(Media { audio, video, keyframes, epoch })
    }

    /// The input of a kind.
    pub fn lane(&self, kind: Kind) -> &Arc<Lane> {
        match kind {
            Kind::Audio => &self.audio,
            Kind::Video => &self.video,
        }
    }

    /// Lets a mountpoint's streams through to Janus, or neither.
    pub fn route(&self, streaming: &Streaming, mountpoint: &Mountpoint) -> Result<(), PipelineError> {
        let streams =
            [(Codec::Opus, mountpoint.ports.audio), (Codec::Video(mountpoint.codec), mountpoint.ports.video)];
        for (codec, port) in streams {
            let (kind, target) = (codec.kind(), SocketAddr::new(streaming.host, port));
            if let Err(error) = self.lane(kind).add(mountpoint.ssrcs[kind], target, codec) {
                self.unroute(mountpoint);
                return Err(error);
            }
        }
        self.keyframes.add(SocketAddr::new(streaming.host, mountpoint.ports.rtcp), mountpoint.ssrcs.video);
        Ok(())
    }

    /// Lets them through no more.
    pub fn unroute(&self, mountpoint: &Mountpoint) {
        for (kind, ssrc) in mountpoint.ssrcs {
            self.lane(kind).remove(ssrc);
        }
        self.keyframes.remove(mountpoint.ssrcs.video);
    }

    /// The routes of a mountpoint's streams.
    pub fn routes(&self, mountpoint: &Mountpoint) -> PerKind<Option<Arc<Route>>> {
        PerKind::from_fn(|kind| self.lane(kind).routes().get(mountpoint.ssrcs[kind]))
    }

    /// When a mountpoint's streams last came in.
    pub fn ages(&self, mountpoint: &Mountpoint) -> PerKind<StreamAge> {
        let (now, routes) = (self.epoch.elapsed(), self.routes(mountpoint));
        PerKind::from_fn(|kind| {
            let age = routes[kind].as_ref().and_then(|route| route.age(now));
            StreamAge { ssrc: mountpoint.ssrcs[kind], age }
        })
    }

    /// RTP packets and bytes that had a route: audio, video.
    pub fn received(&self) -> [(u64, u64); 2] {
        Kind::BOTH.map(|kind| {
            let counters = self.lane(kind).counters();
            (counters.packets.load(Ordering::Relaxed), counters.bytes.load(Ordering::Relaxed))
        })
    }

    /// Why inputs do not run.
    pub fn problems(&self) -> impl Iterator<Item = String> {
        Kind::BOTH.into_iter().filter_map(|kind| self.lane(kind).problem())
    }

    /// Ends both inputs.
    pub fn stop(&self) {
        self.audio.stop();
        self.video.stop();
    }
}
