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
