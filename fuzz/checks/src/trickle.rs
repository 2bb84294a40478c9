//! A fragment with candidates (RFC 8840), as WHIP clients and players send it.

use node::http::wish::{Fragment, IceSession, MOST_CANDIDATES};

/// A fragment.
pub fn trickle(fragment: &[u8]) {
    let Ok(fragment) = std::str::from_utf8(fragment) else { return };
    let Ok(read) = Fragment::parse(fragment) else { return };
    assert!(read.candidates.len() <= fragment.lines().count(), "a candidate has a line");
    for text in read.candidates.iter().filter_map(|candidate| candidate.text.as_deref()) {
        assert!(text.starts_with("candidate") && !text.contains(['\n', '\r']), "{text:?}");
    }
    if let Ok(taken) = IceSession::new(read.users).take(fragment) {
        assert!(taken == read.candidates && taken.len() <= MOST_CANDIDATES);
    }
}
