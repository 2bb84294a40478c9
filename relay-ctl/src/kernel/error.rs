//! What can go wrong between the daemon and the kernel, and what to do about it.

use std::path::PathBuf;

/// An error of the kernel data plane. Each text names the thing and the fix.
#[derive(Debug, thiserror::Error)]
pub enum KernelError {
    /// The BPF filesystem is missing.
    #[error(
        "{root} is not on a BPF filesystem; run `mount -t bpf bpf /sys/fs/bpf`, or name one with --pin-root"
    )]
    NoBpffs { root: PathBuf },
    /// The pin directory cannot be used.
    #[error(
        "cannot use {folder}: {source}; it needs root or CAP_BPF, and write access to the BPF filesystem"
    )]
    PinFolder { folder: PathBuf, source: std::io::Error },
    /// Another daemon holds the lock.
    #[error(
        "another relay-ctl{} already manages {interface}; stop it first, or choose another interface",
        .pid.map_or_else(String::new, |pid| format!(" (PID {pid})"))
    )]
    AnotherDaemon { interface: String, pid: Option<u32> },
    /// The pin directory is of another version.
    #[error(
        "{folder} holds a data plane of layout {found}, this relay-ctl needs v{ours}; it goes on forwarding until you \
         run `relay-ctl detach {interface}` and attach again",
        ours = relay_common::layout::VERSION
    )]
    OtherLayout { folder: PathBuf, found: String, interface: String },
    /// The pin directory is incomplete or holds something else.
    #[error(
        "{folder} is damaged ({what}); what is attached goes on forwarding until you run \
         `relay-ctl detach {interface}` and attach again"
    )]
    CorruptPins { folder: PathBuf, what: String, interface: String },
    /// A map could not be read or written.
    #[error("map {map}: {source}")]
    Map { map: &'static str, source: aya::maps::MapError },
    /// A devmap could not be filled.
    #[error("devmap for interface {ifindex}: {source}")]
    Devmap { ifindex: u32, source: aya::maps::xdp::XdpMapError },
    /// A CPU could not be given a queue.
    #[error("queue for CPU {cpu}: {source}; leave it out of --cpus")]
    Queue { cpu: u32, source: aya::maps::xdp::XdpMapError },
    /// The object could not be loaded.
    #[error("cannot load the eBPF object: {0}")]
    Load(#[from] aya::EbpfError),
    /// A program could not be loaded or attached.
    #[error("program {program}: {source}")]
    Program { program: &'static str, source: aya::programs::ProgramError },
    /// The kernel does not take a program; `log`: the verifier's last lines.
    #[error("the kernel refuses program {program}: {source}{colon}{log}", colon = if log.is_empty() { "" } else { ": " })]
    Refused { program: &'static str, source: std::io::Error, log: String },
    /// An interface went while something was done to it.
    #[error("interface {ifindex} is gone: {source}")]
    Gone { ifindex: u32, source: std::io::Error },
    /// A link could not be used.
    #[error("link {link}: {source}")]
    Link { link: &'static str, source: aya::programs::links::LinkError },
    /// A link could not be pinned.
    #[error("cannot pin {what}: {source}")]
    Pin { what: &'static str, source: aya::pin::PinError },
    /// The mode asked for cannot work here.
    #[error("--mode {mode} cannot work on {interface}: {why}; {fix}")]
    Mode { mode: &'static str, interface: String, why: String, fix: String },
    /// No kernel data plane at all.
    #[error(
        "no rights to load eBPF: {why}; run as root or with CAP_BPF, CAP_NET_ADMIN and CAP_PERFMON, or use --mode userspace"
    )]
    NoRights { why: String },
    /// A set of children that cannot be.
    #[error(transparent)]
    Fanout(#[from] crate::fanout::FanoutError),
    /// No data plane is pinned for this interface.
    #[error("nothing is attached to {interface} (no {folder}); run `relay-ctl attach {interface}`")]
    NotAttached { interface: String, folder: PathBuf },
}
