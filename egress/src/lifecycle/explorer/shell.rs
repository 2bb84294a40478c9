//! What the egress does, act by act, as `crate::state` does it.

use std::time::Duration;

use node::media::{PerKind, Ssrc};
use rand::Rng;

use super::super::acts::{self, Act};
use super::super::{Answer, Cut, Question, activity, waiting};
use super::{Doing, SAID_FOR, SESSIONS, TICK, World};
use crate::activity::{Served, StreamAge};
use crate::mountpoints::{Asked, Fault, Mountpoint, Refused, Spec, Step};

impl World {
    /// What Redis says is heard.
    pub fn look(&mut self) {
        if !self.out.redis {
            return;
        }
        self.parent = self.out.parent;
        self.known.clone_from(&self.out.sessions);
        for name in SESSIONS {
            match self.out.sessions.get(name) {
                Some(spec) => self.books.begins(spec.clone()),
                None => self.books.ends(name),
            }
        }
    }

    /// Somebody asks for a mountpoint, or for its end.
    pub fn by_hand(&mut self, session: &str) {
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
    pub fn proceed(&mut self) {
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
                    let there = self.books.get(&session).map(|mountpoint| mountpoint.ssrcs);
                    let changed = self
                        .known
                        .get(&session)
                        .is_some_and(|spec| there.is_some_and(|ssrcs| ssrcs != spec.ssrcs));
                    assert!(changed || !self.books.wants(&session), "{session} goes on");
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

    pub fn receive(&mut self) {
        let is_published =
            |spec: &&Spec| spec.ssrcs.into_array().iter().any(|ssrc| self.out.publishing.contains(ssrc));
        let known = self.out.sessions.values().filter(is_published);
        if known.into_iter().any(|spec| self.books.wants(&spec.session)) {
            self.elsewhere = Some(self.now);
        }
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

    pub fn judge(&mut self) {
        let now = Duration::from_millis(self.now);
        let age = |at: Option<u64>| at.map(|at| Duration::from_millis(self.now - at));
        self.had_parent |= self.parent;
        let standing = self.node.judge(self.parent.then_some("r"), age(self.media), now).clone();
        if matches!(standing.dark(), Some(Cut::PassedBy(_))) {
            assert!(self.elsewhere > self.media, "nobody has had media since, and it is said to pass by");
        }
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
        let drawn = self.rng.random();
        if let Some((parent, question)) = self.node.asks(now, 2, drawn).filter(|_| self.out.redis) {
            let answer = match question {
                Question::Place => Answer::Place { registered: true, is_relay: true, has_us: self.out.child },
                Question::Others => Answer::Others(self.said_elsewhere()),
            };
            self.node.heard(&parent, answer, now);
        }
    }

    /// How long ago another egress lived that says that it has media: it goes on saying so for a while when there is none any
    /// more.
    fn said_elsewhere(&mut self) -> Option<Duration> {
        let age = self.rng.random_range(0..2_000);
        let written = self.now.saturating_sub(age);
        let says_so = self.elsewhere.is_some_and(|last| written <= last + SAID_FOR);
        says_so.then_some(Duration::from_millis(age))
    }
}
