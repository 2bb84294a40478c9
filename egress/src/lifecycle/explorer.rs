//! All orders of events: sessions begin, change and end, RTP starts and stops, the node is attached and detached, the server and
//! Redis come and go, viewers come and go, mountpoints are asked for and ended by hand, and time passes, between any two acts.
//! What must be so at all times is looked at after each, what must be so in the end once everything has been carried out.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::time::Duration;

use node::media::{PerKind, Ssrc, VideoCodec};
use rand::rngs::StdRng;
use rand::seq::IndexedRandom;
use rand::{Rng, SeedableRng};
use tokio::sync::broadcast::Receiver;

use super::acts::{self, Act};
use super::{Answers, Node, activity, waiting};
use crate::activity::{Served, StreamAge};
use crate::mountpoints::{Asked, Books, Fault, Mountpoint, Refused, Spec, Step};
use crate::notices::{Happened, Notice, Notices};
use crate::portpool::PortPool;
use crate::viewers::Viewers;

const SEEDS: u64 = 1_000;
const EVENTS: usize = 80;
const SESSIONS: [&str; 5] = ["a", "b", "c", "d", "e"];
/// One session too many.
const PAIRS: u16 = 4;
const GRACE: Duration = Duration::from_secs(10);
/// How often everything is judged.
const TICK: u64 = 250;

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
    /// It has had a parent.
    had_parent: bool,
    books: Books,
    node: Node,
    notices: Notices,
    listener: Receiver<Notice>,
    viewers: Viewers<()>,
    link: bool,
    forgets: bool,
    routes: BTreeMap<Ssrc, Option<u64>>,
    awaited: BTreeSet<Ssrc>,
    media: Option<u64>,
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
            had_parent: false,
            books: Books::new(PortPool::new(6000, PAIRS).ok()),
            node: Node::new(GRACE),
            listener: notices.listen(),
            notices,
            viewers: Viewers::default(),
            link: true,
            forgets: false,
            routes: BTreeMap::new(),
            awaited: BTreeSet::new(),
            media: None,
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
        let what = self.rng.random_range(0..20);
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
            15 => {
                let viewer = format!("{}", self.rng.random::<u32>());
                let served = self.link && self.out.mountpoints.contains(&session);
                if served && self.books.get(&session).is_some_and(|mountpoint| mountpoint.made) {
                    self.viewers.begin(&viewer, &session, ());
                    self.viewers.connected(&viewer);
                }
            }
            16 => self.by_hand(&session),
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

    /// What Redis says is heard.
    fn look(&mut self) {
        if !self.out.redis {
            return;
        }
        self.parent = self.out.parent;
        for name in SESSIONS {
            match self.out.sessions.get(name) {
                Some(spec) => self.books.begins(spec.clone()),
                None => self.books.ends(name),
            }
        }
    }

    /// Somebody asks for a mountpoint, or for its end.
    fn by_hand(&mut self, session: &str) {
        if !self.doing.is_empty() {
            return;
        }
        if self.rng.random() {
            if self.books.dismiss(session) {
                let acts = self.books.ending(session);
                self.doing.extend(acts.iter().map(|act| Doing::Act(session.to_owned(), *act)));
            }
        } else if let Some(spec) = self.out.sessions.get(session).cloned()
            && self.link
            && !self.node.standing().is_released()
            && let Ok(Asked::Reserved(_)) = self.books.ask(spec.clone(), self.now)
        {
            self.doing.push_back(Doing::Open(spec, false));
        }
    }

    /// Whoever changes mountpoints does one thing more.
    fn proceed(&mut self) {
        let Some(doing) = self.doing.pop_front() else { return self.begin() };
        self.log.push(format!("{} ms: {doing:?}", self.now));
        match doing {
            Doing::Act(session, act) => self.act(&session, act),
            Doing::Open(spec, automatic) => {
                let refuses = self.rng.random_bool(0.05);
                match self.books.reserve(&spec, true, self.now) {
                    Ok(_) if self.out.server && !refuses => {
                        self.out.mountpoints.insert(spec.session.clone());
                        self.doing.push_front(Doing::Made(spec.session.clone()));
                        self.doing.push_front(Doing::Route(spec.session));
                    }
                    // What was reserved is kept for a server that comes back.
                    Ok(_) if !self.out.server && automatic => {}
                    Ok(_) if automatic => {
                        let seen = self.shut_out(&spec.session);
                        self.books.failed(&spec.session, seen);
                        let refused = Refused { why: "the server says no".to_owned(), fault: Fault::Node };
                        self.books.refuse(&spec.session, refused);
                    }
                    Ok(_) => {
                        let seen = self.shut_out(&spec.session);
                        self.books.undo(&spec.session, seen);
                    }
                    Err(refusal) => {
                        let refused = Refused { why: refusal.to_string(), fault: refusal.fault() };
                        self.books.refuse(&spec.session, refused);
                    }
                }
            }
            Doing::Route(session) => {
                for ssrc in self.books.released(&session).into_iter().flat_map(PerKind::into_array) {
                    self.awaited.remove(&ssrc);
                }
                let ssrcs = self.mountpoint(&session).ssrcs;
                for ssrc in ssrcs.into_array() {
                    self.awaited.remove(&ssrc);
                    self.routes.insert(ssrc, None);
                }
            }
            Doing::Made(session) => {
                self.books.made(&session);
                self.notices.start(&session);
            }
        }
    }

    /// The lock is free: what waits for it goes first, then what is to be done is planned.
    fn begin(&mut self) {
        if std::mem::take(&mut self.forgets) {
            self.books.forgotten();
            self.viewers.clear();
        } else if self.out.server && !self.link {
            self.books.forgotten();
            self.out.mountpoints.clear();
            self.link = true;
        }
        for step in self.books.plan() {
            match step {
                Step::End(session) => {
                    let changed =
                        |spec: &Spec| self.books.get(&session).is_some_and(|there| there.ssrcs != spec.ssrcs);
                    let ended = !self.books.wants(&session);
                    assert!(
                        ended || self.out.sessions.values().any(changed) || !self.out.redis,
                        "{session} goes on"
                    );
                    let acts = self.books.ending(&session);
                    self.doing.extend(acts.iter().map(|act| Doing::Act(session.clone(), *act)));
                }
                Step::Release(session) => {
                    assert!(self.node.standing().is_released(), "released while attached");
                    self.doing.extend(acts::RELEASING.iter().map(|act| Doing::Act(session.clone(), *act)));
                }
                Step::Make(spec) if self.link => self.doing.push_back(Doing::Open(spec, true)),
                Step::Make(_) => {}
            }
        }
    }

    /// What was let through to a mountpoint that could not be made again goes nowhere.
    fn shut_out(&mut self, session: &str) -> bool {
        let seen = self.notices.is_on(session);
        self.act(session, Act::GiveUp);
        self.act(session, if seen { Act::Shut } else { Act::Unroute });
        seen
    }

    fn act(&mut self, session: &str, act: Act) {
        let ssrcs = self.books.get(session).map(|mountpoint| mountpoint.ssrcs);
        let ssrcs: Vec<Ssrc> = ssrcs.into_iter().flat_map(PerKind::into_array).collect();
        match act {
            Act::TellEnd => self.notices.end(session),
            Act::Unroute => ssrcs.iter().for_each(|ssrc| _ = self.routes.remove(ssrc)),
            Act::Shut => {
                ssrcs.iter().for_each(|ssrc| _ = self.routes.remove(ssrc));
                self.awaited.extend(ssrcs);
            }
            Act::GiveUp => {
                let released = self.books.released(session).into_iter().flat_map(PerKind::into_array);
                released.for_each(|ssrc| _ = self.awaited.remove(&ssrc));
            }
            Act::Dismiss => drop(self.viewers.end_session(session)),
            Act::Close => {
                self.out.mountpoints.remove(session);
                // Whoever came in meanwhile is told by the server.
                self.viewers.end_session(session);
            }
            Act::Forget => self.books.forget(session),
            Act::Keep => self.books.keep(session),
        }
    }

    fn mountpoint(&self, session: &str) -> Mountpoint {
        self.books.get(session).expect("it is being made").clone()
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

    fn receive(&mut self) {
        if !self.out.child || !self.out.way {
            return;
        }
        for ssrc in self.out.publishing.clone() {
            match self.routes.get_mut(&ssrc) {
                Some(last) => *last = Some(self.now),
                None if self.awaited.contains(&ssrc) => {}
                None => continue,
            }
            self.media = Some(self.now);
        }
    }

    fn judge(&mut self) {
        let now = Duration::from_millis(self.now);
        let age = |at: Option<u64>| at.map(|at| Duration::from_millis(self.now - at));
        self.had_parent |= self.parent;
        let standing = self.node.judge(self.parent.then_some("r"), age(self.media), now).clone();
        if standing.dark().is_some() {
            assert!(self.media.is_none_or(|media| self.now - media >= TICK), "dark, and media comes");
        }
        let seen = self.books.all().map(|mountpoint| {
            let streams = PerKind::from_fn(|kind| {
                let ssrc = mountpoint.ssrcs[kind];
                StreamAge { ssrc, age: age(self.routes.get(&ssrc).copied().flatten()) }
            });
            let served = match self.link && mountpoint.made {
                true => Served::Has(PerKind::default()),
                false => Served::Gone("it has no such mountpoint".to_owned()),
            };
            (mountpoint.session.clone(), activity(&standing, streams, &served, "Janus"))
        });
        let waits = self.books.waiting().map(|session| (session.clone(), waiting(&standing)));
        self.notices.observe(seen.chain(waits).collect());
        for name in self.notices.sessions() {
            let told = self.notices.is_cut_off(&name) == standing.dark().is_some();
            assert!(told, "{name}: {standing:?}, and viewers are not told");
        }
        self.books.release(standing.is_released());
        if let Some(parent) = self.node.asks(now).filter(|_| self.out.redis) {
            let wanted =
                |spec: &&Spec| spec.ssrcs.into_array().iter().any(|ssrc| self.out.publishing.contains(ssrc));
            let elsewhere =
                self.out.sessions.values().filter(wanted).any(|spec| self.books.wants(&spec.session));
            let answers = Answers { registered: true, is_relay: true, has_us: self.out.child, elsewhere };
            self.node.heard(&parent, answers);
        }
    }

    /// What viewers are told makes sense, one after the other.
    fn hear(&mut self) {
        while let Ok(notice) = self.listener.try_recv() {
            let told = self.told.entry(notice.session_id.clone()).or_default();
            let last = told.last().map(|last| (last.happened, last.cut_off));
            let makes_sense = match (last, notice.happened) {
                (None | Some((Happened::Ended, _)), happened) => happened == Happened::Started,
                (Some(_), Happened::Started | Happened::Ended) => true,
                (Some(last), happened) => last != (happened, notice.cut_off),
            };
            assert!(makes_sense, "{}: {:?} after {last:?}", notice.session_id, notice.happened);
            told.push(notice);
        }
    }

    /// Everything is carried out, and nothing new happens for a while.
    fn settle(&mut self) {
        self.log.push(format!("{} ms: settle", self.now));
        for _ in 0..14 {
            self.look();
            self.pass(1_000);
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

    /// What must be so when everything has been carried out.
    fn check(&self) {
        assert!(self.doing.is_empty());
        let made: BTreeSet<&str> = self
            .books
            .all()
            .filter(|mountpoint| mountpoint.made)
            .map(|mountpoint| &*mountpoint.session)
            .collect();
        let all: Vec<&Mountpoint> = self.books.all().collect();
        let pool = self.books.pool().unwrap().view();
        assert_eq!(usize::from(pool.allocated), all.len(), "pairs of ports without a mountpoint");
        let there: BTreeSet<&str> = self.out.mountpoints.iter().map(String::as_str).collect();
        assert_eq!(there, made, "in the server, and in the books");
        let open: BTreeSet<Ssrc> = self.routes.keys().copied().collect();
        let wanted = all.iter().flat_map(|mountpoint| mountpoint.ssrcs.into_array()).collect();
        assert!(open.is_subset(&wanted), "streams without a mountpoint: {open:?}");
        let awaited: BTreeSet<Ssrc> = SESSIONS
            .iter()
            .filter_map(|name| self.books.released(name))
            .flat_map(PerKind::into_array)
            .collect();
        assert_eq!(self.awaited, awaited, "streams that are waited for");
        for (viewer, session, ()) in self.viewers.all() {
            assert!(made.contains(session), "{viewer} watches {session}, which has no mountpoint");
        }
        let standing = self.node.standing();
        if standing.is_released() {
            assert!(all.is_empty(), "released, and there are mountpoints");
        }
        for name in SESSIONS {
            let last = self.told.get(name).and_then(|told| told.last());
            match (last, self.books.wants(name)) {
                (None, _) => {}
                (Some(last), false) => assert_eq!(last.happened, Happened::Ended, "{name} has ended"),
                // It has changed, which ends it, and cannot be shown yet.
                (Some(last), true) if last.happened == Happened::Ended => {
                    assert!(
                        !made.contains(name),
                        "{name} goes on, and its viewers were told that it has ended"
                    );
                }
                (Some(last), true) => {
                    let cut_off = standing.dark().is_some();
                    assert_eq!(last.cut_off, cut_off, "{name}: {standing:?}, and viewers were told {last:?}");
                }
            }
            if self.books.wants(name) && self.link && !standing.is_released() {
                assert!(
                    made.contains(name) || self.books.refused().contains_key(name),
                    "{name} has no mountpoint"
                );
            }
        }
        // Cut off is who has been detached, whatever else there is.
        if !self.out.child && !self.parent && self.had_parent && self.out.redis {
            assert!(standing.is_released(), "{standing:?}");
        }
        // Nobody publishes: that is no reason.
        if self.out.child
            && self.out.parent
            && self.parent
            && self.out.publishing.is_empty()
            && self.out.redis
        {
            assert!(standing.cut().is_none(), "{standing:?}");
        }
    }

    /// Everything is well again, and so is everything here, by itself.
    fn heal(&mut self) {
        let out = &mut self.out;
        (out.parent, out.child, out.way, out.redis) = (true, true, true, true);
        self.server(true);
        let all = self.out.sessions.values().flat_map(|spec| spec.ssrcs.into_array()).collect();
        self.out.publishing = all;
        self.settle();
        assert!(self.node.standing().cut().is_none());
        for mountpoint in self.books.all() {
            let name = &mountpoint.session;
            // One that was asked for by hand may be of a session that ended before the tree knew of it.
            if self.out.sessions.get(name).is_some_and(|spec| spec.ssrcs == mountpoint.ssrcs) {
                let last = self.told[name].last().map(|notice| notice.happened);
                assert!(matches!(last, Some(Happened::Back | Happened::Started)), "{name}: {last:?}");
                assert!(self.notices.is_active(name), "{name} plays on");
            }
        }
        let shown = self.books.all().count();
        let wanted = SESSIONS.iter().filter(|name| self.books.wants(name)).count();
        assert_eq!(shown, wanted.min(PAIRS.into()), "{:?}", self.books.refused());
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
