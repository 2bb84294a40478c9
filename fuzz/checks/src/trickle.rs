//! A fragment with candidates (RFC 8840), as WHIP clients and players send it.

/// A fragment.
pub fn trickle(fragment: &[u8]) {
    let Ok(fragment) = std::str::from_utf8(fragment) else { return };
    let (candidates, _) = egress::sdp::fragment(fragment);
    for candidate in candidates {
        assert!(candidate.starts_with("candidate:") && !candidate.contains('\n'), "{candidate:?}");
    }
    if let Ok(read) = injection::sdp::fragment(fragment) {
        assert!(read.candidates.len() <= fragment.lines().count(), "a candidate has a line");
    }
}
