//! [`Json`]: just enough of it to read what the programs under test print.

use std::collections::BTreeMap;
use std::ops::Index;
use std::str::FromStr;

use anyhow::{Context, Error, Result, bail, ensure};

/// A JSON value.
#[derive(Clone, Debug, Default, PartialEq)]
pub enum Json {
    /// `null`, and whatever is not there.
    #[default]
    Null,
    /// `true` or `false`.
    Bool(bool),
    /// Any number; counters are exact up to 2^53.
    Number(f64),
    /// A string.
    Text(String),
    /// `[…]`
    List(Vec<Json>),
    /// `{…}`
    Object(BTreeMap<String, Json>),
}

static NULL: Json = Json::Null;

impl Json {
    /// A number; 0 for anything else.
    pub fn number(&self) -> u64 {
        if let Json::Number(number) = self { *number as u64 } else { 0 }
    }

    /// A string; empty for anything else.
    pub fn text(&self) -> &str {
        if let Json::Text(text) = self { text } else { "" }
    }

    /// A list; empty for anything else.
    pub fn list(&self) -> &[Json] {
        if let Json::List(list) = self { list } else { &[] }
    }
}

impl Index<&str> for Json {
    type Output = Json;

    fn index(&self, key: &str) -> &Json {
        if let Json::Object(object) = self { object.get(key).unwrap_or(&NULL) } else { &NULL }
    }
}

impl FromStr for Json {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let mut reader = Reader { rest: text };
        let value = reader.value()?;
        ensure!(reader.rest.trim_start().is_empty(), "something after the JSON: {}", reader.rest);
        Ok(value)
    }
}

struct Reader<'a> {
    rest: &'a str,
}

impl Reader<'_> {
    fn value(&mut self) -> Result<Json> {
        if self.eat("{") {
            return Ok(Json::Object(self.items("}", |reader| {
                let Json::Text(key) = reader.value()? else { bail!("a key that is not a string") };
                ensure!(reader.eat(":"), "no `:` after the key {key}");
                Ok((key, reader.value()?))
            })?));
        }
        if self.eat("[") {
            return Ok(Json::List(self.items("]", Self::value)?));
        }
        if self.eat("\"") {
            return self.string();
        }
        for (word, value) in [("null", Json::Null), ("true", Json::Bool(true)), ("false", Json::Bool(false))]
        {
            if self.eat(word) {
                return Ok(value);
            }
        }
        let end = self.rest.find([',', ']', '}']).unwrap_or(self.rest.len());
        let (number, rest) = self.rest.split_at(end);
        self.rest = rest;
        Ok(Json::Number(number.trim().parse().with_context(|| format!("not JSON: `{number}`"))?))
    }

    fn items<T, C: FromIterator<T>>(
        &mut self,
        end: &str,
        mut item: impl FnMut(&mut Self) -> Result<T>,
    ) -> Result<C> {
        let mut items = Vec::new();
        while !self.eat(end) {
            ensure!(items.is_empty() || self.eat(","), "no `,` or `{end}` at `{:.20}`", self.rest);
            items.push(item(self)?);
        }
        Ok(items.into_iter().collect())
    }

    fn string(&mut self) -> Result<Json> {
        let mut text = String::new();
        let mut characters = self.rest.chars();
        loop {
            match characters.next().context("an unfinished string")? {
                '"' => break,
                '\\' => match characters.next().context("an unfinished string")? {
                    'n' => text.push('\n'),
                    't' => text.push('\t'),
                    'u' => {
                        let code: String = characters.by_ref().take(4).collect();
                        text.push(
                            u32::from_str_radix(&code, 16).ok().and_then(char::from_u32).unwrap_or('?'),
                        );
                    }
                    other => text.push(other),
                },
                other => text.push(other),
            }
        }
        self.rest = characters.as_str();
        Ok(Json::Text(text))
    }

    fn eat(&mut self, token: &str) -> bool {
        self.rest = self.rest.trim_start();
        let found = self.rest.strip_prefix(token);
        self.rest = found.unwrap_or(self.rest);
        found.is_some()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn json_is_read() {
        let json: Json = r#" {"a": [1, -2.5, "x\"\u00e9"], "b": {"c": true, "d": null}, "e": [], "f": {}} "#
            .parse()
            .unwrap();
        assert_eq!(json["a"].list(), [Json::Number(1.0), Json::Number(-2.5), Json::Text("x\"é".to_owned())]);
        assert_eq!((&json["b"]["c"], &json["b"]["d"]), (&Json::Bool(true), &Json::Null));
        assert_eq!((&json["e"], &json["nowhere"]["at all"]), (&Json::List(Vec::new()), &Json::Null));
        for broken in ["", "{", "[1", "[1 2]", "{1: 2}", "\"x", "x", "{} {}"] {
            assert!(broken.parse::<Json>().is_err(), "{broken}");
        }
    }
}
