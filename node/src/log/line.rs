//! One line of the log: as a person reads it, or as JSON. Pure.
//!
//! Whatever came by the wire is escaped: a line is one line, and a terminal obeys none of it.

use std::fmt::{self, Write};

use serde_json::Value;
use tracing::field::{Field, Visit};
use tracing::{Event, Level};

/// What an event says.
#[derive(Debug, Default)]
pub(super) struct Said {
    message: String,
    fields: Vec<(String, Value)>,
    /// Of an event of the crate `log`: where it is from.
    target: Option<String>,
}

impl Said {
    /// A plain message.
    pub fn plain(message: &str) -> Said {
        Said { message: message.to_owned(), ..Said::default() }
    }

    /// By an event. `left_out`: lines of the same place before it that were not written.
    pub fn by(event: &Event<'_>, left_out: u64) -> Said {
        let mut said = Said::default();
        event.record(&mut said);
        if left_out > 0 {
            said.put("left_out", left_out.into());
        }
        said
    }

    /// Where it was said: the crate and module, unless that is somebody else's.
    pub fn target<'a>(&'a self, target: &'a str) -> &'a str {
        self.target.as_deref().unwrap_or(target)
    }

    fn put(&mut self, name: &str, value: Value) {
        match (name, value) {
            ("message", Value::String(text)) => self.message = text,
            ("message", value) => self.message = value.to_string(),
            ("log.target", Value::String(target)) => self.target = Some(target),
            (name, _) if name.starts_with("log.") => {}
            (name, value) => self.fields.push((name.to_owned(), value)),
        }
    }
}

impl Visit for Said {
    fn record_f64(&mut self, field: &Field, value: f64) {
        self.put(field.name(), value.into());
    }

    fn record_i64(&mut self, field: &Field, value: i64) {
        self.put(field.name(), value.into());
    }

    fn record_u64(&mut self, field: &Field, value: u64) {
        self.put(field.name(), value.into());
    }

    fn record_bool(&mut self, field: &Field, value: bool) {
        self.put(field.name(), value.into());
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        self.put(field.name(), value.into());
    }

    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        self.put(field.name(), format!("{value:?}").into());
    }
}

/// For a person: `2026-11-30T10:00:00.000000Z  INFO egress::state: a viewer is there session=show`.
pub(super) fn text(at: &str, level: Level, target: &str, said: &Said, colours: bool) -> String {
    let (dim, strong, plain) = if colours { ("\x1b[2m", colour(level), "\x1b[0m") } else { ("", "", "") };
    let mut line = format!("{dim}{at}{plain} {strong}{level:>5}{plain} {dim}{}:{plain} ", escaped(target));
    line += &escaped(&said.message);
    for (name, value) in &said.fields {
        let value = match value {
            Value::String(text) if !text.is_empty() && !text.contains([' ', '"', '=']) => text.clone(),
            value => value.to_string(),
        };
        let _ = write!(line, " {dim}{name}={plain}{}", escaped(&value));
    }
    line.push('\n');
    line
}

/// For a program: an object with `timestamp`, `level`, `target`, `message`, whose log it is (`node_id`, `tree_id`), and the event's own
/// fields, which do not take the place of any of these.
pub(super) fn json(at: &str, level: Level, target: &str, said: &Said, node: &[(&str, String)]) -> String {
    let own = [("timestamp", at), ("level", level.as_str()), ("target", target), ("message", &said.message)];
    let node = node.iter().map(|(name, value)| (*name, value.as_str()));
    let mut all: Vec<(&str, Value)> =
        own.into_iter().chain(node).map(|(name, value)| (name, value.into())).collect();
    for (name, value) in &said.fields {
        if !all.iter().any(|(taken, _)| taken == name) {
            all.push((name, value.clone()));
        }
    }
    let members = all.into_iter().map(|(name, value)| format!("{}:{value}", Value::from(name)));
    let line = members.collect::<Vec<_>>().join(",");
    format!("{{{}}}\n", escaped(&line))
}

/// With `\n` and the like, and `\u202e`, for what would end a line, move a cursor or turn text around. JSON reads these as what they stand
/// for.
fn escaped(text: &str) -> String {
    let mut clean = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            '\n' => clean.push_str("\\n"),
            '\r' => clean.push_str("\\r"),
            '\t' => clean.push_str("\\t"),
            character if is_unseen(character) => {
                let _ = write!(clean, "\\u{:04x}", u32::from(character));
            }
            character => clean.push(character),
        }
    }
    clean
}

/// Controls of ASCII and ISO 8859; separators of lines; what changes the direction of text (Unicode Technical Report 36 section 2.6).
fn is_unseen(character: char) -> bool {
    character.is_control()
        || matches!(character, '\u{2028}' | '\u{2029}' | '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

fn colour(level: Level) -> &'static str {
    match level {
        Level::ERROR => "\x1b[31m",
        Level::WARN => "\x1b[33m",
        Level::INFO => "\x1b[32m",
        Level::DEBUG => "\x1b[34m",
        Level::TRACE => "\x1b[35m",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const AT: &str = "2026-11-30T10:00:00.000000Z";

    fn said(message: &str, fields: &[(&str, Value)]) -> Said {
        let mut said = Said::plain(message);
        for (name, value) in fields {
            said.put(name, value.clone());
        }
        said
    }

    #[test]
    fn a_person_reads_a_sentence_and_what_belongs_to_it() {
        let said = said(
            "a viewer is there",
            &[("session", "show".into()), ("player", "a b".into()), ("ms", 5.into())],
        );
        let line = text(AT, Level::INFO, "egress::state", &said, false);
        assert_eq!(
            line,
            format!("{AT}  INFO egress::state: a viewer is there session=show player=\"a b\" ms=5\n")
        );
    }

    #[test]
    fn a_program_reads_an_object() {
        let fields = [("session", "show".into()), ("ms", 5.into()), ("level", "mine".into())];
        let node = [("node_id", "egress-1".to_owned())];
        let line = json(AT, Level::WARN, "egress", &said("a \"word\"", &fields), &node);
        let read: Value = serde_json::from_str(&line).unwrap();
        let wanted = serde_json::json!({
            "timestamp": AT, "level": "WARN", "target": "egress", "message": "a \"word\"", "node_id": "egress-1",
            "session": "show", "ms": 5,
        });
        assert_eq!(read, wanted);
        assert!(line.ends_with("}\n"), "{line}");
    }

    #[test]
    fn nothing_from_the_wire_ends_a_line_or_moves_a_cursor() {
        let nasty = "a\r\nFAKE\u{1b}[2J\u{9b}31m\u{202e}b\u{2028}\0\u{7f}ü";
        let said = said(nasty, &[("name", nasty.into())]);
        let line = text(AT, Level::INFO, nasty, &said, false);
        let shown = r"a\r\nFAKE\u001b[2J\u009b31m\u202eb\u2028\u0000\u007fü";
        assert!(line.contains(&format!("{shown}: {shown} name={shown}\n")), "{line}");
        let line = json(AT, Level::INFO, nasty, &said, &[]);
        assert!(!line.trim_end_matches('\n').contains(is_unseen), "{line}");
        let read: Value = serde_json::from_str(&line).unwrap();
        assert_eq!((&read["message"], &read["name"]), (&nasty.into(), &nasty.into()), "it reads as it was");
    }

    #[test]
    fn what_other_crates_log_says_where_it_is_from() {
        let said = said("m", &[("log.target", "redis".into()), ("log.line", 3.into())]);
        assert_eq!(said.target("log"), "redis");
        assert!(said.fields.is_empty());
    }
}
