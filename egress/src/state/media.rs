//! [`Media`]: what a mountpoint needs of the inputs, and nothing else: its streams are let through to the server or not.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use node::media::{Codec, Kind, PerKind, Ssrc};
use node::metrics::Kept;
use node::prefix::Prefix;
use node::repair::OfParent;
use node::sources::Known;
use node::tasks::Tasks;
use node::udp::Overflow;
use relay_common::stream::Stream;

use super::locked;

use crate::activity::{STALLED, StreamAge};
use crate::config::Config;
use crate::keyframes::{Keyframes, Picture};
use crate::mountpoints::Mountpoint;
use crate::pipeline::{Input, Lane, PipelineError, Route, Senders};
use crate::repair::{self, Notices, Repair, Way};
use crate::server::Outlet;
use crate::uplink::{Rtcp, Uplink};

/// Both inputs, and the way up for requests for keyframes.
pub(super) struct Media {
    audio: Arc<Lane>,
    video: Arc<Lane>,
    pub keyframes: Arc<Keyframes>,
    /// Asks for what is missing, unless it is not to.
    repair: Option<Arc<Repair>>,
    /// Whose packets are taken.
    pub senders: Arc<Senders>,
    overflow: Mutex<PerKind<Overflow>>,
    /// What sessions had counted whose streams are let through no more: packets of audio, of video; how often each began anew.
    gone: Mutex<Kept<String, 4>>,
    /// What goes on by itself, and what of that has failed.
    tasks: Tasks,
    epoch: Instant,
}

impl Media {
    /// Binds the ports and starts the pipelines. `sources`: where media is taken from; `epoch`: where times count from.
    pub async fn start(config: &Config, sources: BTreeSet<Prefix>, epoch: Instant) -> Result<Media, String> {
        let [audio_rtcp, video_rtcp] = config.media.map(|port| Rtcp::bind(config.listen, port));
        let (audio_rtcp, video_rtcp) = (audio_rtcp.await?, video_rtcp.await?);
        let senders = Arc::new(Senders::new(sources));
        let notices = (!config.repair_within.is_zero()).then(Notices::new);
        let lane = |kind: Kind, port: u16| {
            let input = Input { address: config.listen, port, epoch };
            let notices = notices.as_ref().map(|(notices, _)| notices.clone());
            Lane::start(kind, input, senders.clone(), notices).map_err(|error| error.to_string())
        };
        let audio = lane(Kind::Audio, config.media[0])?;
        let video = lane(Kind::Video, config.media[1])?;
        let own = config.node.host.as_ref().and_then(|host| host.parse().ok());
        let tasks = Tasks::default();
        let uplink =
            |rtcp, lane| Uplink::start(rtcp, own, lane, &tasks).map_err(|error| format!("RTCP: {error}"));
        let uplinks = PerKind { audio: uplink(audio_rtcp, &audio)?, video: uplink(video_rtcp, &video)? };
        let keyframes = Keyframes::start(video.clone(), uplinks.video.clone(), epoch, &tasks);
        let ways = PerKind::from_fn(|kind| {
            let lane = if kind == Kind::Audio { &audio } else { &video };
            Way { lane: lane.clone(), uplink: uplinks[kind].clone() }
        });
        let repair = notices.map(|notices| Repair::start(config.repair_within, ways, notices, epoch, &tasks));
        let (overflow, gone) = (Mutex::default(), Mutex::default());
        Ok(Media { audio, video, keyframes, repair, senders, overflow, gone, tasks, epoch })
    }

    /// The input of a kind.
    pub fn lane(&self, kind: Kind) -> &Arc<Lane> {
        match kind {
            Kind::Audio => &self.audio,
            Kind::Video => &self.video,
        }
    }

    /// Lets a mountpoint's streams through to these, or neither.
    pub fn route(&self, outlets: PerKind<Outlet>, mountpoint: &Mountpoint) -> Result<(), PipelineError> {
        for (kind, outlet) in outlets {
            let codec = match kind {
                Kind::Audio => Codec::Opus,
                Kind::Video => Codec::Video(mountpoint.codec),
            };
            if let Err(error) = self.lane(kind).add(mountpoint.ssrcs[kind], outlet, codec) {
                self.unroute(mountpoint);
                return Err(error);
            }
        }
        Ok(())
    }

    /// Lets them through no more.
    pub fn unroute(&self, mountpoint: &Mountpoint) {
        self.keep(mountpoint);
        for (kind, ssrc) in mountpoint.ssrcs {
            self.lane(kind).remove(ssrc);
        }
    }

    /// The same, and waits for them to come again.
    pub fn shut(&self, mountpoint: &Mountpoint) {
        self.keep(mountpoint);
        for (kind, ssrc) in mountpoint.ssrcs {
            self.lane(kind).shut(ssrc);
        }
    }

    /// What its streams have counted is not to be lost with them.
    fn keep(&self, mountpoint: &Mountpoint) {
        let routes = self.routes(mountpoint);
        if routes.iter().any(|(_, route)| route.is_some()) {
            locked(&self.gone).gone(mountpoint.session.clone(), counted(&routes));
        }
    }

    /// What the streams of a mountpoint have counted, those of its session among them that were let through before: packets of
    /// audio, of video; how often each began anew.
    pub fn counted(&self, mountpoint: &Mountpoint) -> [u64; 4] {
        let mut sum = locked(&self.gone).before(mountpoint.session.as_str());
        node::metrics::add(&mut sum, counted(&self.routes(mountpoint)));
        sum
    }

    /// Looks which keyframes have come that were asked for.
    pub fn look_at_keyframes(&self) {
        let now = self.epoch.elapsed();
        self.keyframes.look(|ssrc| {
            let route = self.video.routes().get(ssrc)?;
            let comes = route.age(now).is_some_and(|age| age <= STALLED);
            Some(Picture { keyframe: route.keyframe(), comes })
        });
    }

    /// RTP and RTCP that came from where media is taken from.
    pub fn taken(&self) -> u64 {
        Kind::BOTH.into_iter().map(|kind| self.lane(kind).counters().taken()).sum()
    }

    /// Bytes of the smallest receive buffer.
    pub fn receive_buffer(&self) -> Option<usize> {
        Kind::BOTH.into_iter().filter_map(|kind| self.lane(kind).receive_buffer()).min()
    }

    /// Waits for streams no more that were shut out.
    pub fn give_up(&self, ssrcs: PerKind<Ssrc>) {
        for (kind, ssrc) in ssrcs {
            self.lane(kind).give_up(ssrc);
        }
    }

    /// How long ago the last packet came of any session.
    pub fn age(&self) -> Option<Duration> {
        let now = self.epoch.elapsed();
        Kind::BOTH.into_iter().filter_map(|kind| self.lane(kind).counters().age(now)).min()
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

    /// RTP packets of the streams that have a route, and did not come.
    pub fn lost(&self) -> u64 {
        let routes = Kind::BOTH.into_iter().flat_map(|kind| self.lane(kind).routes().all());
        routes.map(|route| route.lost()).sum()
    }

    /// What became of packets that were missing; `None`: none is asked for.
    pub fn repair(&self) -> Option<repair::Figures> {
        self.repair.as_ref().map(|repair| repair.figures())
    }

    /// The same of each parent. Whoever changes the parents calls this before.
    pub fn repair_of_parents(&self, known: &Known) -> Vec<OfParent> {
        self.repair.as_ref().map(|repair| repair.of_parents(known)).unwrap_or_default()
    }

    /// What has come of the streams that have a route, and the time by the same clock, ns.
    pub fn streams(&self) -> (Vec<Stream>, u64) {
        let routes = Kind::BOTH.into_iter().flat_map(|kind| self.lane(kind).routes().all());
        let streams = routes.filter_map(|route| route.stream()).collect();
        (streams, self.epoch.elapsed().as_nanos() as u64)
    }

    /// Packets that were dropped on an input, by reason.
    pub fn dropped(&self, kind: Kind) -> BTreeMap<&'static str, u64> {
        let mut dropped: BTreeMap<&'static str, u64> =
            self.lane(kind).counters().dropped().into_iter().collect();
        dropped.insert("overflow", self.look()[kind].packets());
        dropped
    }

    /// What an operator should know: what was lost here, and whose packets are not taken.
    pub fn warnings(&self) -> Vec<String> {
        let now = self.epoch.elapsed();
        let (overflow, buffer) = (self.look(), self.receive_buffer());
        let lost = Kind::BOTH.into_iter().filter_map(|kind| overflow[kind].warning(kind.name(), buffer, now));
        let stranger = self.senders.turned_away(now).map(|stranger| {
            format!(
                "media of SSRC {} comes from {}, and is taken from {} only; if that is the parent behind an address \
                 translation, say --source {}",
                stranger.ssrc,
                stranger.address,
                self.senders.shown().join(", "),
                stranger.address
            )
        });
        let unrepaired = self.repair.as_ref().and_then(|repair| repair.warning());
        lost.chain(stranger).chain(unrepaired).chain(self.tasks.warnings()).collect()
    }

    /// Looks at what the kernel has dropped.
    pub fn look(&self) -> PerKind<Overflow> {
        let now = self.epoch.elapsed();
        let mut overflow = locked(&self.overflow);
        for kind in Kind::BOTH {
            overflow[kind].saw(self.lane(kind).overflow(), now);
        }
        *overflow
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

fn counted(routes: &PerKind<Option<Arc<Route>>>) -> [u64; 4] {
    let of = |of: fn(&Route) -> u64| {
        routes.as_ref().map(|route| route.as_ref().map_or(0, |route| of(route))).into_array()
    };
    let ([audio, video], [audio_anew, video_anew]) = (of(Route::packets), of(Route::republished));
    [audio, video, audio_anew, video_anew]
}
