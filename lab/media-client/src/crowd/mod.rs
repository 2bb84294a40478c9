//! `crowd`: many viewers, who join at once or one after the other by way of one proxy, watch, and leave; beside them others may
//! come and go all the time. What is measured is the server, so they are light: see [`crate::watcher`].

mod follow;
mod member;
mod report;

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::SeqCst};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use clap::{Args, ValueEnum};
use nix::sys::resource::{Resource, getrlimit, setrlimit};

use crate::session::Numbers;
use crate::watcher::{Joined, Manner, Watcher, locked};
use crate::watchers::Watchers;
use crate::wish::Endpoint;
use member::Members;

/// Of a thread that makes them.
const STACK: usize = 512 * 1024;
/// How long viewers' threads let packets come together.
const NAP: Duration = Duration::from_millis(1);
/// Descriptors beside the viewers' sockets and connections: what a process has anyway.
const SPARE: u64 = 64;

/// How a viewer goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Goodbye {
    /// As players do: close_notify, and DELETE.
    Both,
    /// DELETE alone.
    Delete,
    /// close_notify alone, as a page that is closed.
    Close,
    /// Not a word, as a device without network.
    None,
}

#[derive(Args)]
pub struct Options {
    /// WHEP endpoint; several get every other viewer
    #[arg(long, required = true)]
    endpoint: Vec<String>,
    /// Viewers who come and stay
    #[arg(long, default_value_t = 1000)]
    count: usize,
    /// Seconds in which they come, one after the other; 0: all at once
    #[arg(long, default_value_t = 10.0)]
    within: f64,
    /// Most requests at once: who is to come while so many wait for their answers asks later
    #[arg(long, default_value_t = 256, value_parser = clap::builder::RangedU64ValueParser::<usize>::new().range(1..=10_000))]
    requests: usize,
    /// Seconds that all go on watching after the last was to come; SIGTERM ends it sooner
    #[arg(long, default_value_t = 5.0)]
    stay: f64,
    /// Others that join in every second of that time
    #[arg(long, default_value_t = 0.0)]
    churn: f64,
    /// Seconds after which each of those leaves
    #[arg(long, default_value_t = 5.0)]
    visit: f64,
    /// How those leave
    #[arg(long, value_enum, default_value_t = Goodbye::Both)]
    goodbye: Goodbye,
    /// So many of those who stay open every packet; the others count by headers
    #[arg(long, default_value_t = 0)]
    thorough: usize,
    /// Percent of the packets that each viewer loses on purpose, and asks for again; all are thorough then
    #[arg(long, default_value_t = 0.0)]
    loss: f64,
    /// Whose payload types they offer
    #[arg(long, value_enum, default_value_t = Numbers::Tree)]
    numbers: Numbers,
    /// Threads that receive
    #[arg(long, default_value_t = 1)]
    threads: usize,
    /// Listen for events, and go on elsewhere as the viewers' page does when the server says so, or is gone
    #[arg(long)]
    follow: bool,
    /// Milliseconds between two reports; 0: only at the end
    #[arg(long, default_value_t = 0)]
    every: u64,
}

/// What is to be done about a viewer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Step {
    Join { visitor: bool },
    Leave(usize),
}

/// Lets all join, watch and leave, and prints how that went.
pub fn run(options: &Options) -> Result<()> {
    ensure!((0.0..100.0).contains(&options.loss), "--loss is a percentage");
    let times = [options.within, options.stay, options.visit, options.churn];
    ensure!(times.iter().all(|time| (0.0..1e6).contains(time)), "a time or rate is negative, or too big");
    str0m::crypto::from_feature_flags().install_process_default();
    let visitors = (options.churn * options.stay) as u64;
    // The sockets of visitors are closed when they go, and a second later at most.
    let at_once = options.count as u64 + visitors.min((options.churn * (options.visit + 1.0)) as u64);
    // A second connection while it moves, and one for events.
    allow_descriptors(at_once * if options.follow { 3 } else { 1 } + options.requests as u64 + SPARE)?;
    let crowd = Crowd {
        options,
        endpoints: options.endpoint.iter().map(|url| Endpoint::new(url, token())).collect::<Result<_>>()?,
        watchers: Watchers::start(options.threads, NAP)?,
        members: Mutex::default(),
        plan: Mutex::new(plan(options)),
        next: AtomicU64::new(options.count as u64 + visitors),
        over: AtomicBool::new(false),
        began: Instant::now(),
    };
    let (steps, taken) = channel();
    let taken = Mutex::new(taken);
    thread::scope(|scope| {
        for _ in 0..options.requests.min(options.count + visitors as usize) {
            let (crowd, taken) = (&crowd, &taken);
            let builder = thread::Builder::new().stack_size(STACK);
            builder.spawn_scoped(scope, move || crowd.work(scope, taken)).context("a thread")?;
        }
        crowd.direct(&steps)?;
        drop(steps);
        anyhow::Ok(())
    })?;
    crate::tell(&report::report(&locked(&crowd.members), crowd.began.elapsed(), options.follow, true));
    crowd.watchers.end()
}

fn token() -> Option<String> {
    std::env::var("WHEP_TOKEN").ok()
}

/// A thousand viewers have more sockets than the usual soft limit.
fn allow_descriptors(wanted: u64) -> Result<()> {
    let (soft, hard) = getrlimit(Resource::RLIMIT_NOFILE).context("RLIMIT_NOFILE")?;
    ensure!(wanted <= hard, "so many viewers need {wanted} file descriptors, and `ulimit -Hn` is {hard}");
    setrlimit(Resource::RLIMIT_NOFILE, soft.max(wanted), hard).context("RLIMIT_NOFILE")
}

/// A step, and when it is due, since the beginning.
type Planned = (Duration, Step);

type Plan = BinaryHeap<Reverse<Planned>>;

/// Who comes when.
fn plan(options: &Options) -> Plan {
    let stayers = (0..options.count)
        .map(|number| (options.within * number as f64 / options.count as f64, Step::Join { visitor: false }));
    let visitors = (0..(options.churn * options.stay) as usize)
        .map(|number| (options.within + number as f64 / options.churn, Step::Join { visitor: true }));
    stayers.chain(visitors).map(|(at, step)| Reverse((Duration::from_secs_f64(at), step))).collect()
}

struct Crowd<'a> {
    options: &'a Options,
    endpoints: Vec<Endpoint>,
    watchers: Watchers,
    members: Mutex<Members>,
    /// What is still to be done, by the time since the beginning.
    plan: Mutex<Plan>,
    /// Number of the next seat.
    next: AtomicU64,
    /// Nobody stays any more.
    over: AtomicBool,
    began: Instant,
}

/// Whom a proxy would say it asks for: the range of RFC 2544 for benchmarks.
fn client(number: usize) -> String {
    format!("198.{}.{}.{}", 18 + number / 62_500, number / 250 % 250, number % 250)
}

impl Crowd<'_> {
    /// Has everybody come and go at their time, and reports in between.
    fn direct(&self, steps: &Sender<Planned>) -> Result<()> {
        let every = Duration::from_millis(self.options.every);
        let end = Duration::from_secs_f64(self.options.within + self.options.stay);
        let mut report = every;
        let tell = |planned| steps.send(planned).ok().context("nobody takes part any more");
        while self.began.elapsed() < end && !crate::stopped() {
            let now = self.began.elapsed();
            while let Some(planned) = self.due(now) {
                tell(planned)?;
            }
            if !every.is_zero() && now >= report {
                report += every;
                crate::tell(&report::report(&locked(&self.members), now, self.options.follow, false));
            }
            thread::sleep(Duration::from_millis(1));
        }
        self.over.store(true, SeqCst);
        let all = locked(&self.members).close();
        (0..all).map(|number| (end, Step::Leave(number))).try_for_each(tell)
    }

    fn due(&self, now: Duration) -> Option<Planned> {
        let mut plan = locked(&self.plan);
        plan.peek()
            .is_some_and(|Reverse((at, _))| *at <= now)
            .then(|| plan.pop())?
            .map(|Reverse(planned)| planned)
    }

    /// Makes requests, one after the other, until there are no more steps.
    fn work<'scope>(
        &'scope self,
        scope: &'scope thread::Scope<'scope, '_>,
        steps: &Mutex<Receiver<Planned>>,
    ) {
        loop {
            let step = locked(steps).recv();
            match step {
                Ok((at, Step::Join { visitor })) => {
                    let number = self.join(visitor, self.began + at);
                    if self.options.follow && !visitor {
                        let follower = thread::Builder::new().stack_size(STACK);
                        if let Err(error) = follower.spawn_scoped(scope, move || self.follow(number)) {
                            locked(&self.members).all[number].error = Some(format!("no thread: {error}"));
                        }
                    }
                }
                Ok((_, Step::Leave(number))) => self.leave(number),
                Err(_) => return,
            }
        }
    }

    fn manner(&self, number: usize) -> Manner {
        let Options { thorough, loss, numbers, .. } = *self.options;
        let thorough = loss > 0.0 || number < thorough;
        Manner { numbers, thorough, repairs: true, loss: loss / 100.0 }
    }

    /// Gives the viewer's number.
    fn join(&self, visitor: bool, due: Instant) -> usize {
        let (number, seen) = locked(&self.members).add(visitor, due);
        let endpoint = &self.endpoints[number % self.endpoints.len()];
        let (client, manner) = (client(number), self.manner(number));
        let joined = Watcher::join(endpoint, Some(&client), manner, number as u64, seen, None);
        let over = {
            let mut members = locked(&self.members);
            let member = &mut members.all[number];
            match joined {
                Ok(Joined::Seated(watcher, resource)) => {
                    member.answered(201);
                    member.resource = Some(resource);
                    self.watchers.seats().sit(number as u64, watcher);
                }
                Ok(Joined::Refused(status, _)) => member.answered(status),
                Err(error) => member.error = Some(format!("{error:#}")),
            }
            self.over.load(SeqCst)
        };
        if over {
            self.leave(number);
        } else if visitor {
            let until = self.began.elapsed() + Duration::from_secs_f64(self.options.visit);
            locked(&self.plan).push(Reverse((until, Step::Leave(number))));
        }
        number
    }

    fn leave(&self, number: usize) {
        // Who has not been answered yet leaves when he is.
        let (resource, id) = {
            let member = &mut locked(&self.members).all[number];
            (member.resource.take(), member.id)
        };
        let Some(resource) = resource else { return };
        let goodbye = self.options.goodbye;
        let deleted = match goodbye {
            Goodbye::Both | Goodbye::Delete => resource.delete(),
            Goodbye::Close | Goodbye::None => Ok(()),
        };
        self.watchers.seats().leave(id, matches!(goodbye, Goodbye::Both | Goodbye::Close));
        let mut members = locked(&self.members);
        members.all[number].left = true;
        if let Err(error) = deleted {
            members.all[number].error.get_or_insert(format!("{error:#}"));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_come_in_their_time() {
        let mut options = Options {
            endpoint: vec!["http://node/".into()],
            count: 10,
            within: 5.0,
            requests: 1,
            stay: 2.0,
            churn: 3.0,
            visit: 1.0,
            goodbye: Goodbye::Both,
            thorough: 0,
            loss: 0.0,
            numbers: Numbers::Tree,
            threads: 1,
            follow: false,
            every: 0,
        };
        let mut steps = plan(&options).into_sorted_vec();
        steps.reverse();
        let at = |index: usize| steps[index].0.0.as_secs_f64();
        assert_eq!((steps.len(), at(0), at(1), at(9), at(10)), (16, 0.0, 0.5, 4.5, 5.0));
        assert_eq!(steps[15].0.1, Step::Join { visitor: true });
        (options.within, options.churn) = (0.0, 0.0);
        assert!(plan(&options).iter().all(|Reverse((at, _))| at.is_zero()));
    }
}
