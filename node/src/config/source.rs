//! Where a setting came from: of flag, environment and file the first that has it.

use std::collections::BTreeMap;
use std::path::PathBuf;

use super::file::File;
use super::flags::Flags;
use super::setting::{Kind, Setting, Table};
use super::{CONFIG, ConfigError, bad};
use crate::secret::Secret;

/// Where a setting was found; what comes first wins.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Level {
    /// On the command line.
    Flag,
    /// In the environment.
    Environment,
    /// In the configuration file.
    File,
}

/// A setting that was made.
#[derive(Clone, Debug)]
pub struct Found<T> {
    /// What it is.
    pub value: T,
    /// Where it was found.
    pub level: Level,
    /// As it is called there, for those who have to mend it.
    pub name: String,
}

impl Found<String> {
    /// The value, or a line that names the setting and quotes the value, unless it could have a password in it.
    pub fn checked<T>(&self, check: impl FnOnce(&str) -> Result<T, String>) -> Result<T, ConfigError> {
        check(&self.value).map_err(|why| {
            let quoted = match self.value.contains('@') {
                true => String::new(),
                false => format!(" '{}'", self.value.escape_debug()),
            };
            ConfigError(format!("{}{quoted}: {why}", self.name))
        })
    }
}

/// Finds settings, and keeps what is worth a warning.
pub struct Settings<'a> {
    flags: BTreeMap<&'static str, Vec<String>>,
    env: &'a dyn Fn(&str) -> Option<String>,
    file: File,
    prefix: &'static str,
    /// What is allowed and probably not meant.
    pub warnings: Vec<String>,
}

impl<T: Table> Flags<T> {
    /// All that was asked for, with what is in the configuration file, if one is named.
    pub fn settings(self, env: &dyn Fn(&str) -> Option<String>) -> Result<Settings<'_>, ConfigError> {
        let file = {
            let settings = Settings::new(self.clone(), env, File::default())?;
            settings.find(&CONFIG)?.map(|found| File::read(&found.name, found.value.as_ref())).transpose()?
        };
        Settings::new(self, env, file.unwrap_or_default())
    }
}

impl<'a> Settings<'a> {
    /// `env` looks a variable up. A file with a key that the table has not is refused.
    pub fn new<T: Table>(
        flags: Flags<T>,
        env: &'a dyn Fn(&str) -> Option<String>,
        file: File,
    ) -> Result<Self, ConfigError> {
        file.refuse_unknown(|key| T::settings().any(|setting| setting.keys().any(|known| known == key)))?;
        Ok(Settings { flags: flags.into_given(), env, file, prefix: T::PREFIX, warnings: Vec::new() })
    }

    /// The setting's value, where it was made. A flag or key that is there has one.
    pub fn find(&self, setting: &Setting) -> Result<Option<Found<String>>, ConfigError> {
        let Some(Found { value, level, name }) = self.find_all(setting)? else { return Ok(None) };
        match value.into_iter().next_back() {
            Some(value) if value.trim().is_empty() => {
                bad(format!("{name} is empty; give it a value ({}) or leave it out", setting.value))
            }
            value => Ok(value.map(|value| Found { value, level, name })),
        }
    }

    /// What a setting is called where it was made, or everywhere, if it was not.
    pub fn name_of(&self, setting: &Setting) -> Result<String, ConfigError> {
        Ok(self.find(setting)?.map_or_else(|| setting.name.to_owned(), |found| found.name))
    }

    /// The same, of which there may be several.
    pub fn list(&self, setting: &Setting) -> Result<Option<Found<Vec<String>>>, ConfigError> {
        self.find_all(setting)
    }

    /// The value, checked, or what is so without it.
    pub fn get<T>(
        &self,
        setting: &Setting,
        check: impl FnOnce(&str) -> Result<T, String>,
    ) -> Result<Option<T>, ConfigError> {
        self.find(setting)?.map(|found| found.checked(check)).transpose()
    }

    /// A secret: in a variable, or in a file that a flag, a variable or the configuration names.
    pub fn secret(&mut self, setting: &Setting) -> Result<Option<Found<Secret>>, ConfigError> {
        let direct = self.variable(setting.secret_variables(), |text| vec![text])?;
        let path = self.find(setting)?;
        match (direct, path) {
            (Some(direct), Some(path)) if path.level == Level::Environment => {
                bad(format!("{} and {} are both set; one of them is enough", direct.name, path.name))
            }
            (Some(direct), Some(Found { level: Level::File, .. }) | None) => Ok(Some(Found {
                value: Secret::new(direct.value.concat()),
                level: direct.level,
                name: direct.name,
            })),
            (_, Some(path)) => {
                let (value, warning) = Secret::read(&path.name, &PathBuf::from(&path.value))?;
                self.warnings.extend(warning);
                Ok(Some(Found { value, level: path.level, name: path.name }))
            }
            (None, None) => Ok(None),
        }
    }

    /// A secret that goes into a header, such as a bearer token.
    pub fn token(&mut self, setting: &Setting) -> Result<Option<Found<Secret>>, ConfigError> {
        let token = self.secret(setting)?;
        match &token {
            Some(token) if !token.value.reveal().bytes().all(|byte| byte.is_ascii_graphic()) => {
                bad(format!("{} has blanks or special characters in it; use printable ASCII", token.name))
            }
            _ => Ok(token),
        }
    }

    /// The configuration file, if every user of the machine can read it.
    pub(super) fn open_to_all(&self) -> Option<PathBuf> {
        self.file.open_to_all.clone()
    }

    /// All values of a list that adds up: those of the file, of the environment and of flags, in this order.
    pub fn all(&self, setting: &Setting) -> Result<Vec<String>, ConfigError> {
        let levels = [self.by_key(setting)?, self.by_variable(setting)?, self.by_flag(setting)];
        Ok(levels.into_iter().flatten().flat_map(|found| found.value).collect())
    }

    fn find_all(&self, setting: &Setting) -> Result<Option<Found<Vec<String>>>, ConfigError> {
        if let Some(found) = self.by_flag(setting) {
            return Ok(Some(found));
        }
        match self.by_variable(setting)? {
            None => self.by_key(setting),
            found => Ok(found),
        }
    }

    fn by_flag(&self, setting: &Setting) -> Option<Found<Vec<String>>> {
        let mut values = self.flags.get(setting.name)?.clone();
        if matches!(setting.kind, Kind::List(_)) {
            values.retain(|value| !value.trim().is_empty());
        }
        // A list of nothing is none.
        let name = format!("--{}", setting.flag());
        (!values.is_empty()).then_some(Found { value: values, level: Level::Flag, name })
    }

    fn by_variable(&self, setting: &Setting) -> Result<Option<Found<Vec<String>>>, ConfigError> {
        self.variable(setting.variables(self.prefix), |text| match setting.kind {
            Kind::List(_) => {
                let parts = text.split(',').map(str::trim).filter(|part| !part.is_empty());
                parts.map(str::to_owned).collect()
            }
            _ => vec![text],
        })
    }

    fn by_key(&self, setting: &Setting) -> Result<Option<Found<Vec<String>>>, ConfigError> {
        let mut keys = Vec::new();
        for key in setting.keys() {
            if let Some(values) = self.file.get(key, matches!(setting.kind, Kind::List(_)))? {
                let name = format!("{key} in the configuration file");
                keys.push(Found { value: values, level: Level::File, name });
            }
        }
        one(keys)
    }

    /// The variable of those names that is set. Compose and unit files set variables to nothing rather than not at all.
    fn variable(
        &self,
        names: Vec<String>,
        split: impl Fn(String) -> Vec<String>,
    ) -> Result<Option<Found<Vec<String>>>, ConfigError> {
        let set = names.into_iter().filter_map(|name| {
            let text = (self.env)(&name).filter(|text| !text.is_empty())?;
            Some(Found { value: split(text), level: Level::Environment, name })
        });
        one(set.filter(|found| !found.value.is_empty()).collect())
    }
}

/// The first: a setting may be made by its name and by an old one, as long as they do not contradict each other.
fn one(found: Vec<Found<Vec<String>>>) -> Result<Option<Found<Vec<String>>>, ConfigError> {
    let mut found = found.into_iter();
    let Some(first) = found.next() else { return Ok(None) };
    match found.find(|other| other.value != first.value) {
        None => Ok(Some(first)),
        Some(other) => bad(format!(
            "{} and {} are the same setting and differ; leave out {}, the older name",
            first.name, other.name, other.name
        )),
    }
}
