//! The configuration file, TOML.

use std::collections::BTreeMap;
use std::fmt;
use std::path::{Path, PathBuf};

use toml::{Spanned, Value};

use super::{ConfigError, bad};
use crate::secret::open_to_all;

/// What a file says: keys and values, which are texts as if they had come from the environment.
#[derive(Clone, Default)]
pub struct File {
    keys: BTreeMap<String, Entry>,
    path: PathBuf,
    /// The file itself, if every user of the machine can read it.
    pub open_to_all: Option<PathBuf>,
}

#[derive(Clone)]
struct Entry {
    line: usize,
    values: Vec<String>,
    is_list: bool,
}

/// Which keys there are, and not what they say: that may be a password.
impl fmt::Debug for File {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.keys.keys()).finish()
    }
}

impl File {
    /// Reads a file; an error names file and line. `what`: the setting that names the file.
    pub fn read(what: &str, path: &Path) -> Result<File, ConfigError> {
        let text = std::fs::read_to_string(path)
            .map_err(|error| ConfigError(format!("cannot read {what} {}: {error}", path.display())))?;
        let mut file = File::parse(&text, path)?;
        file.open_to_all = open_to_all(path).then(|| path.to_owned());
        Ok(file)
    }

    /// What a text says that is in a file at `path`.
    pub fn parse(text: &str, path: &Path) -> Result<File, ConfigError> {
        let line = |start: usize| text[..start].matches('\n').count() + 1;
        let at = |start: usize, why: &str| {
            ConfigError(format!("{} line {}: {}", path.display(), line(start), why.replace('\n', "; ")))
        };
        let entries: BTreeMap<Spanned<String>, Spanned<Value>> = toml::from_str(text)
            .map_err(|error| at(error.span().map_or(0, |span| span.start), error.message()))?;
        let mut keys = BTreeMap::new();
        for (key, value) in entries {
            let start = key.span().start;
            let wrong = |why: &str| at(start, &format!("{}: {why}", key.as_ref()));
            let (values, is_list) = match value.into_inner() {
                Value::Array(values) => (values.into_iter().map(text_of).collect(), true),
                value => (text_of(value).map(|text| vec![text]), false),
            };
            let values = values.ok_or_else(|| wrong("must be text, a number, or a list of texts"))?;
            keys.insert(key.into_inner(), Entry { line: line(start), values, is_list });
        }
        Ok(File { keys, path: path.to_owned(), open_to_all: None })
    }

    /// What one key says.
    pub(super) fn get(&self, key: &str, list: bool) -> Result<Option<Vec<String>>, ConfigError> {
        let Some(entry) = self.keys.get(key) else { return Ok(None) };
        if entry.is_list && !list {
            return bad(format!(
                "{} line {}: {key} is one value, not a list",
                self.path.display(),
                entry.line
            ));
        }
        Ok(Some(entry.values.clone()))
    }

    /// A key with a typing error must not go unnoticed.
    pub(super) fn refuse_unknown(&self, is_known: impl Fn(&str) -> bool) -> Result<(), ConfigError> {
        match self.keys.iter().filter(|(key, _)| !is_known(key)).min_by_key(|(_, entry)| entry.line) {
            None => Ok(()),
            Some((key, entry)) => bad(format!(
                "{} line {}: there is no setting '{}'; see docs/settings.md",
                self.path.display(),
                entry.line,
                key.escape_debug()
            )),
        }
    }
}

fn text_of(value: Value) -> Option<String> {
    match value {
        Value::String(text) => Some(text),
        Value::Integer(number) => Some(number.to_string()),
        Value::Float(number) => Some(number.to_string()),
        _ => None,
    }
}
