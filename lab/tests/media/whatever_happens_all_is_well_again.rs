//! Seeded runs of the real tree: sessions begin and end, egresses are attached, detached, drained, put back, killed with -9, stopped for a
//! moment and started again, Redis and each Janus go and come back, in any order and at any distance. Afterwards all is mended, and what
//! `egress/src/lifecycle/explorer` holds of the pure part is held of the real one: every egress has exactly the sessions that there are, no
//! socket is left of others, viewers watch where their session is and nowhere else, nobody was told that a session has ended that goes on.
//!
//! `cargo xtask test media -- whatever_happens --ignored --nocapture`; SEEDS says how many runs (36), SEED the first one, ACTS how many
//! things happen in each (16), SERVER what serves viewers (janus, native).

use std::collections::{BTreeMap, BTreeSet};
use std::io::{BufRead, BufReader, Write};
use std::net::{Ipv4Addr, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use lab::random::Random;
use lab::relay::Mode;
use lab::studio::{EGRESS_API, MediaOver, VIEWERS, egress};
use lab::{Lab, Publisher, Studio, Viewers};
use nix::sys::signal::Signal;
use serde_json::Value;

/// Longer than anything takes to be well again: what is tried again is so within some seconds.
const PATIENCE: Duration = Duration::from_secs(90);
const POLL: Duration = Duration::from_millis(50);
const EGRESSES: usize = 3;
const SESSIONS: [(&str, [u32; 2]); 2] = [("one", [1001, 1002]), ("two", [2001, 2002])];
/// Viewers of each session that is there.
const WATCH: usize = 2;

#[test]
#[ignore = "takes a quarter of an hour"]
fn whatever_happens_all_is_well_again() {
    let setting = |name: &str, default: u64| {
        std::env::var(name).map_or(default, |text| text.parse().unwrap_or_else(|_| panic!("{name}: {text}")))
    };
    let (first, seeds, acts) = (setting("SEED", 1), setting("SEEDS", 36), setting("ACTS", 16));
    let server = std::env::var("SERVER").unwrap_or_else(|_| "janus".to_owned());
    let lab = Lab::new("t-all-").unwrap();
    let more = [("MAX_CLIENT_REQUESTS", "1000"), ("SERVER", server.as_str()), ("CUT_OFF_GRACE", "3")];
    let studio = Studio::open_with(&lab, MediaOver::V4, Mode::Tc, [EGRESSES, EGRESSES], &more).unwrap();
    let ears = (0..EGRESSES).map(|index| Ear::at(&lab, index)).collect();
    let mut stage = Stage {
        studio,
        lab: &lab,
        ears,
        live: BTreeMap::new(),
        ended: BTreeMap::new(),
        away: BTreeSet::new(),
        acts: Vec::new(),
        is_native: server == "native",
    };
    for seed in first..first + seeds {
        let (mut random, began) = (Random::new(seed), Instant::now());
        stage.acts.clear();
        for _ in 0..acts {
            let act = stage.act(&mut random);
            stage.acts.push(act);
            thread::sleep(Duration::from_millis([0, 30, 300, 1500][random.below(4)]));
        }
        let happened = began.elapsed();
        stage.mend();
        stage.is_well();
        let well = began.elapsed() - happened;
        stage.empty();
        println!("SEED={seed}: {} acts in {happened:.1?}, well again after {well:.1?}", stage.acts.len());
    }
    println!("{seeds} runs of {acts} acts with {server}: all was well again");
}

/// What there is, and what has happened.
struct Stage<'lab> {
    studio: Studio<'lab>,
    lab: &'lab Lab,
    ears: Vec<Ear>,
    /// Sessions that there are, with those who publish and watch.
    live: BTreeMap<&'static str, (Publisher, Viewers)>,
    /// How often each has been ended.
    ended: BTreeMap<&'static str, usize>,
    /// What does not run at present.
    away: BTreeSet<Part>,
    acts: Vec<String>,
    is_native: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Part {
    Redis,
    VideoRoom,
    Streaming(usize),
    Egress(usize),
    Relay,
}

impl Stage<'_> {
    /// Something happens. What cannot be done at the moment (Redis is away, a node does not run) is refused, and that is all.
    fn act(&mut self, random: &mut Random) -> String {
        let act = random.below(100);
        let (index, (session, ssrcs)) = (random.below(EGRESSES), SESSIONS[random.below(SESSIONS.len())]);
        let studio = &self.studio;
        match act {
            0..20 => self.begins(session, ssrcs),
            20..30 => self.ends(session),
            30..40 => format!("leave {index}: {}", studio.leave(index).is_ok()),
            40..52 => format!("join {index}: {}", studio.join(index).is_ok()),
            52..58 => format!("drain {index}: {}", self.asks(index, "POST", "/drain")),
            58..64 => format!("undrain {index}: {}", self.asks(index, "DELETE", "/drain")),
            64..70 => self.away_or_back(Part::Egress(index)),
            70..76 => self.away_or_back(Part::Streaming(index)),
            76..82 => self.away_or_back(Part::Redis),
            82..86 => self.away_or_back(Part::VideoRoom),
            86..90 => self.away_or_back(Part::Relay),
            _ => {
                let process = studio.egresses[index].node.process();
                process.signal(Signal::SIGSTOP).unwrap();
                thread::sleep(Duration::from_millis(700));
                process.signal(Signal::SIGCONT).unwrap();
                format!("stop {index} for a moment")
            }
        }
    }

    fn asks(&self, index: usize, method: &str, path: &str) -> u16 {
        let body = if method == "POST" { "{}" } else { "" };
        self.studio.egresses[index].node.send(method, path, body).map_or(0, |answer| answer.status)
    }

    fn begins(&mut self, session: &'static str, ssrcs: [u32; 2]) -> String {
        if self.live.contains_key(session) {
            return format!("{session} is there");
        }
        if self.studio.create_session(session, ssrcs).is_err() {
            return format!("create {session}: refused");
        }
        let publisher = self.publish(session);
        let door = format!("http://{}/watch/{session}", self.studio.injection_address().unwrap());
        // Who sees nothing comes again by the door.
        let again = ["--rejoin", "2500", "--stagger", "1"];
        let viewers = Viewers::start(self.lab, VIEWERS, &[door], WATCH, &again).unwrap();
        self.live.insert(session, (publisher, viewers));
        format!("create {session}")
    }

    fn publish(&self, session: &str) -> Publisher {
        let small = [
            "--fps",
            "15",
            "--bitrate",
            "150",
            "--width",
            "320",
            "--height",
            "180",
            "--gop",
            "30",
            "--patience",
            "5",
        ];
        self.studio.publish(session, &small).unwrap()
    }

    fn ends(&mut self, session: &'static str) -> String {
        if !self.live.contains_key(session) {
            return format!("{session} is not there");
        }
        // Counted first: viewers may hear it before we have the answer, which may not come.
        *self.ended.entry(session).or_default() += 1;
        let answer = self.studio.injection.send("DELETE", &format!("/session/{session}"), "");
        let status = answer.map_or(0, |answer| answer.status);
        if status == 200 {
            let (publisher, viewers) = self.live.remove(session).unwrap();
            let _ = publisher.process().kill9();
            let _ = viewers.process().kill9();
        }
        format!("destroy {session}: {status}")
    }

    fn away_or_back(&mut self, part: Part) -> String {
        if self.away.remove(&part) {
            self.back(part);
            return format!("{part:?} is back");
        }
        let studio = &self.studio;
        match part {
            Part::Redis => studio.redis.kill9(),
            Part::VideoRoom => studio.videoroom.kill9(),
            Part::Streaming(index) => studio.egresses[index].janus.kill9(),
            Part::Egress(index) => studio.egresses[index].node.kill9(),
            Part::Relay => studio.relay.kill9(),
        }
        .unwrap();
        self.away.insert(part);
        format!("{part:?} is killed")
    }

    fn back(&mut self, part: Part) {
        let studio = &mut self.studio;
        match part {
            Part::Redis => drop(studio.redis.restart().unwrap()),
            Part::VideoRoom => drop(studio.videoroom.restart().unwrap()),
            Part::Streaming(index) => drop(studio.egresses[index].janus.restart().unwrap()),
            Part::Egress(index) => drop(studio.egresses[index].node.restart().unwrap()),
            Part::Relay => studio.relay.restart().unwrap(),
        }
    }

    /// All that runs in a tree runs, every egress is attached and serves, every session is published.
    fn mend(&mut self) {
        for part in std::mem::take(&mut self.away) {
            self.back(part);
        }
        for index in 0..EGRESSES {
            self.studio.join(index).unwrap();
            self.until("it serves", |stage| stage.asks(index, "DELETE", "/drain") == 200);
        }
        for session in SESSIONS.map(|(session, _)| session) {
            let is_over = |publisher: &Publisher| publisher.process().status().unwrap().is_some();
            let began = Instant::now();
            // Who publishes may not have noticed yet that it is over, or is refused as long as its predecessor is there.
            while self
                .live
                .get(session)
                .is_some_and(|(publisher, _)| is_over(publisher) || !self.is_published(session))
            {
                if self.live.get(session).is_some_and(|(publisher, _)| is_over(publisher)) {
                    let publisher = self.publish(session);
                    self.live.get_mut(session).unwrap().0 = publisher;
                }
                assert!(began.elapsed() < PATIENCE, "{session} is not published: {}", self.said());
                thread::sleep(Duration::from_millis(500));
            }
        }
    }

    fn is_published(&self, session: &str) -> bool {
        let said = self.studio.injection.get(&format!("/session/{session}"));
        said.is_ok_and(|said| said.body.contains("\"state\":\"publishing\""))
    }

    /// What has to hold of a tree that is well.
    fn is_well(&self) {
        let sessions: BTreeSet<&str> = self.live.keys().copied().collect();
        for index in 0..EGRESSES {
            self.until(&format!("egress {index} has what there is"), |stage| {
                let found = stage.mountpoints(index);
                found.len() == sessions.len()
                    && found.iter().all(|(id, active)| *active && sessions.contains(id.as_str()))
            });
            self.until(&format!("egress {index} has no socket too many"), |stage| {
                stage.sockets(index) == stage.sockets_of(sessions.len())
            });
            self.until(&format!("egress {index} is ready"), |stage| {
                stage.asks(index, "GET", "/readyz") == 200
            });
        }
        let wanted: BTreeSet<String> = sessions
            .iter()
            .flat_map(|session| (0..EGRESSES).map(move |index| format!("{}:{session}", egress(index))))
            .collect();
        self.until("Redis has exactly these mountpoints", |stage| {
            let members = stage.studio.redis.members("mountpoints:active").unwrap_or_default();
            members.into_iter().collect::<BTreeSet<_>>() == wanted
        });
        for (session, (_, viewers)) in &self.live {
            let before: Vec<u64> = viewers.report().viewers.iter().map(|seen| seen.frames_of_all).collect();
            self.until(&format!("all watch {session}"), |_| {
                let now = viewers.report().viewers;
                now.len() == WATCH
                    && now.iter().enumerate().all(|(n, seen)| {
                        seen.silent_ms < 1000
                            && seen.frames_of_all > before.get(n).copied().unwrap_or_default() + 15
                    })
            });
        }
        self.until("viewers are where their session is", |stage| {
            (0..EGRESSES)
                .all(|index| stage.watched(index).iter().all(|session| sessions.contains(session.as_str())))
        });
        for ear in &self.ears {
            for (session, told) in ear.ended.lock().unwrap().iter() {
                let was = self.ended.get(session.as_str()).copied().unwrap_or_default();
                assert!(
                    *told <= was,
                    "{session} has ended {was} times, and viewers were told so {told} times: {}",
                    self.said()
                );
            }
        }
    }

    /// All sessions end: nothing is left of them anywhere.
    fn empty(&mut self) {
        for (session, _) in SESSIONS {
            self.ends(session);
        }
        assert!(self.live.is_empty(), "{}", self.said());
        for index in 0..EGRESSES {
            self.until(&format!("egress {index} is empty"), |stage| {
                stage.mountpoints(index).is_empty()
                    && stage.sockets(index) == stage.sockets_of(0)
                    && stage.watched(index).is_empty()
            });
        }
        let keys = ["mountpoints:active", "sessions:active", "sessions:index:{tree-1}"];
        self.until("Redis is empty", |stage| {
            keys.iter().all(|key| stage.studio.redis.members(key).is_ok_and(|members| members.is_empty()))
        });
    }

    /// Sessions that an egress has a mountpoint for, and whether media of it arrives.
    fn mountpoints(&self, index: usize) -> Vec<(String, bool)> {
        let said = self.studio.egresses[index].node.get("/mountpoints").map(|answer| answer.body);
        let said: Value = serde_json::from_str(&said.unwrap_or_default()).unwrap_or_default();
        let of = |mountpoint: &Value| {
            Some((mountpoint["sessionId"].as_str()?.to_owned(), mountpoint["active"].as_bool()?))
        };
        said["mountpoints"].as_array().into_iter().flatten().filter_map(of).collect()
    }

    /// Sessions that somebody watches at an egress.
    fn watched(&self, index: usize) -> Vec<String> {
        let said = self.studio.egresses[index].node.get("/viewers").map(|answer| answer.body);
        let said: Value = serde_json::from_str(&said.unwrap_or_default()).unwrap_or_default();
        let viewers = said["viewers"].as_array().into_iter().flatten();
        viewers.filter_map(|viewer| Some(viewer["sessionId"].as_str()?.to_owned())).collect()
    }

    /// UDP sockets at the ports that an egress gives to mountpoints: its Janus'.
    fn sockets(&self, index: usize) -> usize {
        let said = self.lab.run(&egress(index), &["ss", "-Huln", "sport >= 6000 and sport < 6600"]).unwrap();
        said.lines().count()
    }

    /// How many there are to be of so many mountpoints: for the RTP of both, and the RTCP of video; none with the native server.
    fn sockets_of(&self, mountpoints: usize) -> usize {
        if self.is_native { 0 } else { 3 * mountpoints }
    }

    fn until(&self, what: &str, so: impl Fn(&Self) -> bool) {
        let began = Instant::now();
        while !so(self) {
            assert!(began.elapsed() < PATIENCE, "not within {PATIENCE:?}: {what}: {}", self.said());
            thread::sleep(POLL);
        }
    }

    fn said(&self) -> String {
        let all: Vec<_> = (0..EGRESSES)
            .map(|index| (self.mountpoints(index), self.sockets(index), self.watched(index)))
            .collect();
        let views: Vec<_> = self.live.values().map(|(_, viewers)| viewers.process().tail()).collect();
        format!("{:#?}\n{all:?}\n{views:#?}{}", self.acts, self.studio.diagnosis())
    }
}

/// Somebody who listens at an egress for as long as all lasts.
struct Ear {
    /// How often it was told that a session has ended.
    ended: Arc<Mutex<BTreeMap<String, usize>>>,
    over: Arc<AtomicBool>,
    listening: Option<JoinHandle<()>>,
}

impl Ear {
    fn at(lab: &Lab, index: usize) -> Ear {
        let (ended, over) = (Arc::new(Mutex::new(BTreeMap::new())), Arc::new(AtomicBool::new(false)));
        let (heard, stop) = (ended.clone(), over.clone());
        // A thread is in the namespace of the one that makes it.
        let listening = lab.in_namespace(&egress(index), || {
            thread::spawn(move || {
                while !stop.load(Ordering::SeqCst) {
                    let _ = listen(&heard, &stop);
                    thread::sleep(POLL);
                }
            })
        });
        Ear { ended, over, listening: Some(listening.unwrap()) }
    }
}

impl Drop for Ear {
    fn drop(&mut self) {
        self.over.store(true, Ordering::SeqCst);
        if let Some(listening) = self.listening.take() {
            let _ = listening.join();
        }
    }
}

fn listen(ended: &Mutex<BTreeMap<String, usize>>, stop: &AtomicBool) -> std::io::Result<()> {
    let mut stream = TcpStream::connect((Ipv4Addr::LOCALHOST, EGRESS_API))?;
    stream.set_read_timeout(Some(Duration::from_millis(500)))?;
    write!(stream, "GET /events?id=one&id=two HTTP/1.1\r\nHost: egress\r\n\r\n")?;
    let (mut stream, mut line, mut event) = (BufReader::new(stream), Vec::new(), String::new());
    while !stop.load(Ordering::SeqCst) {
        match stream.read_until(b'\n', &mut line) {
            Ok(0) => return Ok(()),
            Ok(_) => {}
            Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => continue,
            Err(error) => return Err(error),
        }
        let text = String::from_utf8_lossy(&line).trim().to_owned();
        line.clear();
        if let Some(name) = text.strip_prefix("event: ") {
            event = name.to_owned();
        } else if let Some(data) = text.strip_prefix("data: ")
            && event == "ended"
        {
            let data: Value = serde_json::from_str(data).unwrap_or_default();
            *ended
                .lock()
                .unwrap()
                .entry(data["sessionId"].as_str().unwrap_or_default().to_owned())
                .or_default() += 1;
        }
    }
    Ok(())
}
