//! The lines of a description, looked up by name.

use sdp_types::{Attribute, Media};

/// All of that name in a medium.
pub fn values<'a>(media: &'a Media, name: &str) -> impl Iterator<Item = &'a str> {
    let named = media.attributes.iter().filter(move |attribute| attribute.attribute == name);
    named.filter_map(|attribute| attribute.value.as_deref())
}

/// The first of that name in a medium.
pub fn value<'a>(media: &'a Media, name: &str) -> Option<&'a str> {
    values(media, name).next()
}

/// A medium has a line of that name.
pub fn has(media: &Media, name: &str) -> bool {
    media.attributes.iter().any(|attribute| attribute.attribute == name)
}

/// A value that begins with a payload type, as `rtpmap`, `fmtp` and `rtcp-fb` have: that, and what follows.
pub fn about(value: &str) -> Option<(u8, &str)> {
    let (number, rest) = value.split_once(' ')?;
    Some((number.parse().ok()?, rest))
}

/// Format parameters (`a=fmtp`) of a payload type, empty if there are none.
pub fn parameters(media: &Media, payload_type: u8) -> &str {
    let all = values(media, "fmtp").filter_map(about);
    all.filter(|(number, _)| *number == payload_type)
        .map(|(_, parameters)| parameters)
        .next()
        .unwrap_or_default()
}

/// One of format parameters, by its name in any case.
pub fn parameter<'a>(parameters: &'a str, name: &str) -> Option<&'a str> {
    let pairs = parameters.split(';').filter_map(|pair| pair.split_once('='));
    pairs
        .map(|(key, value)| (key.trim(), value.trim()))
        .find(|(key, _)| key.eq_ignore_ascii_case(name))
        .map(|pair| pair.1)
}

/// A line.
pub fn attribute(name: &str, value: Option<String>) -> Attribute {
    Attribute { attribute: name.to_owned(), value }
}

/// Says which way media goes, and nothing else about it.
pub fn direct(media: &mut Media, direction: &str) {
    media.attributes.retain(|attribute| {
        !["sendrecv", "sendonly", "recvonly", "inactive"].contains(&attribute.attribute.as_str())
    });
    media.attributes.push(attribute(direction, None));
}
