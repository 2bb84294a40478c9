//! From a wish to publish that was granted to the end of the publication.
//!
//! What an encoder sends may change while it publishes. Most of that the pipeline takes as it comes; where it cannot (sound that
//! comes later than the picture, another profile), another pipeline takes the session's place, and goes on with its numbers.

use std::pin::pin;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::sync::{oneshot, watch};
use tokio::time::timeout;

use super::bridge::Bridge;
use super::connection::Connection;
use super::held::Held;
use super::intake::{Intake, Tracks, Unit};
use super::places::Place;
use super::protocol::Event;
use super::stage::{Stage, dismiss};
use crate::injector::{Injector, Published, Via};

/// How long the first frame may take.
const FIRST_MEDIA: Duration = Duration::from_secs(10);
/// How long an offer may take to come about: a moment, unless many come at once, as after a restart.
const OFFER: Duration = Duration::from_secs(20);
/// How long an encoder may send nothing: as long as by WHIP. Another may take a silent one's place long before.
const SILENCE: Duration = Duration::from_secs(30);
/// So often may it change to what takes another pipeline …
const CHANGES: u32 = 5;
/// … in this time.
const CHANGING: Duration = Duration::from_secs(60);

/// Brings an encoder's media to a session until it ends.
pub(super) async fn publish(
    connection: &mut Connection,
    session: &str,
    injector: &Arc<Injector>,
    place: Place,
) -> Result<(), String> {
    let mut intake = Intake::default();
    let mut held = Held::default();
    let Some(tracks) = begin(connection, &mut intake, &mut held).await? else { return Ok(()) };
    let stage = Stage::start(&tracks, connection.began, session)?;
    let mut publishing = Publishing {
        connection,
        intake,
        stage,
        before: None,
        published: None,
        place: Some(place),
        changes: Changes::default(),
        session,
        injector,
    };
    held.release().for_each(|(unit, now)| publishing.stage.push(unit, now));
    let result = publishing.carry().await;
    publishing.end().await;
    result
}

/// Reads until enough is known. `None`: the encoder has gone.
async fn begin(
    connection: &mut Connection,
    intake: &mut Intake,
    held: &mut Held,
) -> Result<Option<Tracks>, String> {
    let began = connection.began;
    let patience = began.elapsed() + FIRST_MEDIA;
    // What came together with the wish to publish.
    let mut count = 0;
    loop {
        for event in connection.events(count).await? {
            match unit(intake, event, began.elapsed())? {
                Took::Unit(unit) => held.push(unit, began.elapsed()),
                Took::Nothing => {}
                Took::End => return Ok(None),
            }
        }
        loop {
            let tracks = if held.is_full() { intake.begin() } else { intake.tracks(began.elapsed()) };
            if let Some(tracks) = tracks {
                return Ok(Some(tracks));
            }
            let due = intake.due();
            tokio::select! {
                read = connection.read() => {
                    count = read?;
                    break;
                }
                () = tokio::time::sleep_until((began + due.unwrap_or(patience)).into()) => {
                    if due.is_none() {
                        return Err("neither H264 nor AAC came".to_owned());
                    }
                }
            }
        }
        if count == 0 {
            return Ok(None);
        }
    }
}

/// An encoder that has begun.
struct Publishing<'a> {
    connection: &'a mut Connection,
    intake: Intake,
    stage: Stage<'a>,
    /// Until the stage has a publication of its own, the one before it.
    before: Option<Bridge>,
    published: Option<Published>,
    /// It counts among those that do not publish yet.
    place: Option<Place>,
    changes: Changes,
    session: &'a str,
    injector: &'a Arc<Injector>,
}

impl Publishing<'_> {
    /// Carries frames until one side ends it. `Ok`: the encoder does.
    async fn carry(&mut self) -> Result<(), String> {
        while let Some(Anew { tracks, held }) = self.stay().await? {
            if !self.changes.may(self.connection.began.elapsed()) {
                return Err("its media are configured anew again and again".to_owned());
            }
            let next = Stage::start(&tracks, self.connection.began, self.session)?;
            let last = std::mem::replace(&mut self.stage, next);
            self.before = Some(last.bridge);
            held.release().for_each(|(unit, now)| self.stage.push(unit, now));
        }
        Ok(())
    }

    /// Stays with one stage, and has it published meanwhile. `Some`: it takes another.
    async fn stay(&mut self) -> Result<Option<Anew>, String> {
        let began = self.connection.began;
        let Some(offer) = self.stage.offer.take() else { return Ok(None) };
        let mut publishing =
            pin!(negotiate(offer, self.session, self.stage.via, self.injector, self.published.clone()));
        let mut is_published = false;
        let mut takes = None;
        let mut anew = None;
        let mut heard = Instant::now();
        // What was begun with Janus is not given up half way for another stage.
        while !is_published || anew.is_none() {
            tokio::select! {
                result = &mut publishing, if !is_published => {
                    let answered = self.published.insert(result?);
                    is_published = true;
                    takes = Some(answered.connected.clone());
                    self.stage.bridge.answer(&answered.answer).map_err(|error| error.to_string())?;
                    self.place = None;
                    if let Some(before) = self.before.take() {
                        dismiss(before).await;
                    }
                }
                why = over(&mut self.published), if is_published => return Err(why),
                () = connected(&mut takes) => self.stage.bridge.open(),
                Some(why) = self.stage.broken.recv() => return Err(why),
                () = tokio::time::sleep_until((heard + SILENCE).into()) => {
                    return Err(format!("nothing came for {} s", SILENCE.as_secs()));
                }
                count = self.connection.read() => {
                    let count = count?;
                    if count == 0 {
                        return Ok(None);
                    }
                    heard = Instant::now();
                    for event in self.connection.events(count).await? {
                        match unit(&mut self.intake, event, began.elapsed())? {
                            Took::Unit(unit) => self.push(unit, &mut anew)?,
                            Took::Nothing => {}
                            Took::End => return Ok(None),
                        }
                    }
                }
            }
        }
        Ok(anew)
    }

    /// A frame, for this stage or the next.
    fn push(&mut self, unit: Unit, anew: &mut Option<Anew>) -> Result<(), String> {
        let now = self.connection.began.elapsed();
        if let Some(tracks) = self.intake.renewed(unit.kind)
            && (anew.is_some() || !self.stage.bridge.renew(&tracks))
        {
            anew.get_or_insert_default().tracks = tracks;
        }
        let Some(next) = anew else {
            self.stage.push(unit, now);
            return Ok(());
        };
        next.held.push(unit, now);
        if next.held.is_full() { Err("Janus takes too long".to_owned()) } else { Ok(()) }
    }

    /// What was begun is over.
    async fn end(self) {
        if let Some(Published { key, .. }) = self.published {
            // Whoever ended it before us has ended it.
            if let Ok(live) = self.injector.entry(self.session) {
                let _ = live.unpublish(Some(&key)).await;
            }
        }
        for bridge in [Some(self.stage.bridge), self.before].into_iter().flatten() {
            dismiss(bridge).await;
        }
    }
}

/// What another stage is for, and its first frames.
#[derive(Default)]
struct Anew {
    tracks: Tracks,
    held: Held,
}

/// What an event was.
enum Took {
    Unit(Unit),
    Nothing,
    End,
}

fn unit(intake: &mut Intake, event: Event, now: Duration) -> Result<Took, String> {
    let unit = match event {
        Event::Audio { timestamp, body } => intake.audio(timestamp, &body, now)?,
        Event::Video { timestamp, body } => intake.video(timestamp, &body, now)?,
        Event::Metadata(metadata) => {
            intake.metadata(metadata);
            None
        }
        Event::Finished => return Ok(Took::End),
        Event::Publish(_) => None,
    };
    Ok(unit.map_or(Took::Nothing, Took::Unit))
}

/// Another pipeline, so often and not oftener.
#[derive(Debug, Default)]
struct Changes {
    since: Duration,
    made: u32,
}

impl Changes {
    fn may(&mut self, now: Duration) -> bool {
        if now >= self.since + CHANGING {
            *self = Changes { since: now, made: 0 };
        }
        self.made += 1;
        self.made <= CHANGES
    }
}

/// From the bridge's offer to a publication, instead of the one that there is of the same encoder.
async fn negotiate(
    offer: oneshot::Receiver<Result<String, String>>,
    session: &str,
    via: Via,
    injector: &Arc<Injector>,
    instead: Option<Published>,
) -> Result<Published, String> {
    let none = || "no offer came about of its frames".to_owned();
    let offer = timeout(OFFER, offer).await.map_err(|_| none())?.map_err(|_| none())??;
    let goes_on = instead.is_some();
    if let Some(Published { key, over, .. }) = instead {
        if let Some(why) = over.borrow().clone() {
            return Err(why);
        }
        let live = injector.entry(session).map_err(|error| error.to_string())?;
        live.unpublish(Some(&key)).await.map_err(|error| error.to_string())?;
    }
    injector.publish(session, offer, via, goes_on).await.map_err(|error| error.to_string())
}

/// Ends when Janus takes media, once.
async fn connected(takes: &mut Option<watch::Receiver<bool>>) {
    let Some(connected) = takes else { return std::future::pending().await };
    // If it is over before that, `over` says so.
    let is = connected.wait_for(|connected| *connected).await.is_ok();
    *takes = None;
    if !is {
        std::future::pending::<()>().await;
    }
}

/// Ends when the publication does, and says why.
async fn over(published: &mut Option<Published>) -> String {
    let Some(published) = published else { return std::future::pending().await };
    match published.over.wait_for(Option::is_some).await {
        Ok(why) => why.clone().unwrap_or_default(),
        Err(_) => "the publication is gone".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn another_pipeline_is_not_made_without_end() {
        let (mut changes, at) = (Changes::default(), Duration::from_secs);
        let made = |changes: &mut Changes, now| (0..100).filter(|_| changes.may(now)).count();
        assert_eq!((made(&mut changes, at(1)), made(&mut changes, at(59))), (5, 0));
        assert_eq!(made(&mut changes, at(60)), 5);
    }
}
