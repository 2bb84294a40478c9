//! The viewers' page, put together from its parts: one answer, and the worker that its tabs share.
//!
//! `status.js` decides what a viewer reads. `join.js` is one attempt to watch (WHEP), `feed.js` the connection for events,
//! which `worker.js` and `listen.js` are the two ends of; `move.js` goes on at another server; `player.js`, `controls.js`,
//! `statistics.js` and `main.js` do; `report.js` tells the server what is measured.

/// `{{WHEP}}` in it stands for the path of the WHEP endpoints, relative to the page's own. What all pages look like is in
/// `look.css`, what only this one does in `style.css`.
const PAGE: &str = concat!(
    "<!doctype html>\n<html lang=\"en\">\n<meta charset=\"utf-8\">\n",
    "<meta name=\"viewport\" content=\"width=device-width, initial-scale=1, viewport-fit=cover\">\n",
    "<title>Media-Tree</title>\n<link rel=\"icon\" href=\"data:,\">\n<style>\n",
    include_str!("../../../node/src/http/look.css"),
    include_str!("style.css"),
    "</style>\n",
    include_str!("index.html"),
    "<script>\n\"use strict\";\n",
    include_str!("status.js"),
    include_str!("../../../node/src/ice/servers.js"),
    include_str!("join.js"),
    include_str!("feed.js"),
    include_str!("player.js"),
    include_str!("move.js"),
    include_str!("listen.js"),
    include_str!("controls.js"),
    include_str!("report.js"),
    include_str!("statistics.js"),
    include_str!("main.js"),
    "</script>\n</html>\n",
);

/// The worker: `events.js`, beside the page.
pub const WORKER: &str = concat!("\"use strict\";\n", include_str!("feed.js"), include_str!("worker.js"));

/// The page, for WHEP endpoints at this path. A worker of another version is another worker.
pub fn html(whep_path: &str) -> String {
    PAGE.replace("{{WHEP}}", whep_path.trim_start_matches('/'))
        .replace("{{VERSION}}", env!("CARGO_PKG_VERSION"))
}
