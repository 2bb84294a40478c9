//! Where a test kills the process, or has it fail: at its n-th point from the start, by `SCALER_DIE_AT=n` or `SCALER_FAIL_AT=n`. In a
//! release there are none.

#[cfg(debug_assertions)]
mod points {
    use std::sync::OnceLock;
    use std::sync::atomic::{AtomicU64, Ordering};

    static PASSED: AtomicU64 = AtomicU64::new(0);
    static DIES: OnceLock<Option<u64>> = OnceLock::new();
    static FAILS: OnceLock<Option<u64>> = OnceLock::new();

    pub fn reach() {
        let at = |name: &str| std::env::var(name).ok()?.parse().ok();
        let dies = *DIES.get_or_init(|| at("SCALER_DIE_AT"));
        let fails = *FAILS.get_or_init(|| at("SCALER_FAIL_AT"));
        let passed = PASSED.fetch_add(1, Ordering::SeqCst) + 1;
        if dies == Some(passed) {
            // As whoever pulls the plug does: nothing is cleaned up.
            let _ = nix::sys::signal::kill(nix::unistd::Pid::this(), nix::sys::signal::Signal::SIGKILL);
        }
        assert!(fails != Some(passed), "a test has it fail here");
    }
}

/// A point at which the process may die.
pub fn reach() {
    #[cfg(debug_assertions)]
    points::reach();
}
