//! However `relay-ctl top` ends, the terminal is as it was before.
#![allow(clippy::unwrap_used, reason = "a test's helpers fail like the test")]

use std::fs::File;
use std::io::{Read, Write};
use std::os::fd::OwnedFd;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::time::Duration;

use nix::pty::{Winsize, openpty};
use nix::sys::signal::{Signal, kill};
use nix::sys::termios::{LocalFlags, Termios, tcgetattr};
use nix::unistd::Pid;

const ENTER: &str = "\u{1b}[?1049h";
const LEAVE: &str = "\u{1b}[?1049l";
const SHOW_CURSOR: &str = "\u{1b}[?25h";

/// `top` on a terminal of its own, asking a daemon that is not there.
struct Top {
    keyboard: File,
    /// Kept open, so that its settings can be read after the end.
    terminal: OwnedFd,
    before: Termios,
    process: Child,
    output: Receiver<Vec<u8>>,
    shown: String,
}

impl Top {
    fn start() -> Top {
        let size = Winsize { ws_row: 24, ws_col: 80, ws_xpixel: 0, ws_ypixel: 0 };
        let pty = openpty(&size, None).unwrap();
        let end = || Stdio::from(pty.slave.try_clone().unwrap());
        let before = tcgetattr(&pty.slave).unwrap();
        let process = Command::new(env!("CARGO_BIN_EXE_relay-ctl"))
            .args(["top", "--api", "127.0.0.1:1", "--pin-root", "/nonexistent"])
            .env("TERM", "xterm")
            .stdin(end())
            .stdout(end())
            .stderr(end())
            .spawn()
            .unwrap();
        let mut master = File::from(pty.master);
        let keyboard = master.try_clone().unwrap();
        let (send, output) = channel();
        std::thread::spawn(move || {
            let mut buffer = [0; 4096];
            while let Ok(length) = master.read(&mut buffer) {
                if send.send(buffer[..length].to_vec()).is_err() {
                    return;
                }
            }
        });
        let mut top = Top { keyboard, terminal: pty.slave, before, process, output, shown: String::new() };
        top.wait_for(ENTER);
        // Said in pieces, as only what changed on the screen is written.
        top.wait_for("Connection");
        top
    }

    fn wait_for(&mut self, text: &str) {
        while !self.shown.contains(text) {
            match self.output.recv_timeout(Duration::from_secs(10)) {
                Ok(bytes) => self.shown.push_str(&String::from_utf8_lossy(&bytes)),
                Err(RecvTimeoutError::Timeout | RecvTimeoutError::Disconnected) => {
                    panic!("{text:?} is not in {:?}", self.shown)
                }
            }
        }
    }

    fn assert_restored(mut self) {
        self.wait_for(LEAVE);
        self.wait_for(SHOW_CURSOR);
        assert!(self.process.wait().unwrap().success());
        let after = tcgetattr(&self.terminal).unwrap();
        assert!(after.local_flags.contains(LocalFlags::ICANON | LocalFlags::ECHO));
        assert_eq!(after.local_flags, self.before.local_flags);
        assert_eq!(after.input_flags, self.before.input_flags);
        assert_eq!(after.output_flags, self.before.output_flags);
    }
}

#[test]
fn when_a_key_says_so() {
    for key in ["q", "\u{1b}", "\u{3}"] {
        let mut top = Top::start();
        assert!(!tcgetattr(&top.terminal).unwrap().local_flags.contains(LocalFlags::ICANON), "raw meanwhile");
        top.keyboard.write_all(key.as_bytes()).unwrap();
        top.assert_restored();
    }
}

#[test]
fn when_a_signal_comes() {
    for signal in [Signal::SIGTERM, Signal::SIGINT, Signal::SIGHUP] {
        let top = Top::start();
        kill(Pid::from_raw(top.process.id() as i32), signal).unwrap();
        top.assert_restored();
    }
}
