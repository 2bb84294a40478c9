//! A broadcast with a viewer at each of two egresses.

use std::time::Duration;

use lab::{Publisher, Studio, Viewers};

/// The session.
const SESSION: &str = "show";
pub const PATIENCE: Duration = Duration::from_secs(120);

/// It goes on until it is ended.
pub struct Broadcast {
    pub publisher: Publisher,
    pub viewers: Viewers,
}

impl Broadcast {
    /// Comes back once both see a picture that moves.
    pub fn begin(studio: &Studio<'_>) -> Broadcast {
        studio.create_session(SESSION, [7777, 8888]).unwrap();
        let publisher = studio.publish(SESSION, &[]).unwrap();
        for at in 0..2 {
            studio.wait_active(at, SESSION).unwrap();
        }
        let viewers = studio.view(SESSION, &[0, 1], 1, &[]).unwrap();
        viewers.wait_until(PATIENCE, |views| views.viewers.len() == 2).unwrap();
        let broadcast = Broadcast { publisher, viewers };
        broadcast.goes_on(30);
        broadcast
    }

    /// Waits until each viewer has seen so many frames more.
    pub fn goes_on(&self, frames: u64) {
        let seen = |views: &lab::client::Views| {
            views.viewers.iter().map(|viewer| viewer.frames_of_all).collect::<Vec<_>>()
        };
        let before = seen(&self.viewers.wait_until(PATIENCE, |_| true).unwrap());
        self.viewers
            .wait_until(PATIENCE, |views| {
                seen(views).iter().zip(&before).all(|(now, before)| *now >= before + frames)
            })
            .unwrap();
    }

    /// Ends it.
    pub fn end(self) {
        self.viewers.stop().unwrap();
        self.publisher.stop().unwrap();
    }
}
