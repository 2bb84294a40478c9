//! All orders of events: sessions begin, change and end, RTP starts and stops, the node is attached and detached, the server and
//! Redis come and go, the node is drained, viewers come and are moved, mountpoints are asked for and ended by hand, and time passes,
//! between any two acts. What must be so at all times is looked at after each, what must be so in the end once everything has been
//! carried out (`check`).
//!
//! `shell` does what `crate::state` does, with a server, Redis and RTP that are not there; `audience` is the viewers, who may be
//! at another egress as well.

mod audience;
mod check;
mod shell;

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::time::Duration;

use node::media::{PerKind, Ssrc, VideoCodec};
use rand::rngs::StdRng;
use rand::seq::IndexedRandom;
use rand::{Rng, SeedableRng};
use tokio::sync::broadcast::Receiver;

use super::{Act, Node};
use crate::mountpoints::{Books, Spec};
use crate::notices::{Notice, Notices};
use crate::portpool::PortPool;
use crate::viewers::Viewers;
use audience::Other;

const SEEDS: u64 = 1_000;
const EVENTS: usize = 80;
const SESSIONS: [&str; 5] = ["a", "b", "c", "d", "e"];
/// One session too many.
const PAIRS: u16 = 4;
const GRACE: Duration = Duration::from_secs(10);
/// How often everything is judged.
const TICK: u64 = 250;
/// So long after its last packet another egress says that it has media, ms.
const SAID_FOR: u64 = 1_900;

/// What is to be done next by whoever holds the lock of changes.
#[derive(Clone, Debug)]
enum Doing {
    Act(String, Act),
    Open(Spec, bool),
    Route(String),
    Made(String),
}

/// How it really is outside of the egress.
#[derive(Default)]
struct Outside {
    sessions: BTreeMap<String, Spec>,
    publishing: BTreeSet<Ssrc>,
    /// `parent:` and `children:`.
    parent: bool,
    child: bool,
    /// The network between the parent and this egress.
    way: bool,
    redis: bool,
    /// The server runs; its mountpoints.
    server: bool,
    mountpoints: BTreeSet<String>,
}

struct World {
    rng: StdRng,
    now: u64,
    out: Outside,
    /// As Redis was seen last.
    parent: bool,
    known: BTreeMap<String, Spec>,
    /// It has had a parent.
    had_parent: bool,
    books: Books,
    node: Node,
    notices: Notices,
    listener: Receiver<Notice>,
    viewers: Viewers<()>,
    drains: bool,
    /// Another egress of the tree.
    other: Other,
    link: bool,
    forgets: bool,
    routes: BTreeMap<Ssrc, Option<u64>>,
    awaited: BTreeSet<Ssrc>,
    media: Option<u64>,
    /// When media of a session that is wanted here came to another egress.
    elsewhere: Option<u64>,
    doing: VecDeque<Doing>,
    told: BTreeMap<String, Vec<Notice>>,
    log: Vec<String>,
}

impl World {
    fn new(seed: u64) -> World {
        let notices = Notices::default();
        World {
            rng: StdRng::seed_from_u64(seed),
            now: 1_000,
            out: Outside { way: true, redis: true, server: true, ..Outside::default() },
            parent: false,
            known: BTreeMap::new(),
            had_parent: false,
            books: Books::new(PortPool::new(6000, PAIRS).ok()),
            node: Node::new(GRACE),
            listener: notices.listen(),
            notices,
            viewers: Viewers::default(),
            drains: false,
            other: Other::default(),
            link: true,
            forgets: false,
            routes: BTreeMap::new(),
            awaited: BTreeSet::new(),
            media: None,
            elsewhere: None,
            doing: VecDeque::new(),
            told: BTreeMap::new(),
            log: Vec::new(),
        }
    }

    fn session(&mut self) -> String {
        (*SESSIONS.choose(&mut self.rng).unwrap()).to_owned()
    }

    /// Something happens.
    fn event(&mut self) {
        let session = self.session();
        let what = self.rng.random_range(0..23);
        self.log.push(format!("{} ms: event {what} {session}", self.now));
        match what {
            0 | 1 => {
                let number = SESSIONS.iter().position(|name| *name == session).unwrap() as u32;
                let audio = 10 * (number + 1) + 2 * self.rng.random_range(0..2);
                let ssrcs = PerKind { audio: Ssrc(audio), video: Ssrc(audio + 1) };
                let spec = Spec { session: session.clone(), ssrcs, room: None, codec: VideoCodec::Vp8 };
                self.out.sessions.insert(session, spec);
            }
            2 => drop(self.out.sessions.remove(&session)),
            3..=5 => {
                if let Some(spec) = self.out.sessions.get(&session) {
                    self.out.publishing.extend(spec.ssrcs.into_array());
                }
            }
            6 => {
                if let Some(spec) = self.out.sessions.get(&session) {
                    self.out.publishing.retain(|ssrc| !spec.ssrcs.contains(ssrc));
                }
            }
            7 => (self.out.parent, self.out.child) = (true, true),
            8 => (self.out.parent, self.out.child) = (false, false),
            9 => self.out.parent = self.rng.random(),
            10 => self.out.child = self.rng.random(),
            11 => self.out.way = self.rng.random_bool(0.7),
            12 => self.out.redis = self.rng.random_bool(0.7),
            13 => self.server(false),
            14 => self.server(true),
            15 => self.comes(&session),
            16 => self.by_hand(&session),
            17 => self.other.changes(&session, &mut self.rng),
            18 => self.drains = self.rng.random_bool(0.3),
            19 => self.move_away(),
            _ => {
                let long = *[100, 300, 1_000, 3_000, 15_000].choose(&mut self.rng).unwrap();
                self.pass(long);
            }
        }
        if self.rng.random_bool(0.7) {
            self.look();
        }
        for _ in 0..self.rng.random_range(0..4) {
            self.proceed();
        }
    }

    /// The server is gone, or there again.
    fn server(&mut self, is_there: bool) {
        if !is_there {
            self.out.mountpoints.clear();
            self.link = false;
            self.forgets = true;
        }
        self.out.server = is_there;
    }

    /// Time passes, in which RTP comes and is judged.
    fn pass(&mut self, long: u64) {
        let until = self.now + long;
        while self.now < until {
            self.now = (self.now + TICK).min(until);
            self.receive();
            self.judge();
            self.hear();
        }
    }

    /// Everything is carried out, and nothing new happens for a while.
    fn settle(&mut self) {
        self.log.push(format!("{} ms: settle", self.now));
        for _ in 0..14 {
            self.look();
            self.pass(1_000);
            self.move_away();
            // What is under way, what waited for it, and what is planned then.
            for _ in 0..3 {
                self.proceed();
                while !self.doing.is_empty() {
                    self.proceed();
                }
            }
        }
        self.hear();
        self.check();
    }
}

fn run(seed: u64) -> Result<(), String> {
    let mut world = World::new(seed);
    let explored = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
        for number in 0..EVENTS {
            world.event();
            world.hear();
            if number % 20 == 19 {
                world.settle();
            }
        }
        world.heal();
    }));
    let events = || world.log.iter().rev().take(60).rev().cloned().collect::<Vec<_>>().join("\n");
    explored.map_err(|_| format!("seed {seed}:\n{}", events()))
}

#[test]
fn every_order_of_events_ends_well() {
    for seed in 0..SEEDS {
        if let Err(why) = run(seed) {
            panic!("{why}");
        }
    }
}
