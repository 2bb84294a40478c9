//! How viewers' joins go: each is one line of the log, and all are distributions for Prometheus. Without I/O: the time goes in.
//!
//! A join begins with the request, and has these stages: it is answered, the connection is up, the first packet of the picture (of the
//! sound where there is none) has been sent, the first picture is shown. What happens behind the answer is seen by whoever serves, and
//! by our own page, which reports it by its own clock ([`PageStages`]); of other players there is only what we see.

mod books;
mod page;

use std::time::{Duration, Instant};

use node::http::TraceId;

pub use books::{Books, View};
pub use page::PageStages;

/// How far a join has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Stage {
    /// WHEP has answered the first request.
    Answered,
    /// ICE and DTLS are through.
    Connected,
    /// The first packet of the picture, or of the sound alone, has been sent, or has come.
    FirstPacket,
    /// The first picture is shown.
    FirstFrame,
}

impl Stage {
    /// All of them, in order.
    pub const ALL: [Stage; 4] = [Stage::Answered, Stage::Connected, Stage::FirstPacket, Stage::FirstFrame];

    /// As the metric's label has it.
    pub fn name(self) -> &'static str {
        match self {
            Stage::Answered => "answered",
            Stage::Connected => "connected",
            Stage::FirstPacket => "first_packet",
            Stage::FirstFrame => "first_frame",
        }
    }
}

/// What became of a join.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// The viewer's connection came up.
    Connected,
    /// The viewer, or what it wanted to watch, went before that.
    Left,
    /// It did not come up in time.
    Failed,
}

impl Outcome {
    /// All of them.
    pub const ALL: [Outcome; 3] = [Outcome::Connected, Outcome::Left, Outcome::Failed];

    /// As the metric's label has it.
    pub fn name(self) -> &'static str {
        match self {
            Outcome::Connected => "connected",
            Outcome::Left => "left",
            Outcome::Failed => "failed",
        }
    }
}

/// One viewer's join.
#[derive(Clone, Debug)]
pub struct Join {
    began: Instant,
    trace: Option<TraceId>,
    /// By [`Stage`], since it began.
    reached: [Option<Duration>; Stage::ALL.len()],
    page: Option<PageStages>,
    is_told: bool,
}

impl Join {
    /// Somebody's request has come, of this trace if it says so.
    pub fn begin(came: Instant, trace: Option<TraceId>) -> Join {
        Join { began: came, trace, reached: [None; Stage::ALL.len()], page: None, is_told: false }
    }

    /// It has come so far. Gives how long that took, the first time.
    pub fn reach(&mut self, stage: Stage, now: Instant) -> Option<Duration> {
        let reached = &mut self.reached[stage as usize];
        if reached.is_some() {
            return None;
        }
        *reached = Some(now.saturating_duration_since(self.began));
        *reached
    }

    /// What our page says of it. `false`: it has said so before.
    pub fn report(&mut self, page: PageStages) -> bool {
        let is_first = self.page.is_none();
        self.page.get_or_insert(page);
        is_first
    }

    /// `true` once: it is to be told of now.
    pub fn is_to_be_told(&mut self) -> bool {
        !std::mem::replace(&mut self.is_told, true)
    }

    /// The line of the log. `viewer`: what others call it.
    pub fn tell(&self, session: &str, viewer: &str, player: &str, server: &str, outcome: Outcome) {
        let ms = |time: Option<Duration>| time.map(|time| time.as_millis() as u64);
        let [answered, connected, first_packet, _] = self.reached.map(ms);
        let page = self.page.unwrap_or_default();
        let [page_answered, page_connected, page_first_packet, page_first_frame] = page.reached.map(ms);
        // Each is a place in the code of its own, which has lines of its own: strangers who fail leave those who join theirs.
        macro_rules! say {
            ($how:literal) => {
                tracing::info!(
                    session,
                    viewer,
                    trace_id = self.trace.map(tracing::field::display),
                    server,
                    answered_ms = answered,
                    connected_ms = connected,
                    first_packet_ms = first_packet,
                    page_door_ms = ms(page.door),
                    page_answered_ms = page_answered,
                    page_connected_ms = page_connected,
                    page_first_packet_ms = page_first_packet,
                    page_first_frame_ms = page_first_frame,
                    player,
                    $how
                )
            };
        }
        match outcome {
            Outcome::Connected => say!("a viewer has joined"),
            Outcome::Left => say!("a viewer left before its connection was up"),
            Outcome::Failed => say!("a viewer's connection did not come up"),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex};

    use tracing::callsite::Identifier;
    use tracing::span::{Attributes, Id, Record};
    use tracing::{Event, Metadata, Subscriber};

    use super::*;

    /// Writes down which places in the code have said something.
    #[derive(Clone, Default)]
    struct Places(Arc<Mutex<Vec<Identifier>>>);

    impl Subscriber for Places {
        fn enabled(&self, _: &Metadata<'_>) -> bool {
            true
        }
        fn new_span(&self, _: &Attributes<'_>) -> Id {
            Id::from_u64(1)
        }
        fn record(&self, _: &Id, _: &Record<'_>) {}
        fn record_follows_from(&self, _: &Id, _: &Id) {}
        fn event(&self, event: &Event<'_>) {
            self.0.lock().unwrap().push(event.metadata().callsite());
        }
        fn enter(&self, _: &Id) {}
        fn exit(&self, _: &Id) {}
    }

    #[test]
    fn those_who_fail_leave_those_who_join_their_lines() {
        let places = Places::default();
        tracing::subscriber::with_default(places.clone(), || {
            for outcome in Outcome::ALL {
                Join::begin(Instant::now(), None).tell("s", "v", "player", "native", outcome);
            }
        });
        let places = places.0.lock().unwrap();
        assert!(places.len() == 3 && places[0] != places[1] && places[1] != places[2], "one budget each");
        assert!(places[0] != places[2]);
    }

    #[test]
    fn a_stage_is_reached_once() {
        let began = Instant::now();
        let mut join = Join::begin(began, None);
        let at = |ms| began + Duration::from_millis(ms);
        assert_eq!(join.reach(Stage::Connected, at(20)), Some(Duration::from_millis(20)));
        assert_eq!(join.reach(Stage::Connected, at(30)), None, "an ICE restart is no join");
        assert_eq!(join.reach(Stage::Answered, at(5)), Some(Duration::from_millis(5)));
        assert!(join.is_to_be_told() && !join.is_to_be_told());
    }

    #[test]
    fn a_page_says_once_how_it_was() {
        let mut join = Join::begin(Instant::now(), None);
        let first = PageStages { door: Some(Duration::from_millis(1)), ..PageStages::default() };
        assert!(join.report(first) && !join.report(PageStages::default()));
        assert_eq!(join.page, Some(first));
    }
}
