//! Viewers by a Janus with the Streaming plugin: each session is a mountpoint there, each viewer a handle.
//!
//! `streaming`: what is said to the plugin; `seat`: a viewer's handle; `requests`: keyframes that Janus wants, and how old such a
//! wish is (`keyframe_age`); `observer`: how viewers fare, by the admin API: whom it asks about and when (`agenda`), and what it
//! hears (`handle_info`).

mod agenda;
mod handle_info;
mod keyframe_age;
mod observer;
mod requests;
mod seat;
mod streaming;

use std::collections::{BTreeMap, BTreeSet};
use std::io::ErrorKind;
use std::net::{IpAddr, Ipv4Addr, SocketAddr, UdpSocket};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use node::addresses;
use node::media::PerKind;
use node::port::Transport;
use sdp_types::Session;

pub use streaming::{PLUGIN, admits, is_bad_sdp, is_clash};

use self::observer::{Observer, Visit};
use self::requests::Requests;
use self::seat::JanusSeat;
use self::streaming::{Streaming, is_port_taken};
use super::{Ages, Figures, Outlet, Server, ServerError, Watching};
use crate::config::JanusConfig;
use crate::keyframes::Keyframes;
use crate::mountpoints::Mountpoint;
use crate::portpool::Pair;
use crate::sdp::{self, Common, Numbers};

/// A Janus.
pub struct JanusServer {
    config: JanusConfig,
    node_id: String,
    /// The connection, while there is one.
    connection: Mutex<Option<Streaming>>,
    /// What it said last of what it gets, by mountpoint.
    ages: Mutex<BTreeMap<u64, Ages>>,
    requests: Arc<Requests>,
    keyframes: Arc<Keyframes>,
    /// Where its admin API is known.
    observer: Option<Arc<Observer>>,
}

impl JanusServer {
    /// Not connected yet. `listen`: address on which Janus may say what it wants; `keyframes`: the way up the tree for that.
    pub async fn new(
        config: JanusConfig,
        node_id: String,
        listen: IpAddr,
        keyframes: Arc<Keyframes>,
    ) -> Result<JanusServer, String> {
        let requests = Requests::start(listen, keyframes.clone()).await;
        let requests = requests.map_err(|error| format!("RTCP: {error}"))?;
        let (connection, ages) = (Mutex::default(), Mutex::default());
        let observer = config.admin.clone().map(Observer::start);
        Ok(JanusServer { config, node_id, connection, ages, requests, keyframes, observer })
    }

    fn streaming(&self) -> Result<Streaming, ServerError> {
        let connection = locked(&self.connection).clone();
        connection.ok_or_else(|| ServerError::Away("Janus is not connected to".to_owned()))
    }
}

impl Server for JanusServer {
    fn name(&self) -> &'static str {
        "Janus"
    }

    fn place(&self) -> String {
        format!("Janus at {}", self.config.url)
    }

    fn numbers(&self) -> Numbers {
        Numbers::Trees
    }

    fn connect(&self) -> BoxFuture<'_, Result<(), String>> {
        async {
            let connecting = Streaming::connect(&self.config, &self.node_id);
            let streaming = connecting.await.map_err(|error| error.to_string())?;
            *locked(&self.connection) = Some(streaming);
            Ok(())
        }
        .boxed()
    }

    fn tidy(&self) -> BoxFuture<'_, ()> {
        async {
            let Ok(streaming) = self.streaming() else { return };
            match streaming.tidy().await {
                Ok(0) => {}
                Ok(count) => tracing::info!("{count} mountpoints of an earlier run were taken out of Janus"),
                Err(error) => tracing::warn!("mountpoints of an earlier run may be left in Janus: {error}"),
            }
        }
        .boxed()
    }

    fn gone(&self) -> BoxFuture<'_, ()> {
        async {
            let Ok(streaming) = self.streaming() else { return };
            streaming.closed().await;
            locked(&self.connection).take();
            // Whatever it said of its mountpoints is void.
            locked(&self.ages).clear();
            if let Some(observer) = &self.observer {
                observer.clear();
            }
        }
        .boxed()
    }

    fn open<'a>(&'a self, mountpoint: &'a Mountpoint) -> BoxFuture<'a, Result<PerKind<Outlet>, ServerError>> {
        async {
            let streaming = self.streaming()?;
            streaming.settle().await?;
            let ports = mountpoint.ports.ok_or_else(|| ServerError::PortTaken("it has none".to_owned()))?;
            if let Some(why) = taken(streaming.host, ports) {
                return Err(ServerError::PortTaken(why));
            }
            let Pair { audio, video, rtcp } = ports;
            streaming.create(mountpoint, ports).await.map_err(|error| match is_port_taken(&error) {
                true => ServerError::PortTaken(error.to_string()),
                false => error.into(),
            })?;
            self.requests.add(SocketAddr::new(streaming.host, rtcp), mountpoint.ssrcs.video);
            let port = |port| Outlet::Port(SocketAddr::new(streaming.host, port));
            Ok(PerKind { audio: port(audio), video: port(video) })
        }
        .boxed()
    }

    fn close<'a>(&'a self, mountpoint: &'a Mountpoint) -> BoxFuture<'a, Result<(), ServerError>> {
        async {
            self.requests.remove(mountpoint.ssrcs.video);
            match self.streaming() {
                Ok(streaming) if mountpoint.made => Ok(streaming.destroy(mountpoint.id).await?),
                _ => Ok(()),
            }
        }
        .boxed()
    }

    fn watch<'a>(
        &'a self,
        mountpoint: &'a Mountpoint,
        _player: Option<(&'a Session, &'a Common)>,
    ) -> BoxFuture<'a, Result<Watching, ServerError>> {
        async {
            let watching = self.streaming()?.watch(mountpoint.id).await?;
            let offer = match sdp::parse(watching.offer.as_bytes()) {
                Ok(offer) => offer,
                Err(bad) => {
                    let _ = watching.handle.detach().await;
                    return Err(bad.into());
                }
            };
            let visit = Visit::begin(self.observer.clone(), watching.handle.session(), watching.handle.id());
            let seat = Arc::new(JanusSeat::new(watching.handle, sdp::first_mid(&offer)));
            // Janus asks as well when a viewer is up, but not within a second of the last time.
            let (keyframes, ssrc) = (self.keyframes.clone(), mountpoint.ssrcs.video);
            let events = seat::events(watching.events, visit, move || keyframes.ask(ssrc));
            Ok(Watching { offer, seat, events })
        }
        .boxed()
    }

    fn look(&self) -> BoxFuture<'_, Option<BTreeSet<u64>>> {
        async {
            let list = self.streaming().ok()?.list().await.ok()?;
            let there = list.keys().copied().collect();
            *locked(&self.ages) = list;
            Some(there)
        }
        .boxed()
    }

    fn ages(&self, mountpoint: u64) -> Ages {
        locked(&self.ages).get(&mountpoint).copied().unwrap_or_default()
    }

    fn figures(&self) -> BTreeMap<u64, Figures> {
        self.observer.as_ref().map(|observer| observer.figures()).unwrap_or_default()
    }

    fn warning(&self) -> Option<String> {
        self.observer.as_ref().and_then(|observer| observer.problem())
    }

    fn dropped(&self) -> Vec<(&'static str, u64)> {
        Vec::new()
    }
}

/// Who has a port of a pair, if Janus is on this machine. It is not asked for such a pair: of one that it cannot have whole it
/// keeps what it has got, until it ends.
fn taken(janus: IpAddr, pair: Pair) -> Option<String> {
    let address = match janus.is_loopback() {
        true => janus,
        false if addresses::own().contains(&janus) => Ipv4Addr::UNSPECIFIED.into(),
        false => return None,
    };
    let in_use = |port: &u16| {
        UdpSocket::bind((address, *port)).is_err_and(|error| error.kind() == ErrorKind::AddrInUse)
    };
    let port = [pair.audio, pair.video, pair.rtcp].into_iter().find(in_use)?;
    Some(format!("port {port} is {}", node::port::in_use_by(Transport::Udp, port)))
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
