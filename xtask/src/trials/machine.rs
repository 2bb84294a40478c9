//! Who else had the machine while a test ran: CPU time that its host took away, and that other programs used.

use std::collections::BTreeMap;
use std::fs;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// How often the books are read.
const EVERY: Duration = Duration::from_millis(250);
/// Share of one CPU, within a sample or over the whole of a trial, from which on it was disturbed.
const MUCH_AT_ONCE: f64 = 0.5;
const MUCH_ALL_THE_TIME: f64 = 0.1;
/// Kept samples: an hour and a half.
const KEPT: usize = 21_600;

/// The kernel's books at one moment, in ticks.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Books {
    /// Time that this machine's host gave to others.
    pub stolen: u64,
    /// Time of all programs: `user`, `nice` and `system`.
    pub all: u64,
    /// Time of ours: this process, those that it started, and those that these started.
    pub ours: u64,
}

/// What happened between two readings.
#[derive(Clone, Copy, Debug)]
struct Sample {
    from: Instant,
    to: Instant,
    stolen: Duration,
    others: Duration,
}

/// Reads the books for as long as it lives.
pub struct Watch {
    shared: Arc<Shared>,
}

#[derive(Default)]
struct Shared {
    samples: Mutex<(Vec<Sample>, bool)>,
    stop: Condvar,
}

impl Watch {
    pub fn start() -> Self {
        let shared = Arc::new(Shared::default());
        let watching = Arc::clone(&shared);
        std::thread::spawn(move || watching.run());
        Self { shared }
    }

    /// What was taken away between two moments, in words; `None` if nothing to speak of.
    pub fn between(&self, from: Instant, to: Instant) -> Option<String> {
        let samples = self.shared.lock();
        let of_it: Vec<Sample> =
            samples.0.iter().filter(|sample| sample.to > from && sample.from < to).copied().collect();
        told(&of_it)
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        self.shared.lock().1 = true;
        self.shared.stop.notify_all();
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, (Vec<Sample>, bool)> {
        self.samples.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn run(&self) {
        let (mut before, mut since) = (read(), Instant::now());
        let mut samples = self.lock();
        while !samples.1 {
            samples = self.stop.wait_timeout(samples, EVERY).unwrap_or_else(PoisonError::into_inner).0;
            let (books, now) = (read(), Instant::now());
            if let (Some(before), Some(books)) = (before, books) {
                samples.0.push(sample(before, books, since, now));
                if samples.0.len() > KEPT {
                    samples.0.remove(0);
                }
            }
            (before, since) = (books, now);
        }
    }
}

fn sample(before: Books, books: Books, from: Instant, to: Instant) -> Sample {
    let all = books.all.saturating_sub(before.all);
    // A process of ours that nobody waits for takes its books with it: then ours seem to run backwards.
    let ours = books.ours.saturating_sub(before.ours);
    let ticks = |ticks: u64| Duration::from_millis(ticks * 10);
    Sample {
        from,
        to,
        stolen: ticks(books.stolen.saturating_sub(before.stolen)),
        others: ticks(all.saturating_sub(ours)),
    }
}

/// The words for what was taken in these samples.
fn told(samples: &[Sample]) -> Option<String> {
    let time: f64 = samples.iter().map(|sample| (sample.to - sample.from).as_secs_f64()).sum();
    let of = |taken: fn(&Sample) -> Duration| {
        let share =
            |sample: &Sample| taken(sample).as_secs_f64() / (sample.to - sample.from).as_secs_f64().max(0.01);
        // Two ticks in a sample are the grain of the books.
        let large = samples.iter().filter(|sample| taken(sample) > Duration::from_millis(30)).map(share);
        let most = large.fold(0.0, f64::max);
        let mean = samples.iter().map(|sample| taken(sample).as_secs_f64()).sum::<f64>() / time.max(0.01);
        (most >= MUCH_AT_ONCE || mean >= MUCH_ALL_THE_TIME).then(|| {
            format!("{:.0} % of a CPU for {time:.1} s, {:.0} % at worst", 100.0 * mean, 100.0 * most)
        })
    };
    let stolen = of(|sample| sample.stolen).map(|much| format!("this machine's host took {much}"));
    stolen.or_else(|| of(|sample| sample.others).map(|much| format!("other programs used {much}")))
}

/// The books as they are now; `None` where there is no /proc.
fn read() -> Option<Books> {
    let (all, stolen) = of_machine(&fs::read_to_string("/proc/stat").ok()?)?;
    let processes = fs::read_dir("/proc").ok()?.flatten().filter_map(|entry| {
        entry.file_name().to_str()?.parse::<u32>().ok()?;
        of_process(&fs::read_to_string(entry.path().join("stat")).ok()?)
    });
    Some(Books { stolen, all, ours: of_tree(processes, std::process::id()) })
}

/// The times of programs, and the stolen one, from /proc/stat (proc(5)).
fn of_machine(stat: &str) -> Option<(u64, u64)> {
    let mut times = stat.lines().next()?.strip_prefix("cpu ")?.split_whitespace().map(str::parse::<u64>);
    let mut next = || times.next()?.ok();
    let (user, nice, system) = (next()?, next()?, next()?);
    // idle, iowait, irq, softirq
    for _ in 0..4 {
        next()?;
    }
    Some((user + nice + system, next()?))
}

/// (process, parent, its time with that of the children it waited for), from /proc/PID/stat.
fn of_process(stat: &str) -> Option<(u32, u32, u64)> {
    let process = stat.split_once(' ')?.0.parse().ok()?;
    // The name may have anything in it; what comes after its last bracket begins with field 3.
    let fields: Vec<&str> = stat.rsplit_once(") ")?.1.split(' ').collect();
    let parent = fields.get(1)?.parse().ok()?;
    let time = fields.get(11..15)?.iter().map(|field| field.parse::<u64>().unwrap_or(0)).sum();
    Some((process, parent, time))
}

/// The time of a process and all its descendants.
fn of_tree(processes: impl Iterator<Item = (u32, u32, u64)>, root: u32) -> u64 {
    let (mut children, mut times) = (BTreeMap::<u32, Vec<u32>>::new(), BTreeMap::new());
    for (process, parent, time) in processes {
        children.entry(parent).or_default().push(process);
        times.insert(process, time);
    }
    let (mut open, mut sum) = (vec![root], 0);
    while let Some(process) = open.pop() {
        sum += times.remove(&process).unwrap_or(0);
        open.extend(children.remove(&process).unwrap_or_default());
    }
    sum
}

#[cfg(test)]
mod tests {
    use super::*;

    fn samples(taken: &[(u64, u64)]) -> Vec<Sample> {
        let from = Instant::now();
        let millis = Duration::from_millis;
        taken
            .iter()
            .map(|(stolen, others)| Sample {
                from,
                to: from + EVERY,
                stolen: millis(*stolen),
                others: millis(*others),
            })
            .collect()
    }

    #[test]
    fn an_idle_machine_disturbs_nobody() {
        assert_eq!(told(&samples(&[(0, 0), (10, 20), (0, 10), (0, 0)])), None);
        assert_eq!(told(&[]), None);
    }

    #[test]
    fn a_host_that_takes_the_cpu_once_disturbs() {
        let mut taken = [(0, 0); 40];
        taken[20] = (150, 0);
        let words = told(&samples(&taken)).expect("disturbed");
        assert!(words.contains("this machine's host") && words.contains("60 % at worst"), "{words}");
    }

    #[test]
    fn another_program_that_runs_all_the_time_disturbs() {
        let words = told(&samples(&[(0, 60), (0, 70), (0, 60)])).expect("disturbed");
        assert!(words.contains("other programs used 25 %"), "{words}");
    }

    #[test]
    fn the_books_are_read_right() {
        let stat = "cpu  10 20 30 40 50 60 70 80 0 0\ncpu0 1 2 3 4 5 6 7 8 0 0\n";
        assert_eq!(of_machine(stat), Some((60, 80)));
        let stat = "42 (a) name) S 7 42 42 0 -1 4194560 100 200 0 0 11 12 13 14 20 0 1 0 100 0 0";
        assert_eq!(of_process(stat), Some((42, 7, 50)));
    }

    #[test]
    fn descendants_are_ours_and_others_are_not() {
        let processes = [(1, 0, 1000), (10, 1, 1), (11, 10, 2), (12, 11, 4), (20, 1, 500), (21, 20, 600)];
        assert_eq!(of_tree(processes.into_iter(), 10), 7);
    }

    #[test]
    fn work_of_our_own_is_nobody_else_s() {
        let [before, books] =
            [Books { stolen: 0, all: 100, ours: 50 }, Books { stolen: 0, all: 125, ours: 75 }];
        let now = Instant::now();
        assert_eq!(sample(before, books, now, now + EVERY).others, Duration::ZERO);
    }

    #[test]
    fn this_machine_has_books() {
        let books = read().expect("/proc");
        assert!(books.all >= books.ours && books.all > 0, "{books:?}");
    }
}
