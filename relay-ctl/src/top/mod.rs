//! `relay-ctl top`: a live view in the terminal, or one sample of rates as JSON.
//!
//! | file | job |
//! |---|---|
//! | `source.rs` | asks the daemon, or reads the pinned maps |
//! | `model.rs` | two readings to rates |
//! | `app.rs` | what keys and readings do |
//! | `draw.rs` | the picture |

mod app;
mod draw;
pub mod model;
#[cfg(test)]
pub mod samples;
mod source;

use std::io::IsTerminal;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::mpsc::{self, RecvTimeoutError, Sender};
use std::time::{Duration, Instant};

use nix::sys::signal::{SigSet, Signal};
use node::cli::Failure;
use ratatui::crossterm::event::{self, Event, KeyCode, KeyEvent, KeyEventKind, KeyModifiers};

use app::{App, Key};
use model::Reading;
pub use source::Source;

/// What wakes the view.
enum Wake {
    Key(Key),
    Resized,
    Read(Box<Result<Reading, String>>, Instant),
    /// A signal, or the terminal is gone.
    Stop,
}

/// One sample, with rates over one interval, as JSON.
pub fn once(source: &Source, interval: Duration) -> Result<(), Failure> {
    let first = source.read().map_err(Failure::Other)?;
    let then = Instant::now();
    std::thread::sleep(interval);
    let second = source.read().map_err(Failure::Other)?;
    let mut picture = model::picture(second, Some((&first, then.elapsed())));
    picture.sort(model::Sort::default());
    let text = serde_json::to_string_pretty(&picture);
    println!("{}", text.map_err(|error| Failure::Other(format!("JSON: {error}")))?);
    Ok(())
}

/// The live view, until it is left.
pub fn live(source: Source, interval: Duration) -> Result<(), Failure> {
    if !std::io::stdout().is_terminal() {
        return Err(Failure::Other(
            "`top` needs a terminal to draw on; `relay-ctl top --json` prints one sample".to_owned(),
        ));
    }
    let (wake, woken) = mpsc::channel();
    // Before any thread is there, so that all of them leave these signals to the one that waits for them.
    let signals = SigSet::from_iter([Signal::SIGTERM, Signal::SIGINT, Signal::SIGHUP]);
    let trouble = |error: &dyn std::fmt::Display| Failure::Other(format!("cannot use the terminal: {error}"));
    signals.thread_block().map_err(|error| trouble(&error))?;
    let mut terminal = ratatui::try_init().map_err(|error| trouble(&error))?;
    let (go_on, ended) = mpsc::channel::<()>();
    spawn(&wake, move |wake| {
        let _ = signals.wait();
        let _ = wake.send(Wake::Stop);
    });
    spawn(&wake, keys);
    spawn(&wake, move |wake| {
        loop {
            let reading = source.read();
            if wake.send(Wake::Read(Box::new(reading), Instant::now())).is_err() {
                return;
            }
            if ended.recv_timeout(interval) != Err(RecvTimeoutError::Timeout) {
                return;
            }
        }
    });

    let mut app = App::default();
    let mut drawn = terminal.draw(|frame| draw::draw(frame, &mut app)).map(drop);
    while let (Ok(()), Ok(wake)) = (&drawn, woken.recv()) {
        match wake {
            Wake::Stop => break,
            Wake::Key(key) if !app.pressed(key) => break,
            Wake::Key(_) | Wake::Resized => {}
            Wake::Read(reading, at) => app.arrived(*reading, at),
        }
        drawn = terminal.draw(|frame| draw::draw(frame, &mut app)).map(drop);
    }
    ratatui::restore();
    drop(go_on);
    drawn.map_err(|error| trouble(&error))
}

fn spawn(wake: &Sender<Wake>, run: impl FnOnce(Sender<Wake>) + Send + 'static) {
    let (wake, stop) = (wake.clone(), wake.clone());
    // Left to themselves at the end: each may be waiting for something that never comes.
    std::thread::spawn(move || {
        // The panic hook has put the terminal back: drawing on would spoil it again.
        if catch_unwind(AssertUnwindSafe(|| run(wake))).is_err() {
            let _ = stop.send(Wake::Stop);
        }
    });
}

fn keys(wake: Sender<Wake>) {
    loop {
        let woken = match event::read() {
            Ok(Event::Key(event)) if event.kind != KeyEventKind::Release => match key(event) {
                Some(key) => wake.send(Wake::Key(key)),
                None => continue,
            },
            Ok(Event::Resize(..)) => wake.send(Wake::Resized),
            Ok(_) => continue,
            Err(_) => {
                let _ = wake.send(Wake::Stop);
                return;
            }
        };
        if woken.is_err() {
            return;
        }
    }
}

fn key(event: KeyEvent) -> Option<Key> {
    let control = event.modifiers.contains(KeyModifiers::CONTROL);
    Some(match event.code {
        KeyCode::Char('c') if control => Key::Quit,
        KeyCode::Char('q') | KeyCode::Esc => Key::Quit,
        KeyCode::Char('s') => Key::Sort,
        KeyCode::Char('p' | ' ') => Key::Pause,
        KeyCode::Tab => Key::Focus,
        KeyCode::Up | KeyCode::Char('k') => Key::Scroll(-1),
        KeyCode::Down | KeyCode::Char('j') => Key::Scroll(1),
        KeyCode::PageUp => Key::Page(-1),
        KeyCode::PageDown => Key::Page(1),
        KeyCode::Home => Key::Scroll(i32::MIN),
        KeyCode::End => Key::Scroll(i32::MAX),
        _ => return None,
    })
}
