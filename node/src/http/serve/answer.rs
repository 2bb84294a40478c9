//! [`Arrival`] and [`Answer`]: how far a request is, for the place of its connection.

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll};

use axum::body::Body;
use hyper::body::{Bytes, Frame, SizeHint};

use super::door::Place;

/// A request that comes, and is under way from when it has come whole until the last of its answer is sent.
#[derive(Clone)]
pub(in crate::http) struct Arrival(Arc<UnderWay>);

struct UnderWay {
    place: Place,
    whole: AtomicBool,
    /// It waits for the peer.
    waits: AtomicBool,
}

impl Arrival {
    /// It has begun to come.
    pub(super) fn new(place: Place) -> Arrival {
        Arrival(Arc::new(UnderWay { place, whole: AtomicBool::new(false), waits: AtomicBool::new(false) }))
    }

    /// Nothing of it is still to come.
    pub fn is_whole(&self) {
        if !self.0.whole.swap(true, Ordering::AcqRel) {
            self.0.place.door.slots().begins(self.0.place.id);
        }
    }

    /// Whether and what more of the answer is sent is up to the peer.
    pub fn waits(&self) {
        let Place { door, id, .. } = &self.0.place;
        if !self.0.waits.swap(true, Ordering::AcqRel) {
            door.slots().waits(*id, door.epoch.elapsed() + door.bounds.head);
        }
    }

    /// It takes more.
    fn goes_on(&self) {
        if self.0.waits.swap(false, Ordering::AcqRel) {
            self.0.place.door.slots().goes_on(self.0.place.id);
        }
    }
}

impl Drop for UnderWay {
    fn drop(&mut self) {
        if *self.whole.get_mut() {
            let now = self.place.door.epoch.elapsed();
            self.place.door.slots().ends(self.place.id, *self.waits.get_mut(), now);
        }
    }
}

/// An answer's body. Hyper asks for a piece when the peer has room for it: who has none is waited for, and whoever has it make one
/// that is not ready, such as the next event, is being answered.
pub(super) struct Answer {
    pub body: Body,
    pub arrival: Arrival,
}

impl hyper::body::Body for Answer {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        self.arrival.goes_on();
        let polled = Pin::new(&mut self.body).poll_frame(context);
        if polled.is_ready() {
            self.arrival.waits();
        }
        polled
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
