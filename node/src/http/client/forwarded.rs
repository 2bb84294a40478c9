//! The headers by which proxies say whom they ask for. Pure.
//!
//! Both give hops, the farthest first, `None` for one that is hidden or no address; there is no list where there is no header.

use std::net::{IpAddr, SocketAddr};

use axum::http::{HeaderMap, HeaderName, header};

/// By custom, and older than the standard.
const X_FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");

/// `X-Forwarded-For: CLIENT, PROXY, …`.
pub fn x_forwarded_for(headers: &HeaderMap) -> Option<Vec<Option<IpAddr>>> {
    hops(headers, &X_FORWARDED_FOR, |value, hops| {
        hops.extend(value.split(',').map(|hop| address(hop.trim())))
    })
}

/// `Forwarded: for=CLIENT;proto=https, for="[PROXY]:PORT"` (RFC 7239 section 4).
pub fn forwarded(headers: &HeaderMap) -> Option<Vec<Option<IpAddr>>> {
    hops(headers, &header::FORWARDED, |value, hops| {
        for element in split_unquoted(value, ',') {
            let said = split_unquoted(element, ';').into_iter().find_map(|pair| {
                let (name, value) = pair.split_once('=')?;
                name.trim().eq_ignore_ascii_case("for").then(|| value.trim())
            });
            hops.push(said.and_then(unquoted).and_then(address));
        }
    })
}

/// Of several lines of a header the later are nearer (RFC 9110 section 5.3).
fn hops(
    headers: &HeaderMap,
    name: &HeaderName,
    read: impl Fn(&str, &mut Vec<Option<IpAddr>>),
) -> Option<Vec<Option<IpAddr>>> {
    let mut lines = headers.get_all(name).iter().peekable();
    lines.peek()?;
    let mut hops = Vec::new();
    for line in lines {
        match line.to_str() {
            Ok(text) => read(text, &mut hops),
            Err(_) => hops.push(None),
        }
    }
    Some(hops)
}

/// With or without a port.
fn address(text: &str) -> Option<IpAddr> {
    let bare = text.strip_prefix('[').and_then(|text| text.strip_suffix(']')).unwrap_or(text);
    bare.parse().ok().or_else(|| text.parse::<SocketAddr>().ok().map(|address| address.ip()))
}

/// What is between quotation marks, if it begins with one; nothing if they do not end. Addresses have no `\` in them.
fn unquoted(text: &str) -> Option<&str> {
    match text.strip_prefix('"') {
        Some(rest) => rest.strip_suffix('"'),
        None => Some(text),
    }
}

/// Splits where the separator is not in a quoted string (RFC 9110 section 5.6.4). A string that does not end is none: the
/// client began it, and what a proxy has added behind it is not in it.
fn split_unquoted(text: &str, separator: char) -> Vec<&str> {
    let (mut quoted, mut escaped) = (false, false);
    let parts = text
        .split(|c| {
            let plain = !std::mem::take(&mut escaped);
            match c {
                '"' if plain => quoted = !quoted,
                '\\' if plain && quoted => escaped = true,
                _ => {}
            }
            c == separator && !quoted
        })
        .collect();
    if quoted { text.split(separator).collect() } else { parts }
}
