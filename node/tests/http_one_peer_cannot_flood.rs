//! A peer that asks too much is told to wait; those that watch the node are answered all the same.

mod common;

use std::num::NonZeroU32;

use common::{Idle, Served};
use node::config::HttpConfig;
use node::http::{Access, Limit, Limits, Rate};

#[test]
fn after_the_burst_it_is_429_until_the_rate_allows_more() {
    let rate = Rate { burst: NonZeroU32::new(5).unwrap(), per_second: NonZeroU32::MIN };
    let limits = Limits::new(HttpConfig { rate, ..HttpConfig::default() });
    let served = Served::start(Idle::default(), Access { limits, ..Access::default() });
    let statuses: Vec<u16> = (0..5).map(|_| served.ask("GET", "/status", None, "").status).collect();
    assert_eq!(statuses, [200; 5]);
    for (method, path) in [("GET", "/status"), ("POST", "/refresh"), ("GET", "/nowhere")] {
        let refused = served.ask(method, path, None, "");
        assert_eq!(refused.status, 429, "{method} {path}");
        let wait: u64 = refused.header("retry-after").parse().unwrap();
        assert!((1..=2).contains(&wait), "{wait}");
        assert!(refused.error().contains("too many requests"), "{}", refused.body);
    }
    for path in ["/healthz", "/readyz", "/metrics"] {
        assert_eq!(served.ask("GET", path, None, "").status, 200, "{path}");
    }
    assert_eq!((served.done(), served.limits.refused(Limit::ClientRequests)), (0, 3));
}

/// What costs something is given out often enough for who watches, and no oftener.
#[test]
fn metrics_are_not_for_the_asking_without_end() {
    let rate = Rate { burst: NonZeroU32::new(5).unwrap(), per_second: NonZeroU32::MIN };
    let limits = Limits::new(HttpConfig { rate, ..HttpConfig::default() });
    let served = Served::start(Idle::default(), Access { limits, ..Access::default() });
    let statuses: Vec<u16> = (0..20).map(|_| served.ask("GET", "/metrics", None, "").status).collect();
    assert_eq!(statuses[..5], [200; 5]);
    assert!(statuses.contains(&429) && served.limits.refused(Limit::ClientRequests) > 0, "{statuses:?}");
    for path in ["/healthz", "/readyz", "/status"] {
        assert_eq!(served.ask("GET", path, None, "").status, 200, "{path}");
    }
}

#[test]
fn a_script_never_meets_the_usual_limit() {
    let served = Served::start(Idle::default(), Access::default());
    for turn in 0..500 {
        assert_eq!(served.ask("POST", "/refresh", None, "").status, 200, "request {turn}");
    }
}
