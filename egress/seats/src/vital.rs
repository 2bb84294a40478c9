//! Threads that viewers cannot do without.

use std::panic::{AssertUnwindSafe, catch_unwind};

/// Does a thread's work. One that has panicked leaves its viewers without media, or without anybody who reads what they send, and
/// nobody the wiser: better that all is started again.
pub(crate) fn work(work: impl FnOnce()) {
    if catch_unwind(AssertUnwindSafe(work)).is_err() {
        let thread = std::thread::current();
        let name = thread.name().unwrap_or_default();
        tracing::error!("the thread {name} has panicked, which viewers need: the process ends");
        std::process::abort();
    }
}
