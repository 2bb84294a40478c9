//! Whoever sees something counted finds out what it is.

use crate::studio::Studio;

#[test]
fn to_operators() {
    let page = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/operations.md");
    let page = std::fs::read_to_string(page).unwrap();
    let studio = Studio::start();
    for (reason, count) in studio.server.dropped() {
        assert!(page.contains(&format!("`{reason}`")), "{reason} is not in docs/operations.md");
        assert_eq!(count, 0, "{reason}");
    }
}
