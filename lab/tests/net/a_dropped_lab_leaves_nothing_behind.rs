//! Dropping a lab, also by a panic, removes its namespaces, processes, mounts and files.

use std::fs;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::PathBuf;
use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::Result;
use lab::Lab;

struct Traces {
    directory: PathBuf,
    pids: Vec<u32>,
}

/// A lab with a link, a process, its helper, and one that hides in a session of its own.
fn furnish(lab: &Lab) -> Result<Traces> {
    lab.add_namespace("a")?;
    lab.add_namespace("b")?;
    lab.link("a", "eth0", "b", "eth0")?;
    let script = "sleep 1000 & echo $!; setsid sh -c 'echo $$; exec sleep 1000' & wait";
    let mut command = Command::new("sh");
    command.args(["-c", script]);
    let process = lab.spawn("a", command)?;
    let deadline = Instant::now() + Duration::from_secs(5);
    while process.log().lines().count() < 2 && Instant::now() < deadline {
        std::thread::sleep(Duration::from_millis(5));
    }
    let mut pids = process.log().lines().map(str::parse).collect::<Result<Vec<u32>, _>>()?;
    assert_eq!(pids.len(), 2, "{}", process.log());
    pids.push(process.pid());
    assert!(pids.iter().all(|pid| runs(*pid)));
    assert!(mounts()?.contains(&*lab.bpffs().to_string_lossy()));
    Ok(Traces { directory: lab.directory().to_owned(), pids })
}

fn mounts() -> Result<String> {
    Ok(fs::read_to_string("/proc/self/mounts")?)
}

fn runs(pid: u32) -> bool {
    // The state follows the name in parentheses; an orphan may wait for init as a zombie.
    fs::read_to_string(format!("/proc/{pid}/stat")).is_ok_and(|stat| !stat.contains(") Z"))
}

fn assert_gone(prefix: &str, traces: &Traces) -> Result<()> {
    let deadline = Instant::now() + Duration::from_secs(5);
    while traces.pids.iter().any(|pid| runs(*pid)) {
        assert!(Instant::now() < deadline, "processes left of {:?}", traces.pids);
        std::thread::sleep(Duration::from_millis(5));
    }
    for entry in fs::read_dir("/run/netns")? {
        let name = entry?.file_name();
        assert!(!name.to_string_lossy().starts_with(prefix), "{name:?}");
    }
    assert!(!mounts()?.contains(&*traces.directory.to_string_lossy()));
    assert!(!traces.directory.exists());
    Ok(())
}

#[test]
fn nothing_is_left_after_a_drop() {
    let lab = Lab::new("t-drop-").unwrap();
    let traces = furnish(&lab).unwrap();
    drop(lab);
    assert_gone("t-drop-", &traces).unwrap();
}

#[test]
fn nothing_is_left_after_a_panic() {
    let mut traces = None;
    let panicked = catch_unwind(AssertUnwindSafe(|| {
        let lab = Lab::new("t-panic-").unwrap();
        traces = Some(furnish(&lab).unwrap());
        lab.in_namespace("a", || panic!("a test fails inside a namespace")).unwrap();
    }));
    assert!(panicked.is_err());
    assert_gone("t-panic-", &traces.unwrap()).unwrap();
}

#[test]
fn a_taken_name_is_a_clear_error_and_stays() {
    let lab = Lab::new("t-taken-").unwrap();
    lab.add_namespace("a").unwrap();
    let other = Lab::new("t-taken-").unwrap();
    let error = other.add_namespace("a").unwrap_err().to_string();
    assert!(error.contains("t-taken-a exists already"), "{error}");
    drop(other);
    lab.run("a", &["true"]).unwrap();
}

#[test]
fn errors_carry_what_the_program_said() {
    let lab = Lab::new("t-err-").unwrap();
    lab.add_namespace("a").unwrap();
    let error = format!("{:#}", lab.run("a", &["ip", "link", "set", "nix", "up"]).unwrap_err());
    assert!(error.contains("t-err-a") && error.contains("Cannot find device"), "{error}");
    let mut command = Command::new("sh");
    command.args(["-c", "echo what I was doing; exec sleep 1000"]);
    let process = lab.spawn("a", command).unwrap();
    let error = process.wait(Duration::from_millis(200)).unwrap_err().to_string();
    assert!(error.contains("what I was doing"), "{error}");
    assert!(!process.terminate().unwrap().success());
    assert_eq!(format!("{:#}", lab.run("b", &["true"]).unwrap_err()).matches("No such file").count(), 1);
}
