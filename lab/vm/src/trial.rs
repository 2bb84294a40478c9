//! What is tried on each machine, in one order, since where one attach ends is where the next begins.

use std::collections::BTreeMap;
use std::time::Instant;

use anyhow::{Result, bail};
use lab::relay::Mode;
use lab::{Lab, Sent};

use crate::expect;
use crate::machine::{CPUS, Card, Kernel, Machine};
use crate::media::{Checksums, Copies, Media, STREAMS};
use crate::relay::{Relay, Start};

/// Copies that have to come between two events of a change under traffic: each stream some at each child.
const SOME: u64 = 10 * 4 * STREAMS as u64;

/// Receive soft interrupts that tell a processor that takes its share of a run from one that does not.
const SHARE: u64 = 50;

/// One thing that was tried.
pub struct Check {
    /// In a few words.
    pub what: String,
    /// What was seen.
    pub seen: String,
    /// Was that what is wanted?
    pub passed: bool,
}

/// All that was seen on one machine.
pub struct Findings {
    /// `uname -r`.
    pub release: String,
    pub card: Card,
    pub checks: Vec<Check>,
    /// The mode that `auto` ended in.
    pub auto: Option<String>,
    /// Copies by the mode they were made in.
    pub copies: BTreeMap<String, Copies>,
    /// What changes under traffic lost: their names and copies.
    pub changes: Vec<(String, Copies)>,
    /// Instructions verified, by program.
    pub verified: BTreeMap<String, u64>,
}

/// Boots a machine and tries everything.
pub fn run(kernel: &Kernel, card: Card) -> Findings {
    let mut findings = Findings {
        release: kernel.release.clone(),
        card,
        checks: Vec::new(),
        auto: None,
        copies: BTreeMap::new(),
        changes: Vec::new(),
        verified: BTreeMap::new(),
    };
    if let Err(error) = on_a_machine(kernel, card, &mut findings) {
        findings.expect("the machine", false, format!("{error:#}"));
    }
    findings
}

fn on_a_machine(kernel: &Kernel, card: Card, findings: &mut Findings) -> Result<()> {
    // Two runs may go on at once.
    let lab = Lab::new(&format!("vm-{}-", std::process::id()))?;
    let started = Instant::now();
    let machine = Machine::boot(&lab, kernel, card)?;
    println!("[vm] booted in {:.0} s", started.elapsed().as_secs_f64());
    let relay = Relay { machine: &machine };
    let mut trial = Trial { kernel, card, relay, lab: &lab, findings, ssrc: 1_000 };
    trial.fresh_start(Mode::Auto)?;
    trial.changes_of_mode()?;
    for asked in [Mode::Xdp, Mode::Tc] {
        trial.fresh_start(asked)?;
    }
    let complaints = machine.ok("dmesg | grep -E 'WARNING|BUG|Oops|Call Trace'; true")?;
    trial.findings.expect("the kernel's log has no warning", complaints.is_empty(), complaints);
    Ok(())
}

struct Trial<'t, 'm, 'lab> {
    kernel: &'t Kernel,
    card: Card,
    relay: Relay<'m>,
    lab: &'lab Lab,
    findings: &'t mut Findings,
    /// The next run's first; no SSRC is used twice, so that a stream's counters are those of its run.
    ssrc: u32,
}

impl Trial<'_, '_, '_> {
    /// From nothing to nothing: attach, copies of all kinds, a crash and a restart under traffic, detach.
    fn fresh_start(&mut self, asked: Mode) -> Result<()> {
        if let Some(ran) = self.attach(asked)? {
            self.copies(&ran)?;
            if asked == Mode::Auto {
                self.findings.auto = Some(ran.clone());
            }
            // Sockets do not outlive their daemon; and what `auto` has taken need not be restarted twice.
            let restarted =
                self.findings.changes.iter().any(|(what, _)| *what == format!("restart in {ran}"));
            if ran != Mode::Userspace.to_string() && !restarted {
                self.change(&format!("restart in {ran}"), asked, &ran, false)?;
            }
        }
        self.detach(&asked.to_string())
    }

    /// tc, xdp and tc again, by restarts under traffic.
    fn changes_of_mode(&mut self) -> Result<()> {
        let wanted = |asked| expect::mode(self.kernel.series, self.card, asked);
        let (Some(xdp), Some(tc)) = (wanted(Mode::Xdp), wanted(Mode::Tc)) else { return Ok(()) };
        if self.attach(Mode::Tc)?.is_some() {
            let loses = expect::attaching_loses(self.card);
            if self.change("tc to xdp", Mode::Xdp, &xdp.to_string(), loses)? {
                self.change("xdp to tc", Mode::Tc, &tc.to_string(), false)?;
            }
        }
        self.detach("changes")
    }

    fn detach(&mut self, after: &str) -> Result<()> {
        let left = self.relay.detach()?;
        self.findings.expect(&format!("detach after {after} leaves nothing"), left.is_empty(), left);
        Ok(())
    }

    /// The mode it ends in; `None` if it is refused.
    fn attach(&mut self, asked: Mode) -> Result<Option<String>> {
        let wanted = expect::mode(self.kernel.series, self.card, asked).map(|mode| mode.to_string());
        let what = format!(
            "--mode {asked} {}",
            wanted.as_ref().map_or("is refused".to_owned(), |mode| format!("ends in {mode}"))
        );
        Ok(match self.relay.start(asked)? {
            Start::Runs(ran, reason) => {
                self.findings.verified.extend(self.relay.verified()?);
                self.findings.expect(&what, wanted.as_ref() == Some(&ran), format!("{ran}: {reason}"));
                Some(ran)
            }
            Start::Refused(why) => {
                self.findings.expect(&what, wanted.is_none(), format!("refused: {why}"));
                None
            }
        })
    }

    /// Twelve streams from senders with complete and with partial checksums: the copies and the books of both.
    fn copies(&mut self, ran: &str) -> Result<()> {
        for checksums in [Checksums::Complete, Checksums::Partial] {
            let before = (self.packets_of_children()?, self.receive_interrupts()?);
            let (sent, copies) = Media::run(self.lab, self.next_ssrc(), checksums)?;
            let total = self.findings.copies.entry(ran.to_owned()).or_default();
            *total = total.and(copies);
            let what = format!("{ran}, checksums {checksums:?}").to_lowercase();
            self.judge(&format!("{what}: copies are exact"), copies, copies.exact());
            let counted = self.packets_of_children()?.saturating_sub(before.0);
            let (streams, off) = self.streams(&sent)?;
            self.findings.expect(
                &format!("{what}: the books are exact"),
                counted == copies.total() && streams == sent.packets.len() && off == 0,
                format!("children {counted} of {}, streams {streams}, {off} of them off", copies.total()),
            );
            if self.card == Card::VirtioQueues {
                let after = self.receive_interrupts()?;
                let shares: Vec<u64> = after
                    .iter()
                    .zip(&before.1)
                    .map(|(after, before)| after.saturating_sub(*before))
                    .collect();
                let shared = shares.iter().all(|share| *share >= SHARE);
                self.findings.expect(
                    &format!("{what}: both processors receive"),
                    shared,
                    format!("{shares:?}"),
                );
            }
        }
        Ok(())
    }

    /// Kills the daemon under traffic and starts it as `asked`; all copies of before, between and after count.
    fn change(&mut self, what: &str, asked: Mode, wanted: &str, may_lose: bool) -> Result<bool> {
        let media = Media::start(self.lab, self.next_ssrc())?;
        let flowed = media.more(SOME);
        self.relay.kill()?;
        let goes_on = media.more(SOME);
        let start = self.relay.start(asked)?;
        let after = media.more(SOME);
        let (_, copies) = media.end()?;
        let (ran, why) = match start {
            Start::Runs(ran, reason) => (ran, reason),
            Start::Refused(why) => ("nothing".to_owned(), why),
        };
        self.findings.expect(
            &format!("{what}: the daemon runs in {wanted}"),
            ran == wanted,
            format!("{ran}: {why}"),
        );
        if !(flowed && goes_on && after) {
            self.findings.expect(
                &format!("{what}: media flows"),
                false,
                format!("{flowed}, {goes_on}, {after}"),
            );
        }
        let whole = copies.exact() || may_lose && copies.flaws == 0;
        let how =
            if may_lose { "nothing but what the link's reset costs is lost" } else { "nothing is lost" };
        self.judge(&format!("{what}: {how}"), copies, whole);
        self.findings.changes.push((what.to_owned(), copies));
        Ok(ran == wanted)
    }

    fn judge(&mut self, what: &str, copies: Copies, passed: bool) {
        let Copies { wanted, came: [same, other], lost, flaws } = copies;
        let mut seen = format!(
            "{same} behind eth0 and {other} behind eth1 of {wanted} came; {lost} lost, {flaws} doubled, late or wrong"
        );
        if !passed {
            seen += &format!("\n{}", self.relay.diagnosis());
        }
        self.findings.expect(what, passed, seen);
    }

    fn packets_of_children(&self) -> Result<u64> {
        let children = self.relay.json("children")?;
        Ok(children["children"].list().iter().map(|child| child["packets"].number()).sum())
    }

    /// How many of the streams sent the relay knows, and how many of those with another number of packets.
    fn streams(&self, sent: &Sent) -> Result<(usize, usize)> {
        let streams = self.relay.json("streams")?;
        let known = streams["streams"].list().iter();
        let counted: Vec<(u64, u64)> = known
            .filter_map(|stream| {
                Some((stream["packets"].number(), *sent.packets.get(&(stream["ssrc"].number() as u32))?))
            })
            .collect();
        Ok((counted.len(), counted.iter().filter(|(counted, sent)| counted != sent).count()))
    }

    /// Receive soft interrupts so far, by processor.
    fn receive_interrupts(&self) -> Result<Vec<u64>> {
        let row = self.relay.machine.ok("grep NET_RX /proc/softirqs")?;
        let counts: Vec<u64> =
            row.split_whitespace().skip(1).filter_map(|count| count.parse().ok()).collect();
        if counts.len() < CPUS {
            bail!("no {CPUS} processors in {row}");
        }
        Ok(counts[..CPUS].to_vec())
    }

    fn next_ssrc(&mut self) -> u32 {
        self.ssrc += STREAMS;
        self.ssrc
    }
}

impl Findings {
    fn expect(&mut self, what: &str, passed: bool, seen: impl Into<String>) {
        let seen = seen.into();
        println!("[vm] {} {what}: {}", if passed { "ok    " } else { "FAILED" }, seen.trim());
        self.checks.push(Check { what: what.to_owned(), seen, passed });
    }
}
