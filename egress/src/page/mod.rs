//! The viewers' page, put together from its parts: one answer, and nothing to be loaded from elsewhere.
//!
//! `status.js` decides what a viewer reads; `player.js` (WHEP and events), `controls.js`, `statistics.js` and `main.js` do.

/// `{{WHEP}}` in it stands for the path of the WHEP endpoints.
const PAGE: &str = concat!(
    "<!doctype html>\n<html lang=\"en\">\n<meta charset=\"utf-8\">\n",
    "<meta name=\"viewport\" content=\"width=device-width, initial-scale=1, viewport-fit=cover\">\n",
    "<title>Media-Tree</title>\n<link rel=\"icon\" href=\"data:,\">\n<style>\n",
    include_str!("style.css"),
    "</style>\n",
    include_str!("index.html"),
    "<script>\n\"use strict\";\n",
    include_str!("status.js"),
    include_str!("../../../node/src/ice/servers.js"),
    include_str!("player.js"),
    include_str!("controls.js"),
    include_str!("statistics.js"),
    include_str!("main.js"),
    "</script>\n</html>\n",
);

/// The page, for WHEP endpoints at this path.
pub fn html(whep_path: &str) -> String {
    PAGE.replace("{{WHEP}}", whep_path)
}
