//! docs/monitoring.md explains every row, with a picture.

use std::fs;

use lab::monitoring::panels::{dashboards, panels};
use lab::relay::workspace;

/// `cargo xtask bench dashboards --write` draws them.
#[test]
fn every_row_is_explained_with_a_picture() {
    let docs = workspace().join("docs");
    let text = fs::read_to_string(docs.join("monitoring.md")).unwrap();
    for file in dashboards().unwrap() {
        let name = file.file_stem().unwrap().to_str().unwrap();
        let all = panels(&file).unwrap();
        for (number, row) in all.chunk_by(|one, next| one.row == next.row).enumerate() {
            let (row, picture) = (&row[0].row, format!("monitoring/{name}-{}.svg", number + 1));
            assert!(text.contains(&format!("**{row}")), "{row} is not explained");
            assert!(text.contains(&format!("![{row}]({picture})")), "{row} has no picture");
            let size =
                fs::metadata(docs.join(&picture)).unwrap_or_else(|error| panic!("{picture}: {error}")).len();
            assert!(size < 100_000, "{picture} is {size} bytes");
        }
    }
}
