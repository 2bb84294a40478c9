//! The page that draws a tree. It has no data in it: it asks for `tree` beside it, as JSON, every two seconds.
//!
//! `words.js` says things in words, `draw.js` draws rows and edges (SVG), `main.js` asks and shows.

use axum::response::Response;

const PAGE: &str = concat!(
    "<!doctype html>\n<html lang=\"en\">\n<meta charset=\"utf-8\">\n",
    "<meta name=\"viewport\" content=\"width=device-width, initial-scale=1, viewport-fit=cover\">\n",
    "<title>Tree</title>\n<link rel=\"icon\" href=\"data:,\">\n<style>\n",
    include_str!("../../http/look.css"),
    include_str!("style.css"),
    "</style>\n",
    include_str!("index.html"),
    "<script>\n\"use strict\";\n",
    include_str!("words.js"),
    include_str!("draw.js"),
    include_str!("main.js"),
    "</script>\n</html>\n",
);

/// The page.
pub fn page() -> Response {
    crate::http::page(PAGE.to_owned(), &[], crate::http::Reaches::ItsNode)
}
