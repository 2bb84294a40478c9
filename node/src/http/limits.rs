//! What may be taken of a node by HTTP, who is refused because of that, and how many were.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use axum::extract::{ConnectInfo, Request};
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use prometheus::Result as Scraped;

use super::client::is_from_a_proxy;
use super::rates::Rates;
use super::shares::{NoShare, Share, Shares};
use super::{Client, Failed};
use crate::config::HttpConfig;
use crate::metrics::Scrape;

/// What is asked for all the time by those who watch the node, and must be answered when somebody else asks too much.
pub(super) const WATCHED: [&str; 3] = ["/healthz", "/readyz", "/metrics"];
/// That of them which costs something, every stream and viewer being looked at: a client may have it as often as all else together.
const SCRAPED: &str = "/metrics";
/// How often at most the log says that a limit was met.
const LINE_EVERY: Duration = Duration::from_secs(60);

/// A limit that somebody can meet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Limit {
    /// `max-connections`.
    Connections,
    /// `max-client-connections`.
    ClientConnections,
    /// A proxy's connection that begins with no PROXY protocol header, or a broken one.
    ProxyProtocol,
    /// `max-client-requests`.
    ClientRequests,
    /// `max-bodies`.
    Bodies,
    /// `max-client-bodies`.
    ClientBodies,
    /// A body that is too large.
    LargeBody,
    /// One that does not come in time.
    SlowBody,
}

impl Limit {
    /// All of them.
    pub const ALL: [Limit; 8] = [
        Limit::Connections,
        Limit::ClientConnections,
        Limit::ProxyProtocol,
        Limit::ClientRequests,
        Limit::Bodies,
        Limit::ClientBodies,
        Limit::LargeBody,
        Limit::SlowBody,
    ];

    /// As the metric's label has it.
    pub fn name(self) -> &'static str {
        match self {
            Limit::Connections => "connections",
            Limit::ClientConnections => "client_connections",
            Limit::ProxyProtocol => "proxy_protocol",
            Limit::ClientRequests => "client_requests",
            Limit::Bodies => "bodies",
            Limit::ClientBodies => "client_bodies",
            Limit::LargeBody => "large_body",
            Limit::SlowBody => "slow_body",
        }
    }

    /// The setting that moves it.
    pub(super) fn setting(self) -> &'static str {
        match self {
            Limit::Connections => "max-connections",
            Limit::ClientConnections => "max-client-connections",
            Limit::ProxyProtocol => "proxy-protocol",
            Limit::ClientRequests => "max-client-requests",
            Limit::Bodies => "max-bodies",
            Limit::ClientBodies => "max-client-bodies",
            Limit::LargeBody | Limit::SlowBody => "no setting",
        }
    }
}

/// A request has come by a spare connection, and is answered only if somebody watches the node by it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Spare;

/// What there is to be had of one node, all of its listeners together, and who has had it.
pub struct Limits {
    config: HttpConfig,
    rates: Rates,
    scrapes: Rates,
    bodies: Arc<Shares>,
    connections: AtomicUsize,
    refused: [AtomicU64; Limit::ALL.len()],
    said: Mutex<[Option<Instant>; Limit::ALL.len()]>,
}

impl Default for Limits {
    fn default() -> Self {
        Limits::of(HttpConfig::default())
    }
}

impl Limits {
    /// As it is configured; nobody has taken anything yet.
    pub fn new(config: HttpConfig) -> Arc<Limits> {
        Arc::new(Limits::of(config))
    }

    fn of(config: HttpConfig) -> Limits {
        Limits {
            rates: Rates::new(config.rate),
            scrapes: Rates::new(config.rate),
            bodies: Shares::new(config.bodies.get(), config.client_bodies.get()),
            connections: AtomicUsize::new(0),
            refused: Default::default(),
            said: Mutex::default(),
            config,
        }
    }

    /// What it is configured with.
    pub fn config(&self) -> &HttpConfig {
        &self.config
    }

    /// Notes that somebody was refused.
    pub fn met(&self, limit: Limit) {
        self.refused[limit as usize].fetch_add(1, Ordering::Relaxed);
    }

    /// How many have met a limit.
    pub fn refused(&self, limit: Limit) -> u64 {
        self.refused[limit as usize].load(Ordering::Relaxed)
    }

    pub(super) fn connected(&self, connections: usize) {
        self.connections.store(connections, Ordering::Relaxed);
    }

    /// What is taken now, and how many were refused.
    pub fn taken(&self) -> Taken {
        Taken {
            connections: self.connections.load(Ordering::Relaxed),
            refused: Limit::ALL.map(|limit| self.refused(limit)),
        }
    }

    /// Finds out who asks, and whether this may be asked now. `route`: as it was given to the router.
    pub(super) fn admit(&self, request: &mut Request, route: &str) -> Result<Client, Busy> {
        let peer = request.extensions().get::<ConnectInfo<SocketAddr>>().map(|info| info.0.ip());
        let client = match peer {
            Some(peer) => Client::behind(peer, request.headers(), &self.config.trusted),
            None => Client::UNKNOWN,
        };
        request.extensions_mut().insert(client);
        if WATCHED.contains(&route) {
            let scraped = if route == SCRAPED { self.scrapes.check(client) } else { Ok(()) };
            return scraped.map(|()| client).map_err(|wait| {
                self.met(Limit::ClientRequests);
                let why = "metrics are asked for too often from this address (max-client-requests)";
                Busy { status: StatusCode::TOO_MANY_REQUESTS, why, wait, closes: false }
            });
        }
        if request.extensions().get::<Spare>().is_some() {
            self.met(Limit::Connections);
            let why = "all of this node's connections are in use (max-connections)";
            let status = StatusCode::SERVICE_UNAVAILABLE;
            return Err(Busy { status, why, wait: Duration::ZERO, closes: true });
        }
        self.rates.check(client).map_err(|wait| {
            self.met(Limit::ClientRequests);
            if client.address() == peer.map_or(client.address(), |peer| peer.to_canonical()) {
                self.hint(client, request.headers());
            }
            let why = "too many requests from this address (max-client-requests)";
            Busy { status: StatusCode::TOO_MANY_REQUESTS, why, wait, closes: false }
        })?;
        Ok(client)
    }

    /// Leave to send a body.
    pub(super) fn body(&self, client: Client) -> Result<Share, Busy> {
        self.bodies.take(client).map_err(|full| {
            let (limit, status, why) = match full {
                NoShare::All => {
                    let why = "too many requests are being sent to this node (max-bodies)";
                    (Limit::Bodies, StatusCode::SERVICE_UNAVAILABLE, why)
                }
                NoShare::OfOne => {
                    let why = "this address is sending too many requests at once (max-client-bodies)";
                    (Limit::ClientBodies, StatusCode::TOO_MANY_REQUESTS, why)
                }
            };
            self.met(limit);
            Busy { status, why, wait: Duration::ZERO, closes: false }
        })
    }

    /// The likeliest reason why an address asks too much is that it is a proxy's.
    fn hint(&self, client: Client, headers: &HeaderMap) {
        if !is_from_a_proxy(headers) || self.config.trusted.includes(client.address()) {
            return;
        }
        if self.is_worth_a_line(Limit::ClientRequests) {
            tracing::warn!(
                "{client}: too many requests; if it is a proxy of yours, name it by --trusted-proxy {client}, or all \
                 its clients together are limited like one"
            );
        }
    }

    /// Whether the log is to say that a limit was met: not all the time.
    pub(super) fn is_worth_a_line(&self, limit: Limit) -> bool {
        let mut said = self.said.lock().unwrap_or_else(PoisonError::into_inner);
        let last = &mut said[limit as usize];
        let worth = last.is_none_or(|last| last.elapsed() >= LINE_EVERY);
        if worth {
            *last = Some(Instant::now());
        }
        worth
    }
}

/// One look at [`Limits`].
#[derive(Clone, Debug, Default)]
pub struct Taken {
    /// HTTP connections.
    pub connections: usize,
    /// How many have met each limit.
    pub refused: [u64; Limit::ALL.len()],
}

impl Taken {
    /// As Prometheus wants it.
    pub fn scrape(&self, scrape: &Scrape) -> Scraped<()> {
        scrape.one_gauge("http_connections", "HTTP connections.", self.connections as f64)?;
        let refused =
            Limit::ALL.iter().zip(self.refused).map(|(limit, count)| ([limit.name()], count as f64));
        let help = "HTTP connections and requests refused because there would be too many, or too much.";
        scrape.counter("http_refused_total", help, ["limit"], refused)
    }
}

/// An answer that says when to come again: 429 if it is one client that asks too much, 503 if all do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Busy {
    /// 429 or 503.
    pub status: StatusCode,
    /// What there is too much of, and which setting says so.
    pub why: &'static str,
    /// How long it makes no sense to come again.
    pub wait: Duration,
    /// The connection ends with it.
    pub closes: bool,
}

impl IntoResponse for Busy {
    fn into_response(self) -> Response {
        // Whole seconds, and never "at once".
        let seconds = self.wait.as_secs() + 1;
        let why = format!("{}; try again in {seconds} s", self.why);
        let mut response = Failed(self.status, why).into_response();
        response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from(seconds));
        if self.closes {
            response.headers_mut().insert(header::CONNECTION, HeaderValue::from_static("close"));
        }
        response
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_limit_has_a_place_and_a_name_of_its_own() {
        let names: std::collections::BTreeSet<_> = Limit::ALL.map(Limit::name).into();
        assert_eq!(names.len(), Limit::ALL.len());
        for (at, limit) in Limit::ALL.into_iter().enumerate() {
            assert_eq!(limit as usize, at);
        }
    }
}
