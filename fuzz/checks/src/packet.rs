//! A frame, cut off anywhere and right in front of a page that cannot be read, goes through the parser of all data
//! planes; what the parser says of it must be in it.
#[allow(clippy::unwrap_used, reason = "a test's helpers fail like the test")]
#[path = "../../../relay-common/tests/common/bounds.rs"]
mod bounds;

use std::cell::RefCell;

use bounds::{Guarded, check};

thread_local! {
    static PAGE: RefCell<Guarded> = RefCell::new(Guarded::new());
}

/// The first byte says how much of the frame is out of reach, as in a socket buffer whose rest is elsewhere.
pub fn packet(data: &[u8]) {
    let Some((hidden, frame)) = data.split_first() else { return };
    let frame = &frame[..frame.len().min(4000)];
    let reach = frame.len() - usize::from(*hidden).min(frame.len());
    PAGE.with_borrow_mut(|page| {
        check(page.place(&frame[..reach]), frame.len());
        check(page.place(frame), frame.len());
    });
}
