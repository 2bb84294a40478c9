//! The lines of a description, looked up by name.

use sdp_types::{Attribute, Media, Session};

/// The numbers that a codec has.
pub fn payload_types(media: &Media, codec: &str) -> Vec<u8> {
    let about = |map: &str| {
        let (number, rest) = map.split_once(' ')?;
        let name = rest.split('/').next()?;
        name.eq_ignore_ascii_case(codec).then(|| number.parse().ok())?
    };
    values(media, "rtpmap").filter_map(about).collect()
}

/// A line that begins with this number.
pub fn is_about(value: &str, pt: u8) -> bool {
    value.split(' ').next().is_some_and(|number| number.parse() == Ok(pt))
}

/// The payload types of a medium, in the order in which they are preferred (RFC 8866 section 5.14).
pub fn formats(media: &Media) -> impl Iterator<Item = u8> {
    media.fmt.split_whitespace().filter_map(|format| format.parse().ok())
}

/// A parameter of `a=fmtp` by its name, in any case.
pub fn parameter<'a>(media: &'a Media, pt: u8, name: &str) -> Option<&'a str> {
    let (_, parameters) = values(media, "fmtp").find(|value| is_about(value, pt))?.split_once(' ')?;
    let given = parameters.split(';').filter_map(|parameter| parameter.split_once('='));
    given
        .map(|(given, value)| (given.trim(), value.trim()))
        .find_map(|(given, value)| given.eq_ignore_ascii_case(name).then_some(value))
}

/// A line of `a=rtcp-fb` is about this number: by name, or because it is about all (RFC 4585 section 4.2).
pub fn is_feedback_of(value: &str, pt: u8) -> bool {
    is_about(value, pt) || value.starts_with("* ")
}

/// The payload type of a medium's retransmissions (RFC 4588 section 8.6).
pub fn retransmission(media: &Media, pt: u8) -> Option<u8> {
    let rtx = payload_types(media, "rtx");
    rtx.into_iter().find(|number| parameter(media, *number, "apt").is_some_and(|apt| apt.parse() == Ok(pt)))
}

/// A header extension of a medium (RFC 8285 section 5): its number, and the value of its line. None by numbers that a header of
/// one byte has no room for, nor one that goes one way only.
pub fn extension<'a>(session: &'a Session, media: &'a Media, uri: &str) -> Option<(u8, &'a str)> {
    let mut lines = values(media, "extmap").chain(values_of(session, "extmap"));
    lines.find_map(|line| {
        let (number, rest) = line.split_once(' ')?;
        let number = number.parse().ok().filter(|number| (1..=14).contains(number))?;
        (rest.split_whitespace().next() == Some(uri)).then_some((number, line))
    })
}

/// An attribute of a medium, or of the whole session.
pub fn attribute<'a>(session: &'a Session, media: &'a Media, name: &str) -> Option<&'a str> {
    value(media, name).or_else(|| values_of(session, name).next())
}

/// All of that name in a medium.
pub fn values<'a>(media: &'a Media, name: &str) -> impl Iterator<Item = &'a str> {
    named(&media.attributes, name)
}

/// All of that name in the whole session.
pub fn values_of<'a>(session: &'a Session, name: &str) -> impl Iterator<Item = &'a str> {
    named(&session.attributes, name)
}

fn named<'a>(attributes: &'a [Attribute], name: &str) -> impl Iterator<Item = &'a str> {
    attributes
        .iter()
        .filter(move |attribute| attribute.attribute == name)
        .filter_map(|found| found.value.as_deref())
}

/// The first of that name in a medium.
pub fn value<'a>(media: &'a Media, name: &str) -> Option<&'a str> {
    values(media, name).next()
}

/// A medium has a line of that name.
pub fn has(media: &Media, name: &str) -> bool {
    media.attributes.iter().any(|attribute| attribute.attribute == name)
}

/// All lines of that name, as they are.
pub fn copy(from: &Media, name: &str, line: &mut Media) {
    let found = from.attributes.iter().filter(|attribute| attribute.attribute == name);
    line.attributes.extend(found.cloned());
}

/// A line.
pub fn attr(name: &str, value: Option<&str>) -> Attribute {
    Attribute { attribute: name.to_owned(), value: value.map(str::to_owned) }
}
