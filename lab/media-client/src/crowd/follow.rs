//! A viewer that goes on elsewhere as the viewers' page does: where its server sends it (`reconnect`), with both connections up
//! until the new one plays; and when its server is gone, to one of the places that it was told of beforehand (`elsewhere`).

use std::io::{BufRead, BufReader, ErrorKind};
use std::net::TcpStream;
use std::sync::atomic::Ordering::SeqCst;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::Result;
use serde_json::Value;

use super::Crowd;
use super::member::{Move, Steps};
use crate::socket;
use crate::watcher::{Joined, Shared, Watcher, locked};
use crate::wish::{Endpoint, Resource};

/// How often it is looked whether it is over.
const LOOK: Duration = Duration::from_millis(200);
/// How long another server may take until it plays.
const PLAYS_WITHIN: Duration = Duration::from_secs(5);
/// So long nothing comes, not even sound, before a server is asked whether it is still there; and before one that does not take
/// connections any more is taken for gone.
const SILENCE: [Duration; 2] = [Duration::from_millis(300), Duration::from_millis(100)];
/// How long a server may take for an answer that costs it nothing.
const ANSWERS_WITHIN: Duration = Duration::from_secs(1);
/// A server that has answered is not asked again for so long, and each time twice as long, up to the second.
const TRUST: [Duration; 2] = [Duration::from_secs(1), Duration::from_secs(8)];
/// Two pictures are no further apart.
const A_PICTURE: Duration = Duration::from_millis(150);
/// How often it is looked whether the new one plays. Many look at once: what that costs is taken from the servers beside them.
const GLANCE: Duration = Duration::from_millis(10);

/// What its server says to a viewer.
#[derive(Debug, PartialEq)]
enum News {
    Reconnect(String),
    Elsewhere(Vec<String>, Duration),
    /// The connection has ended.
    Broken,
}

/// A connection for events.
struct Ear {
    stream: BufReader<TcpStream>,
    line: Vec<u8>,
    event: String,
}

impl Ear {
    fn at(resource: &Resource) -> Result<Ear> {
        let stream = resource.listen()?;
        stream.set_read_timeout(Some(LOOK))?;
        Ok(Ear { stream: BufReader::new(stream), line: Vec::new(), event: String::new() })
    }

    /// What it is told next; `None` when nothing is for a moment.
    fn next(&mut self) -> Option<News> {
        loop {
            match self.stream.read_until(b'\n', &mut self.line) {
                Ok(0) => return Some(News::Broken),
                Ok(_) => {}
                Err(error) if [ErrorKind::WouldBlock, ErrorKind::TimedOut].contains(&error.kind()) => {
                    return None;
                }
                Err(_) => return Some(News::Broken),
            }
            let line = String::from_utf8_lossy(&self.line).trim().to_owned();
            self.line.clear();
            if let Some(event) = line.strip_prefix("event: ") {
                self.event = event.to_owned();
            } else if let Some(data) = line.strip_prefix("data: ")
                && let Some(news) = read(&self.event, data)
            {
                return Some(news);
            }
        }
    }
}

fn read(event: &str, data: &str) -> Option<News> {
    let data: Value = serde_json::from_str(data).ok()?;
    let text = |value: &Value| value.as_str().map(str::to_owned);
    match event {
        "reconnect" => Some(News::Reconnect(text(&data["url"])?)),
        "elsewhere" => {
            let urls = data["urls"].as_array()?.iter().filter_map(text).collect();
            Some(News::Elsewhere(urls, Duration::from_millis(data["spreadMs"].as_u64()?)))
        }
        _ => None,
    }
}

impl Crowd<'_> {
    /// Follows a viewer's server until all is over, or the viewer has left.
    pub(super) fn follow(&self, number: usize) {
        let mut elsewhere = (Vec::new(), Duration::ZERO);
        let mut ear: Option<Ear> = None;
        let mut trust = Trust::default();
        // When it lost the connection that it had.
        let mut broken = Instant::now();
        while !self.over.load(SeqCst) {
            let Some((resource, seen)) = self.seat_of(number) else { return };
            let Some(open) = &mut ear else {
                ear = Ear::at(&resource).ok();
                if ear.is_none() && falls_silent(&seen) {
                    self.flee(number, &elsewhere, broken);
                    broken = Instant::now();
                }
                continue;
            };
            match open.next() {
                Some(News::Elsewhere(urls, spread)) => {
                    locked(&self.members).all[number].knows = !urls.is_empty();
                    elsewhere = (urls, spread);
                }
                Some(News::Reconnect(url)) if self.go(number, &url, "told") => {
                    (ear, elsewhere) = (None, (Vec::new(), Duration::ZERO));
                }
                Some(News::Reconnect(_)) => {}
                Some(News::Broken) => (ear, broken) = (None, Instant::now()),
                None if !is_silent(&seen, SILENCE[0]) => trust = Trust::default(),
                None if trust.holds() => {}
                None if resource.is_kept(ANSWERS_WITHIN) => trust.grow(),
                None => {
                    ear = None;
                    if is_silent(&seen, SILENCE[0]) {
                        self.flee(number, &elsewhere, Instant::now());
                    }
                }
            }
        }
    }

    /// The server is gone, and everybody who was there looks for another; they spread from `since` on.
    fn flee(&self, number: usize, (urls, spread): &(Vec<String>, Duration), since: Instant) {
        // Golden ratio: evenly over the time, whoever they are.
        let turn = spread.mul_f64((number as f64 * 0.618_034).fract());
        thread::sleep(turn.saturating_sub(since.elapsed()));
        let Some((_, seen)) = self.seat_of(number) else { return };
        if !is_silent(&seen, SILENCE[1]) {
            return;
        }
        let _ = urls.iter().any(|url| self.go(number, url, "gone")) || {
            thread::sleep(Duration::from_secs(1));
            false
        };
    }

    /// Goes there, and leaves where it was as soon as it sees something. `false`: it stays.
    fn go(&self, number: usize, url: &str, why: &'static str) -> bool {
        match self.arrives(number, url) {
            Ok((id, resource, seen)) => {
                let (steps, plays) = Steps::of(&locked(&seen));
                let Some((_, before)) = self.seat_of(number) else { return true };
                let last = || locked(&before).video.last().unwrap_or_default();
                // Whether it goes on is seen when the next picture comes.
                let until = Instant::now() + A_PICTURE;
                while last() < plays && Instant::now() < until {
                    thread::sleep(GLANCE);
                }
                let dark = Duration::from_nanos(plays.saturating_sub(last()));
                let moved = Move { at: self.began.elapsed(), dark, why, steps };
                let mut members = locked(&self.members);
                let left = members.all[number].moves_to(id, resource, seen, moved);
                drop(members);
                if let Some((id, resource)) = left {
                    let _ = resource.delete();
                    self.watchers.seats().leave(id, true);
                }
                true
            }
            Err(error) => {
                locked(&self.members).all[number].failed_moves.push(format!("{error:#}"));
                false
            }
        }
    }

    fn arrives(&self, number: usize, url: &str) -> Result<(u64, Resource, Shared)> {
        let endpoint = Endpoint::new(url, super::token())?;
        let seen = Shared::default();
        let id = self.next.fetch_add(1, SeqCst);
        let joined = Watcher::join(
            &endpoint,
            Some(&super::client(number)),
            self.manner(number),
            id,
            seen.clone(),
            None,
        )?;
        let resource = match joined {
            Joined::Seated(watcher, resource) => {
                self.watchers.seats().sit(id, watcher);
                resource
            }
            Joined::Refused(status, why) => anyhow::bail!("{status} {why}"),
        };
        let until = Instant::now() + PLAYS_WITHIN;
        while locked(&seen).picture.is_none() {
            if Instant::now() > until || self.over.load(SeqCst) {
                self.watchers.seats().leave(id, true);
                let _ = resource.delete();
                anyhow::bail!("no picture within {PLAYS_WITHIN:?}");
            }
            thread::sleep(GLANCE);
        }
        Ok((id, resource, seen))
    }

    /// Where a viewer is, unless it has left.
    fn seat_of(&self, number: usize) -> Option<(Resource, Shared)> {
        let members = locked(&self.members);
        let member = &members.all[number];
        Some((member.resource.clone()?, member.seen.clone()))
    }
}

/// A server that answers while nothing comes of it.
#[derive(Default)]
struct Trust {
    until: Option<Instant>,
    times: u32,
}

impl Trust {
    fn holds(&self) -> bool {
        self.until.is_some_and(|until| Instant::now() < until)
    }

    fn grow(&mut self) {
        let [first, longest] = TRUST;
        self.until = Some(Instant::now() + (first * 2_u32.pow(self.times.min(5))).min(longest));
        self.times += 1;
    }
}

/// When the last packet came, if one ever did.
fn last(seen: &Shared) -> Option<u64> {
    let seen = locked(seen);
    seen.video.last().max(seen.audio.last())
}

/// Nothing has come for so long.
fn is_silent(seen: &Shared, silence: Duration) -> bool {
    last(seen).is_some_and(|last| socket::now().saturating_sub(last) > silence.as_nanos() as u64)
}

/// Whether what has come by now is all that there is of a server that takes no connections; waits until that is clear.
fn falls_silent(seen: &Shared) -> bool {
    let began = Instant::now();
    let before = last(seen);
    while !is_silent(seen, SILENCE[1]) {
        if last(seen) != before && began.elapsed() > SILENCE[1] || began.elapsed() > PLAYS_WITHIN {
            return false;
        }
        thread::sleep(GLANCE);
    }
    true
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_it_is_to_do_is_news() {
        let urls = vec!["http://a/whep/endpoint/s".to_owned()];
        let elsewhere =
            r#"{"sessionId":"s","viewer":"k","urls":["http://a/whep/endpoint/s"],"spreadMs":250}"#;
        assert_eq!(read("elsewhere", elsewhere), Some(News::Elsewhere(urls, Duration::from_millis(250))));
        let reconnect = r#"{"sessionId":"s","type":"reconnect","viewer":"k","url":"http://b/"}"#;
        assert_eq!(read("reconnect", reconnect), Some(News::Reconnect("http://b/".to_owned())));
        assert_eq!(read("state", r#"{"sessionId":"s","exists":true}"#), None);
        assert_eq!(read("reconnect", "{"), None);
    }
}
