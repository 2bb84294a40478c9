//! Finding out by trying: may programs be loaded, do XDP frames really leave an interface? Nothing here attaches a program
//! to an interface.

use aya::maps::{Array, Map, MapData, MapError, PerCpuArray, PerCpuValues};
use aya::programs::links::FdLink;
use aya::programs::{RawTracePoint, TestRun, TestRunAttrs, TestRunOptions};
use aya::{Ebpf, EbpfLoader};
use nix::errno::Errno;
use nix::sched::{CpuSet, sched_getaffinity, sched_setaffinity};
use nix::unistd::Pid;
use relay_common::probe::{ERROR, OUTCOME, SENT, TARGET};

use super::programs::{OBJECT, PROBE, xdp};
use super::verifier::{VERIFIER_LOG, of, retry};
use super::{KernelError, map};

/// EtherType for local experiments (IEEE 802): no host acts on it.
const EXPERIMENTAL: [u8; 2] = [0x88, 0xb5];

/// The programs that hear what became of a probe frame, and where.
const LISTENERS: [(&str, &str); 2] =
    [("probe_asked", "xdp_devmap_xmit"), ("probe_refused", "xdp_redirect_err")];

/// Can programs be loaded at all?
pub fn bpf_rights() -> Result<(), String> {
    Prober::new().map(drop)
}

/// Does the running kernel have tcx (Linux 6.6)?
pub fn tcx() -> Result<(), String> {
    let kernel =
        aya::util::KernelVersion::current().map_err(|error| format!("unknown kernel version: {error}"))?;
    if kernel < aya::util::KernelVersion::new(6, 6, 0) {
        return Err("the kernel is older than 6.6 and has no tcx".to_owned());
    }
    Ok(())
}

/// What became of one probe frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Answer {
    /// The driver took it.
    Sent,
    /// Not this time: the ring was full, or memory short. Says that the driver does transmit XDP frames.
    Busy,
    /// Not now: the interface is down, or its driver is just setting it up.
    Down,
    /// The driver, or the kernel on its behalf, does not transmit XDP frames here.
    Cannot(Errno),
}

impl Answer {
    /// From what the tracepoints heard.
    fn of(outcome: u32, error: u32) -> Answer {
        match (outcome, Errno::from_raw(error as i32)) {
            (SENT, _) => Answer::Sent,
            // Nobody heard anything: the frame came to no driver.
            (0, _) => Answer::Cannot(Errno::EOPNOTSUPP),
            // Drivers take what fits into their ring and leave the rest without an error.
            (_, Errno::UnknownErrno) if error == 0 => Answer::Busy,
            (_, Errno::EBUSY | Errno::EAGAIN | Errno::ENOBUFS | Errno::ENOSPC | Errno::ENOMEM) => {
                Answer::Busy
            }
            (_, Errno::ENETDOWN | Errno::ENODEV) => Answer::Down,
            (_, error) => Answer::Cannot(error),
        }
    }
}

/// What the answers on several CPUs say of an interface.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// XDP frames leave; but not from these CPUs.
    Works { not_from: Vec<usize> },
    /// They do not, from no CPU.
    Cannot(Errno),
    /// This says nothing either way: it was busy or down.
    Unsure,
}

/// A driver may have a transmit queue for some CPUs and none for others, so one CPU's refusal is not the interface's.
pub fn verdict(answers: &[(usize, Answer)]) -> Verdict {
    let refused: Vec<(usize, Errno)> = answers
        .iter()
        .filter_map(|(cpu, answer)| match answer {
            Answer::Cannot(errno) => Some((*cpu, *errno)),
            _ => None,
        })
        .collect();
    if answers.iter().any(|(_, answer)| *answer == Answer::Sent) {
        return Verdict::Works { not_from: refused.into_iter().map(|(cpu, _)| cpu).collect() };
    }
    match refused.first() {
        Some((_, errno)) if refused.len() == answers.len() => Verdict::Cannot(*errno),
        _ => Verdict::Unsure,
    }
}

/// Sends frames out of interfaces exactly as copies would leave, and asks the tracepoints what became of them.
///
/// A frame goes from the interface's own MAC to itself, so no host and no switch acts on it.
pub struct Prober {
    ebpf: Ebpf,
    words: Array<MapData, u32>,
    probing: PerCpuArray<MapData, u32>,
}

impl Prober {
    /// Loads what probing takes. Fails where eBPF programs may not be loaded at all.
    pub fn new() -> Result<Prober, String> {
        if !std::path::Path::new("/sys/kernel/btf/vmlinux").exists() {
            return Err("the kernel has no BTF (/sys/kernel/btf/vmlinux; CONFIG_DEBUG_INFO_BTF)".to_owned());
        }
        let mut ebpf = load()?;
        let attempt = |ebpf: &mut Ebpf| -> Result<_, KernelError> {
            let program = xdp(ebpf, PROBE)?;
            retry(|| program.load()).map_err(of(PROBE))?;
            for (listener, _) in LISTENERS {
                let program = tracepoint(ebpf, listener)?;
                retry(|| program.load()).map_err(of(listener))?;
            }
            Ok((take(ebpf, "PROBE")?, take(ebpf, "PROBING")?))
        };
        let (words, probing) = attempt(&mut ebpf)
            .map_err(|error| format!("the kernel refuses eBPF programs: {}", root_cause(&error)))?;
        Ok(Prober { ebpf, words, probing })
    }

    /// Asks from every CPU that this process may run on.
    pub fn survey(&mut self, ifindex: u32, mac: [u8; 6]) -> Result<Verdict, String> {
        let allowed = sched_getaffinity(Pid::from_raw(0)).map_err(|error| error.to_string())?;
        let cpus: Vec<usize> =
            (0..CpuSet::count()).filter(|cpu| allowed.is_set(*cpu).unwrap_or(false)).collect();
        self.ask(ifindex, mac, &cpus)
    }

    /// Asks from the CPU that this thread happens to be on, and from the others only if that one cannot.
    pub fn quick(&mut self, ifindex: u32, mac: [u8; 6]) -> Result<Verdict, String> {
        match self.ask(ifindex, mac, &[])? {
            Verdict::Cannot(_) => self.survey(ifindex, mac),
            verdict => Ok(verdict),
        }
    }

    /// From these CPUs; from none in particular when there are none.
    fn ask(&mut self, ifindex: u32, mac: [u8; 6], cpus: &[usize]) -> Result<Verdict, String> {
        let failed = |error: KernelError| root_cause(&error);
        // Only for the moment: every XDP transmission of the machine passes these tracepoints.
        let _listening = self.listen().map_err(failed)?;
        if cpus.is_empty() {
            let answer = self.send(ifindex, mac).map_err(failed)?;
            return Ok(verdict(&[(0, answer)]));
        }
        // In a thread of its own, whose affinity ends with it.
        std::thread::scope(|scope| {
            let asking = scope.spawn(|| {
                let mut answers = Vec::new();
                for cpu in cpus {
                    let mut only = CpuSet::new();
                    let moved =
                        only.set(*cpu).and_then(|()| sched_setaffinity(Pid::from_raw(0), &only)).is_ok();
                    // A CPU that went offline meanwhile takes no packets either.
                    if moved {
                        answers.push((*cpu, self.send(ifindex, mac).map_err(failed)?));
                    }
                }
                Ok(verdict(&answers))
            });
            asking.join().unwrap_or_else(|_| Err("the probe did not run".to_owned()))
        })
    }

    fn listen(&mut self) -> Result<Vec<FdLink>, KernelError> {
        LISTENERS
            .iter()
            .map(|(listener, place)| {
                let program = tracepoint(&mut self.ebpf, listener)?;
                let id = program.attach(place).map_err(of(listener))?;
                Ok(program.take_link(id).map_err(of(listener))?.into())
            })
            .collect()
    }

    fn send(&mut self, ifindex: u32, mac: [u8; 6]) -> Result<Answer, KernelError> {
        // What an earlier frame may have left: nobody heard of it.
        let cpus = aya::util::nr_cpus().map_err(|(_, error)| map("PROBING")(MapError::IoError(error)))?;
        let zeros = PerCpuValues::try_from(vec![0; cpus]).map_err(MapError::IoError);
        self.probing.set(0, zeros.map_err(map("PROBING"))?, 0).map_err(map("PROBING"))?;
        for (word, value) in [(TARGET, ifindex), (OUTCOME, 0), (ERROR, 0)] {
            self.words.set(word, value, 0).map_err(map("PROBE"))?;
        }
        let mut frame = [0u8; 60];
        frame[..6].copy_from_slice(&mac);
        frame[6..12].copy_from_slice(&mac);
        frame[12..14].copy_from_slice(&EXPERIMENTAL);
        let mut options = TestRunOptions::new();
        options.data_in = Some(&frame);
        options.attrs = TestRunAttrs::new().xdp_live_frames(1);
        xdp(&mut self.ebpf, PROBE)?.test_run(options).map_err(of(PROBE))?;
        let word = |word| self.words.get(&word, 0).map_err(map("PROBE"));
        Ok(Answer::of(word(OUTCOME)?, word(ERROR)?))
    }
}

/// Why an interface cannot transmit XDP frames. `held`: why no program could be attached to it, if that is so.
pub fn refusal(interface: &str, errno: Errno, held: Option<&str>) -> String {
    let why = match errno {
        Errno::EOPNOTSUPP => "the driver does not transmit them".to_owned(),
        Errno::ENXIO => "the driver has no transmit queue for them".to_owned(),
        other => other.desc().to_owned(),
    };
    match held {
        Some(held) => format!("{interface} cannot transmit XDP frames: {why}; {held}"),
        None => format!("{interface} cannot transmit XDP frames: {why}"),
    }
}

/// Whose program is in the way on an interface, and what to do about it.
pub fn in_the_way(interface: &str, program: &super::Known) -> String {
    let todo = match program.name.as_str() {
        "xdp_dispatcher" => {
            format!("it is libxdp's dispatcher; `xdp-loader unload {interface} --all` ends all that is in it")
        }
        name if name.starts_with("cil_xdp") => {
            "it is Cilium's; leave this interface out of its `devices`, or end its XDP acceleration"
                .to_owned()
        }
        "relay_xdp" | "relay_spread" | "relay_pass" => {
            "another relay-ctl put it there; `relay-ctl detach` the interface that it was attached for"
                .to_owned()
        }
        _ => format!("end what attached it, or take it off with `ip link set dev {interface} xdp off`"),
    };
    format!("{interface} has an XDP program of somebody else's: {program}; {todo}")
}

/// Says that copies leave an interface from some CPUs only.
pub fn not_from(interface: &str, cpus: &[usize]) -> Option<String> {
    if cpus.is_empty() {
        return None;
    }
    let list: Vec<String> = cpus.iter().map(ToString::to_string).collect();
    Some(format!(
        "{interface} cannot transmit XDP frames from CPU {}: it has fewer transmit queues than there are CPUs; give it more with \
         `ethtool -L {interface} combined N`, or keep its and the media's interrupts off those CPUs",
        list.join(", ")
    ))
}

fn load() -> Result<Ebpf, String> {
    let mut loader = EbpfLoader::new();
    loader.verifier_log_level(VERIFIER_LOG);
    // The probe's maps are its own and small where they may be.
    for map in ["STREAMS", "ROUTES", "MEMBERS", "GROUPS"] {
        loader.map_max_entries(map, 1);
    }
    loader.load(OBJECT).map_err(|error| format!("the kernel refuses eBPF maps: {}", root_cause(&error)))
}

fn tracepoint<'a>(ebpf: &'a mut Ebpf, name: &'static str) -> Result<&'a mut RawTracePoint, KernelError> {
    super::programs::program_mut(ebpf, name)?.try_into().map_err(of(name))
}

fn take<M: TryFrom<Map, Error = MapError>>(ebpf: &mut Ebpf, name: &'static str) -> Result<M, KernelError> {
    ebpf.take_map(name).ok_or(MapError::KeyNotFound).and_then(M::try_from).map_err(map(name))
}

/// The innermost cause, which is what a person can act on.
pub fn root_cause(error: &dyn std::error::Error) -> String {
    let mut cause = error;
    while let Some(inner) = cause.source() {
        cause = inner;
    }
    cause.to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_full_ring_is_not_a_driver_that_cannot() {
        assert_eq!(Answer::of(SENT, 0), Answer::Sent);
        assert_eq!(Answer::of(relay_common::probe::REFUSED, 0), Answer::Busy);
        let refused = |errno: Errno| Answer::of(relay_common::probe::REFUSED, errno as u32);
        assert_eq!(refused(Errno::ENOSPC), Answer::Busy);
        assert_eq!(refused(Errno::ENETDOWN), Answer::Down);
        assert_eq!(refused(Errno::EOPNOTSUPP), Answer::Cannot(Errno::EOPNOTSUPP));
        assert_eq!(refused(Errno::ENXIO), Answer::Cannot(Errno::ENXIO));
        assert_eq!(Answer::of(0, 0), Answer::Cannot(Errno::EOPNOTSUPP));
    }

    #[test]
    fn an_interface_cannot_only_if_it_cannot_from_any_cpu() {
        let no = Answer::Cannot(Errno::ENXIO);
        assert_eq!(verdict(&[(0, no), (1, no)]), Verdict::Cannot(Errno::ENXIO));
        assert_eq!(verdict(&[(0, Answer::Sent), (1, no)]), Verdict::Works { not_from: vec![1] });
        assert_eq!(verdict(&[(0, Answer::Sent), (1, Answer::Busy)]), Verdict::Works { not_from: vec![] });
        for (first, second) in [(Answer::Busy, no), (Answer::Busy, Answer::Busy), (Answer::Down, no)] {
            assert_eq!(verdict(&[(0, first), (1, second)]), Verdict::Unsure);
        }
        assert_eq!(verdict(&[]), Verdict::Unsure);
    }

    #[test]
    fn a_program_in_the_way_is_named_with_what_to_do() {
        let known = |name: &str| super::super::Known { id: 7, name: name.to_owned() };
        let said = in_the_way("eth0", &known("xdp_dispatcher"));
        assert!(
            said.contains("program 7 (xdp_dispatcher)") && said.contains("xdp-loader unload eth0"),
            "{said}"
        );
        assert!(in_the_way("eth0", &known("cil_xdp_entry")).contains("Cilium"));
        assert!(in_the_way("eth0", &known("")).contains("program 7; end what attached it"));
    }
}
