//! What came in and has not been answered yet. Taking it in needs no I/O, so nothing is lost while something else is
//! being done, and everything has the time at which it came.

use std::collections::{BTreeMap, BTreeSet};
use std::future::Future;
use std::time::{Duration, Instant};

use futures_util::FutureExt;
use tokio::sync::{mpsc, oneshot};

use crate::muffled::Muffled;
use crate::pace::Pace;
use crate::record::Registration;
use crate::redis::channels::{Asks, Channels};
use crate::redis::ears::Messages;
use crate::sessions::News;
use crate::sessions::ledger::Ledger;

/// Most that is taken in before a look: a flood must not keep it from beginning.
const SWEEP: usize = 1000;
/// Most news of sessions, and most names, that wait to be taken in. What is missed beyond is found by reading.
const MOST_NEWS: usize = 10_000;

/// What the handle asks for.
#[derive(Debug)]
pub enum Request {
    /// A look.
    Refresh(oneshot::Sender<Result<(), String>>),
    /// Another registration.
    Register(Box<Registration>),
    /// The same registration, which says something else of the node.
    RegisterAgain,
    /// The end.
    Stop(oneshot::Sender<()>),
}

/// Waits to be answered.
pub struct Inbox {
    requests: mpsc::UnboundedReceiver<Request>,
    messages: Option<Messages>,
    /// What is listened to.
    pub channels: Channels,
    /// Where times count from.
    pub epoch: Instant,
    /// Looks at the topology that are asked for.
    pub topology: Pace,
    /// Looks at the sessions that are asked for.
    pub sessions: Pace,
    /// What events said of sessions.
    pub news: Vec<News>,
    /// Sessions that events only named.
    pub named: BTreeSet<String>,
    /// What the server told of the sets of sessions.
    pub ledger: Ledger,
    /// Children whose hash was written, and when.
    pub written: BTreeMap<String, Duration>,
    /// Wait for a look.
    pub refreshers: Vec<oneshot::Sender<Result<(), String>>>,
    /// To be written.
    pub registration: Option<Registration>,
    /// It is to be written again.
    pub is_stale: bool,
    /// Wait for the end. Not empty: it is to come.
    pub stop: Vec<oneshot::Sender<()>>,
    /// All handles are gone.
    pub abandoned: bool,
    /// The listening connection ended.
    pub deaf: bool,
    /// Messages that asked for a look.
    pub events: u64,
    odd: Muffled,
}

impl Inbox {
    /// Nothing yet.
    pub fn new(
        requests: mpsc::UnboundedReceiver<Request>,
        registration: &Registration,
        database: i64,
    ) -> Inbox {
        Inbox {
            requests,
            messages: None,
            channels: Channels::new(&registration.id, &registration.tree_id, database),
            epoch: Instant::now(),
            topology: Pace::new(),
            sessions: Pace::new(),
            news: Vec::new(),
            named: BTreeSet::new(),
            ledger: Ledger::default(),
            written: BTreeMap::new(),
            refreshers: Vec::new(),
            registration: None,
            is_stale: false,
            stop: Vec::new(),
            abandoned: false,
            deaf: false,
            events: 0,
            odd: Muffled::default(),
        }
    }

    /// Now, from the epoch.
    pub fn now(&self) -> Duration {
        self.epoch.elapsed()
    }

    /// The node is to end.
    pub fn is_over(&self) -> bool {
        self.abandoned || !self.stop.is_empty()
    }

    /// Listens to another connection, or to none.
    pub fn listen(&mut self, messages: Option<Messages>) {
        self.messages = messages;
        self.deaf = false;
    }

    /// Takes one thing in, whenever it comes. Dropping it loses nothing.
    pub async fn next(&mut self) {
        tokio::select! {
            message = heard(&mut self.messages) => match message {
                Some(message) => self.hear(message.get_channel_name(), message.get_payload_bytes()),
                None => {
                    self.messages = None;
                    self.deaf = true;
                }
            },
            request = self.requests.recv(), if !self.abandoned => match request {
                Some(Request::Refresh(done)) => self.refreshers.push(done),
                Some(Request::Register(registration)) => self.registration = Some(*registration),
                Some(Request::RegisterAgain) => self.is_stale = true,
                Some(Request::Stop(done)) => self.stop.push(done),
                None => self.abandoned = true,
            },
        }
    }

    /// Takes in what is already there. One command can have several events (SREM of the last child is `srem` and
    /// `del`), which come together: one look answers them, if all of them are in before it begins.
    pub fn sweep(&mut self) {
        for _ in 0..SWEEP {
            if self.next().now_or_never().is_none() {
                return;
            }
        }
    }

    /// Does something, and takes in what comes meanwhile.
    pub async fn during<T>(&mut self, work: impl Future<Output = T>) -> T {
        let mut work = std::pin::pin!(work);
        loop {
            tokio::select! {
                biased;
                done = &mut work => return done,
                () = self.next() => {}
            }
        }
    }

    /// The same, given up when the node is to end.
    pub async fn during_or_end<T>(&mut self, work: impl Future<Output = T>) -> Option<T> {
        let mut work = std::pin::pin!(work);
        while !self.is_over() {
            tokio::select! {
                biased;
                done = &mut work => return Some(done),
                () = self.next() => {}
            }
        }
        None
    }

    fn hear(&mut self, channel: &str, message: &[u8]) {
        let now = self.now();
        match self.channels.heard(channel, message) {
            Asks::Look => {
                self.events += 1;
                self.topology.ask(now);
            }
            Asks::Compare(child) => {
                self.written.entry(child).or_insert(now);
            }
            Asks::News(news) => {
                self.events += 1;
                if self.news.len() < MOST_NEWS {
                    self.news.push(news);
                }
            }
            Asks::Session(id) => {
                self.events += 1;
                if self.named.len() < MOST_NEWS {
                    self.named.insert(id);
                }
                self.sessions.ask(now);
            }
            Asks::Weigh(set) => drop(self.ledger.hear(set, message, now)),
            Asks::Nothing => {}
            Asks::Odd(why) => {
                if let Some(swallowed) = self.odd.may(now) {
                    let said: String = String::from_utf8_lossy(message).chars().take(200).collect();
                    tracing::warn!(
                        channel,
                        said,
                        why,
                        swallowed,
                        "a message that is no event of a tree is ignored"
                    );
                }
            }
        }
    }
}

async fn heard(messages: &mut Option<Messages>) -> Option<redis::Msg> {
    match messages {
        Some(messages) => messages.next().await,
        None => std::future::pending().await,
    }
}
