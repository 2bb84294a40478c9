//! `{name}`, `{tree}`, `{zone}`, `{parent}`, `{port}` and `{port+1}` in what a back end is told of a role.

use std::borrow::Cow;

use super::{Spec, names};

/// What goes in.
#[derive(Clone, Copy)]
pub struct Values<'a> {
    /// The node.
    pub spec: &'a Spec,
    /// First of its ports, and how many there are; `None`: it has none of its own.
    pub ports: Option<(u16, u16)>,
}

/// The text with all of them filled in; an error names the one that means nothing. Braces around anything but a word are left
/// as they are: JSON is.
pub fn fill(text: &str, values: Values) -> Result<String, String> {
    let mut filled = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(open) = rest.find('{') {
        let (before, from) = rest.split_at(open);
        filled.push_str(before);
        let word = from[1..].split_once('}').map(|(word, _)| word).filter(|word| is_word(word));
        let Some(word) = word else {
            filled.push('{');
            rest = &from[1..];
            continue;
        };
        filled.push_str(&value(word, values)?);
        rest = &from[word.len() + 2..];
    }
    filled.push_str(rest);
    Ok(filled)
}

/// Names and zones are what nodes say of themselves: none of them becomes a flag, or a path that leads elsewhere. Where there is no zone,
/// or a node is taken away and its parent of no interest, it is nothing.
fn safe(text: &str) -> Result<Cow<'_, str>, String> {
    match text {
        "" => Ok("".into()),
        text => names::check(text).map(|()| text.into()).map_err(|trouble| trouble.why),
    }
}

fn is_word(text: &str) -> bool {
    text.starts_with(|first: char| first.is_ascii_lowercase())
        && text.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'+')
}

fn value<'a>(word: &str, Values { spec, ports }: Values<'a>) -> Result<Cow<'a, str>, String> {
    match word {
        "name" => return safe(&spec.name),
        "tree" => return safe(&spec.tree),
        "zone" => return safe(&spec.zone),
        "parent" => return safe(&spec.parent),
        "role" => return Ok(spec.role.name().into()),
        _ => {}
    }
    let offset = match word.strip_prefix("port") {
        Some("") => Some(0),
        Some(more) => more.strip_prefix('+').and_then(|number| number.parse::<u16>().ok()),
        None => None,
    };
    let Some(offset) = offset else {
        return Err(format!(
            "{{{word}}} means nothing; there are {{name}}, {{tree}}, {{role}}, {{zone}}, {{parent}}, {{port}}, {{port+1}}"
        ));
    };
    let Some((first, count)) = ports else {
        return Err(format!("{{{word}}}: nodes of this back end have no ports of their own"));
    };
    if offset >= count {
        return Err(format!(
            "{{{word}}}: a node has {count} ports, the last is {{port+{}}}",
            count.saturating_sub(1)
        ));
    }
    Ok((first + offset).to_string().into())
}

#[cfg(test)]
mod tests {
    use node::record::NodeType;

    use super::*;

    #[test]
    fn what_is_known_goes_in_and_all_else_is_named_or_left() {
        let spec = Spec {
            name: "egress-9".to_owned(),
            role: NodeType::Egress,
            tree: "tree-1".to_owned(),
            parent: "relay-1".to_owned(),
            zone: "a".to_owned(),
        };
        let values = Values { spec: &spec, ports: Some((7000, 4)) };
        for (text, right) in [
            ("", Ok("")),
            (
                "{name} of {tree}, {role} below {parent} in {zone}",
                Ok("egress-9 of tree-1, egress below relay-1 in a"),
            ),
            ("0.0.0.0:{port},{port+3}", Ok("0.0.0.0:7000,7003")),
            (r#"{"a":{"b":1}}"#, Ok(r#"{"a":{"b":1}}"#)),
            ("${HOME} {} {", Ok("${HOME} {} {")),
            ("{nmae}", Err("{nmae} means nothing")),
            ("{port+4}", Err("the last is {port+3}")),
            ("{port+}", Err("{port+} means nothing")),
            ("{port+99999}", Err("{port+99999} means nothing")),
        ] {
            match (fill(text, values), right) {
                (Ok(filled), Ok(right)) => assert_eq!(filled, right),
                (Err(why), Err(right)) => assert!(why.contains(right), "{why}"),
                (filled, _) => panic!("{text}: {filled:?}"),
            }
        }
        for zone in ["../../etc", "--privileged", "a b", "a\nb"] {
            let spec = Spec { zone: zone.to_owned(), parent: zone.to_owned(), ..spec.clone() };
            for text in ["/data/{zone}:/data", "{parent}"] {
                assert!(fill(text, Values { spec: &spec, ports: None }).is_err(), "{text} with {zone}");
            }
            assert_eq!(fill("{name}", Values { spec: &spec, ports: None }).as_deref(), Ok("egress-9"));
        }
        assert!(fill("{port}", Values { ports: None, ..values }).is_err_and(|why| why.contains("no ports")));
    }
}
