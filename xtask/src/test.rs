//! `cargo xtask test`: lint, unit and property tests without root, then the eBPF programs in the kernel and real
//! forwarding in network namespaces, then a real broadcast. Every part runs even if an earlier one failed; the last
//! lines say which did. What fails while something else has the machine is tried again ([`trials`]), and is in a table at the end.

use std::ffi::OsStr;
use std::process::Command;
use std::time::Instant;

use anyhow::{Result, bail};
use clap::ValueEnum;

use crate::mounts::Mounts;
use crate::packages::{self, Need};
use crate::suite::{self, Suite};
use crate::trials::Priority;
use crate::{build_ebpf, compose, field, interrupt, progress, run, sh, subjects, trials};

/// A part of the tests.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, ValueEnum)]
pub enum Part {
    /// rustfmt, clippy for the host and for BPF, whether the eBPF object is what its sources give, rustdoc, commit subjects.
    Lint,
    /// Unit and property tests; no root.
    Unit,
    /// The eBPF programs through BPF_PROG_TEST_RUN; root.
    Kernel,
    /// Real forwarding in network namespaces; root.
    Net,
    /// The benchmark's harness: everybody is measured, quickly; root. Not one of "all": what it measures with is a program of its own.
    Bench,
    /// A broadcast from WHIP to WHEP through the relay, with real servers; root.
    Media,
    /// The same in headless Chromium and Firefox, and with players that nobody here wrote; root.
    Browser,
    /// The relay on one of Debian's kernels with a virtio card, in a virtual machine; root. Not one of "all", as `vm`.
    VmQuick,
    /// The same on all kernels and cards. Not one of "all": it takes half an hour.
    Vm,
    /// Every case of lab/field.tsv, inputs of the field that once went wrong, with a table of them. Not one of "all": each is
    /// a test of another part.
    Field,
    /// Every encoder and every player of lab/matrix.tsv, by every way in and out, with a table of them. Not one of "all", as above.
    Matrix,
    /// What viewers notice when a part of the tree fails: every case of lab/failures.tsv, with a table of them. Not one of "all", as above.
    Failures,
    /// A whole tree watched by Prometheus, Alertmanager and node_exporter: the right alerts reach people, and every query works; root.
    /// Not one of "all": it takes minutes.
    Monitoring,
    /// The scaler with real nodes, as processes and as containers: an audience comes and goes, and so do egresses; root. Not one of "all": it
    /// takes minutes, makes images and may start an engine.
    Scaler,
    /// The tests of docs/contract.md, Compatibility, in containers; root. Not one of "all": it makes images and may start an engine.
    Compose,
}

impl Part {
    /// Runs only if named.
    fn is_apart(self) -> bool {
        matches!(
            self,
            Part::Bench
                | Part::VmQuick
                | Part::Vm
                | Part::Compose
                | Part::Field
                | Part::Matrix
                | Part::Failures
                | Part::Monitoring
                | Part::Scaler
        )
    }

    /// Its tests have names that one can choose from.
    fn has_names(self) -> bool {
        matches!(self, Part::Unit | Part::Kernel | Part::Net | Part::Media | Part::Browser | Part::Monitoring)
    }

    /// Needs neither the nodes nor clients, and so no GStreamer.
    fn is_of_the_relay(self) -> bool {
        matches!(self, Part::Kernel | Part::Net | Part::Bench | Part::VmQuick | Part::Vm)
    }

    fn loads_the_object(self) -> bool {
        !matches!(self, Part::Lint | Part::Unit)
    }

    /// What it takes to compile and to run.
    fn needs(self) -> &'static [Need] {
        match self {
            Part::Lint => &[Need::Object, Need::Lint, Need::Nodes],
            Part::Unit => &[
                Need::Nodes,
                Need::Namespaces,
                Need::Broadcast,
                Need::Encoders,
                Need::Metrics,
                Need::Dashboards,
                Need::Kubernetes,
            ],
            Part::Kernel => &[Need::Object, Need::Namespaces],
            Part::Net => &[Need::Object, Need::Namespaces, Need::Metrics],
            Part::Bench => &[Need::Object, Need::Namespaces, Need::Metrics, Need::Contestants],
            Part::Media | Part::Field | Part::Matrix | Part::Failures => &[
                Need::Object,
                Need::Nodes,
                Need::Namespaces,
                Need::Broadcast,
                Need::Encoders,
                Need::Metrics,
                Need::Browser,
                Need::Nat,
                Need::Proxies,
            ],
            Part::Browser => &[
                Need::Object,
                Need::Nodes,
                Need::Namespaces,
                Need::Broadcast,
                Need::Encoders,
                Need::Browser,
                Need::Proxies,
            ],
            Part::Monitoring | Part::Scaler => &[
                Need::Object,
                Need::Nodes,
                Need::Namespaces,
                Need::Broadcast,
                Need::Encoders,
                Need::Metrics,
                Need::Exporter,
            ],
            Part::VmQuick | Part::Vm => &[Need::Object, Need::Namespaces, Need::Machines],
            // It installs by itself, and only if it comes to that.
            Part::Compose => &[Need::Object],
        }
    }
}

/// Runs the parts named, or all; with `only`, tests whose names hold one of these words.
pub fn run(parts: &[Part], only: &[String]) -> Result<()> {
    if !only.is_empty() && (parts.is_empty() || !parts.iter().all(|part| part.has_names())) {
        bail!(
            "tests by name are those of parts that have names: `cargo xtask test net -- {}`",
            only.join(" ")
        );
    }
    let started = Instant::now();
    let all = || Part::value_variants().iter().copied().filter(|part| !part.is_apart());
    let parts: Vec<Part> = if parts.is_empty() { all().collect() } else { parts.to_vec() };
    let suite = if parts.iter().all(|part| part.is_of_the_relay()) { Suite::RELAY } else { Suite::WHOLE };
    packages::install(&parts.iter().flat_map(|part| part.needs()).copied().collect::<Vec<_>>())?;
    // Nothing is tested with an object that is not what the sources give. Lint says so as a part, among others.
    if parts.iter().any(|part| part.loads_the_object()) {
        build_ebpf::check()?;
    }
    if parts.iter().any(|part| !matches!(part, Part::Lint | Part::Compose)) {
        suite.build()?;
    }
    let _mounts = Mounts::remember();
    let mut failed = Vec::new();
    for part in &parts {
        sh::say(format!("=== {part:?}"));
        let result = match part {
            Part::Lint => lint(),
            Part::Unit => suite::rootless().and_then(|programs| {
                trials::run("unit tests", Priority::Ordinary, &suite.tests(&programs, only))
            }),
            Part::Kernel => first(suite, "kernel tests", &["kernel"], only),
            Part::Net => together(suite, "namespace tests", "net", NET_BESIDE, only),
            Part::Bench => first(suite, "the benchmark", &["a_benchmark_runs"], only),
            Part::Media => media(suite, only),
            Part::Browser => together(suite, "browser tests", "browser", MEDIA_BESIDE, only),
            Part::VmQuick => run::vm(true),
            Part::Vm => run::vm(false),
            Part::Monitoring => first(suite, "monitoring tests", &["monitoring"], only),
            Part::Scaler => scaler(suite),
            Part::Compose => compose::test(),
            Part::Field => field::run(suite, field::FIELD),
            Part::Matrix => field::run(suite, field::MATRIX),
            Part::Failures => field::run(suite, field::FAILURES),
        };
        if let Err(error) = result {
            eprintln!("[xtask] {part:?}: {error:#}");
            failed.push(*part);
        }
        if interrupt::seen() {
            break;
        }
    }
    let minutes = started.elapsed().as_secs_f64() / 60.0;
    let repeated = trials::repeated::told();
    if !failed.is_empty() {
        bail!("these parts failed: {failed:?} (after {minutes:.1} minutes)");
    }
    repeated?;
    sh::say(format!("all parts passed: {parts:?} (in {minutes:.1} minutes)"));
    Ok(())
}

fn lint() -> Result<()> {
    let format = cargo("rustfmt", &["fmt", "--all", "--check"]);
    // In the tests' profile, which has run the same build scripts and built the same macros.
    let profile = format!("--profile={}", suite::PROFILE);
    let arguments = ["clippy", &profile, "--locked", "--workspace", "--all-targets", "--", "-D", "warnings"];
    let host =
        progress::cargo("clippy", Command::new("cargo").current_dir(sh::workspace_root()).args(arguments));
    let bpf = build_ebpf::clippy();
    let object = build_ebpf::check();
    format.and(host).and(bpf).and(object).and(documentation()).and(subjects::check())
}

/// What `cargo doc` says of our own crates, in the profile in which clippy has checked what they depend on: 12 s of CPU.
fn documentation() -> Result<()> {
    let mut doc = Command::new("cargo");
    doc.current_dir(sh::workspace_root()).env("RUSTDOCFLAGS", "-D warnings");
    doc.arg("doc").arg(format!("--profile={}", suite::PROFILE)).args([
        "--workspace",
        "--no-deps",
        "--locked",
    ]);
    progress::cargo("documentation", &mut doc)
}

/// Test programs by name. Root, one test at a time and before all else that runs here: they share the machine's two cores,
/// and what they measure is loss.
fn first(suite: Suite, what: &str, programs: &[&str], only: &[String]) -> Result<()> {
    let told = [&["--test-threads=1".to_owned()], only].concat();
    trials::run(what, Priority::First, &suite.tests(&suite::named(programs), &told))
}

/// Tests that mostly wait, for the relay's own clocks or for other programs; some by name are run as one would by hand.
fn together(suite: Suite, what: &str, program: &str, at_once: usize, only: &[String]) -> Result<()> {
    match only.is_empty() {
        true => beside(suite, what, &[program], at_once),
        false => first(suite, what, &[program], only),
    }
}

/// A broadcast and its ends: their tests wait for other programs, and little of it takes a CPU. Some by name are run as one would by hand.
fn media(suite: Suite, only: &[String]) -> Result<()> {
    let (ends, whole) = (["broadcast", "chain"], ["media", "narrow_ways"]);
    match only.is_empty() {
        true => beside(suite, "tests of the ends", &ends, MEDIA_BESIDE).and(beside(
            suite,
            "media tests",
            &whole,
            MEDIA_BESIDE,
        )),
        false => first(suite, "media tests", &[ends, whole].concat(), only),
    }
}

/// So many tests that mostly wait run beside each other: of the relay, and of broadcasts, where browsers and encoders take a CPU.
const NET_BESIDE: usize = 4;
const MEDIA_BESIDE: usize = 2;

/// The same, some tests beside each other: each has network namespaces of its own. One that fails is judged by how it fares alone.
fn beside(suite: Suite, what: &str, programs: &[&str], at_once: usize) -> Result<()> {
    let told = [format!("--test-threads={at_once}")];
    trials::run_beside(what, Priority::First, &suite.tests(&suite::named(programs), &told))
}

/// With all that other parts leave out, since it takes an engine that has our images; and kill -9 of the controller at every step of every action.
fn scaler(suite: Suite) -> Result<()> {
    let every_point = ["--test-threads=4", "--ignored", "at_every_point"].map(str::to_owned);
    let killed = suite.tests(&suite::named(&["daemon"]), &every_point);
    let killed = trials::run("kill -9 at every step", Priority::Ordinary, &killed);
    let told = ["--test-threads=1", "--include-ignored"].map(str::to_owned);
    let programs = suite::named(&["scaler", "provision", "containers"]);
    let real =
        compose::with_images(|| trials::run("scaler tests", Priority::First, &suite.tests(&programs, &told)));
    killed.and(real)
}

fn cargo(what: &str, arguments: &[impl AsRef<OsStr>]) -> Result<()> {
    sh::run(what, Command::new("cargo").current_dir(sh::workspace_root()).args(arguments))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A machine with nothing on it has only what some part says that it needs.
    #[test]
    fn whatever_is_usual_is_needed_by_a_part() {
        for need in Need::USUAL {
            assert!(Part::value_variants().iter().any(|part| part.needs().contains(need)), "{need:?}");
        }
    }
}
