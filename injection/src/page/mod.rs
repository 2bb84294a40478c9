//! The page to publish from, put together from its parts: one answer, and nothing to be loaded from elsewhere.
//!
//! `words.js` decides what a broadcaster reads; `media.js` (camera, screen, test pattern), `publish.js` (WHIP) and `main.js` (what is
//! seen and pressed) do. What it looks like is in `node/src/http/look.css`, as for all pages, and in `style.css`.

/// `{{WHIP}}` in it stands for the path of the WHIP endpoints, as seen from the page.
const PAGE: &str = concat!(
    "<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n",
    "<meta name=\"viewport\" content=\"width=device-width, initial-scale=1, viewport-fit=cover\">\n",
    "<title>Publish</title>\n<link rel=\"icon\" href=\"data:,\">\n<style>\n",
    include_str!("../../../node/src/http/look.css"),
    include_str!("style.css"),
    "</style>\n</head>\n<body>\n",
    include_str!("index.html"),
    "<script>\n\"use strict\";\n",
    include_str!("words.js"),
    include_str!("../../../node/src/ice/servers.js"),
    include_str!("media.js"),
    include_str!("publish.js"),
    include_str!("main.js"),
    "</script>\n</body>\n</html>\n",
);

/// The page, for WHIP endpoints at this path.
pub fn html(whip_path: &str) -> String {
    // Below the same path as the page: `/media/publish` and `/media/whip/endpoint/…`.
    let below = whip_path.trim_start_matches('/');
    let slash = if below.is_empty() { "" } else { "/" };
    PAGE.replace("{{WHIP}}", &format!("{below}{slash}"))
}
