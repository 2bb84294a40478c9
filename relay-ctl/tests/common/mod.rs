//! The program itself: run to its end, or as a daemon on the loopback interface, in userspace mode, which needs no rights.
#![allow(clippy::unwrap_used, reason = "a test's helpers fail like the test")]
#![allow(dead_code, reason = "every test uses some of it")]

use std::io::{BufRead, BufReader, Read};
use std::net::{TcpListener, UdpSocket};
use std::process::{Child, Command, ExitStatus, Output, Stdio};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

pub mod redis;

/// What must be shown nowhere.
pub const SECRET: &str = "hunter2-hunter2";

/// `relay-ctl` with nothing of this process' environment that it would heed.
pub fn relay_ctl(arguments: &[&str], environment: &[(&str, &str)]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_relay-ctl"));
    command.args(arguments).env_clear().envs(environment.iter().copied());
    command
}

/// Runs it to its end.
pub fn run(arguments: &[&str], environment: &[(&str, &str)]) -> Output {
    relay_ctl(arguments, environment).output().unwrap()
}

pub fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// Refused in one line, with an exit code, without the secret. Gives the line.
pub fn refusal(output: &Output, code: i32) -> String {
    let (printed, line) = (text(&output.stdout), text(&output.stderr));
    assert_eq!(output.status.code(), Some(code), "{printed}{line}");
    assert_eq!(line.lines().count(), 1, "{line}");
    assert!(!line.contains(SECRET) && !printed.contains(SECRET), "{line}{printed}");
    line
}

/// A daemon. Killed when dropped.
pub struct Daemon {
    pub api: String,
    process: Child,
    log: Option<JoinHandle<String>>,
}

impl Daemon {
    /// Starts one and waits until it says that it is ready.
    pub fn start(arguments: &[&str], environment: &[(&str, &str)]) -> Daemon {
        // Free again by the time the daemon binds it.
        let api = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().to_string();
        let listen = media_ports();
        let fixed = [
            "attach",
            "lo",
            "--mode",
            "userspace",
            "--pin-root",
            "/nonexistent",
            "--api",
            &api,
            "--listen",
            &listen,
        ];
        let mut process = relay_ctl(&[&fixed, arguments].concat(), environment)
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut errors = process.stderr.take().unwrap();
        let log = std::thread::spawn(move || {
            let mut log = String::new();
            errors.read_to_string(&mut log).unwrap();
            log
        });
        let mut first = String::new();
        BufReader::new(process.stdout.take().unwrap()).read_line(&mut first).unwrap();
        if !first.starts_with("ready: ") {
            let _ = process.kill();
            panic!("not ready: {first}{}", log.join().unwrap());
        }
        Daemon { api, process, log: Some(log) }
    }

    /// Runs a command that talks to it.
    pub fn command(&self, arguments: &[&str], environment: &[(&str, &str)]) -> Output {
        run(&[arguments, &["--api", &self.api]].concat(), environment)
    }

    /// What one path answers to nobody in particular.
    pub fn get(&self, path: &str) -> (u16, String) {
        let agent: ureq::Agent =
            ureq::Agent::config_builder().http_status_as_error(false).proxy(None).build().into();
        let mut response = agent.get(format!("http://{}{path}", self.api)).call().unwrap();
        (response.status().as_u16(), response.body_mut().read_to_string().unwrap())
    }

    /// Ends it, and gives what it logged.
    pub fn stop(mut self, signal: Signal) -> (ExitStatus, String) {
        kill(Pid::from_raw(i32::try_from(self.process.id()).unwrap()), signal).unwrap();
        (self.process.wait().unwrap(), self.log.take().unwrap().join().unwrap())
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// Longer than anything here may take.
const LONG: Duration = Duration::from_secs(20);

/// Waits for something.
pub fn until(what: &str, is: impl Fn() -> bool) {
    until_said(what, || is().then_some(()).ok_or_else(|| "it is not so".to_owned()));
}

/// The same of something that says what there is instead.
pub fn until_said(what: &str, is: impl Fn() -> Result<(), String>) {
    let began = Instant::now();
    while let Err(instead) = is() {
        assert!(began.elapsed() < LONG, "not within {LONG:?}: {what}: {instead}");
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// Two free pairs of ports on loopback, as `--listen` wants them.
fn media_ports() -> String {
    let bind = |port| UdpSocket::bind(("127.0.0.1", port));
    for _ in 0..100 {
        let first = bind(0).unwrap();
        let port = first.local_addr().unwrap().port();
        if port < 65_532 && (1..4).map(|more| bind(port + more)).collect::<Result<Vec<_>, _>>().is_ok() {
            return format!("127.0.0.1:{port}:{}", port + 2);
        }
    }
    panic!("no four free ports in a row");
}
