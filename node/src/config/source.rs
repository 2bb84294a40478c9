//! Where a setting came from: of flag, environment and file the first that has it.

use std::path::PathBuf;

use super::{ConfigError, bad};
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
    pub fn checked<T>(self, check: impl Fn(&str) -> Result<T, String>) -> Result<T, ConfigError> {
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
    env: &'a dyn Fn(&str) -> Option<String>,
    /// What is allowed and probably not meant.
    pub warnings: Vec<String>,
}

impl<'a> Settings<'a> {
    /// `env` looks a variable up.
    pub fn new(env: &'a dyn Fn(&str) -> Option<String>) -> Self {
        Settings { env, warnings: Vec::new() }
    }

    /// Flag, environment or file, each with its name; a name may be empty where there is none.
    pub fn pick<T: From<String>>(
        &self,
        flag: (&str, Option<T>),
        variable: &str,
        file: (&str, Option<T>),
    ) -> Option<Found<T>> {
        let found = |(name, value): (&str, Option<T>), level, of: &str| {
            value.map(|value| Found { value, level, name: format!("{name}{of}") })
        };
        // Compose and unit files set variables to nothing rather than not at all.
        let variable = (variable, (self.env)(variable).filter(|value| !value.is_empty()).map(T::from));
        found(flag, Level::Flag, "")
            .or_else(|| found(variable, Level::Environment, ""))
            .or_else(|| found(file, Level::File, " in the configuration file"))
    }

    /// A secret: in a variable, or in a file that a flag, a variable or the configuration names.
    pub fn secret(
        &mut self,
        flag: (&str, Option<PathBuf>),
        (variable, file_variable): (&str, &str),
        file: (&str, Option<PathBuf>),
    ) -> Result<Option<Found<Secret>>, ConfigError> {
        let direct = self.pick::<String>(("", None), variable, ("", None));
        let path = self.pick::<PathBuf>(flag, file_variable, file);
        match (direct, path) {
            (Some(direct), Some(path)) if path.level == Level::Environment => {
                bad(format!("{} and {} are both set; one of them is enough", direct.name, path.name))
            }
            (Some(direct), Some(Found { level: Level::File, .. }) | None) => {
                Ok(Some(Found { value: Secret::new(direct.value), level: direct.level, name: direct.name }))
            }
            (_, Some(path)) => {
                let (value, warning) = Secret::read(&path.name, &path.value)?;
                self.warnings.extend(warning);
                Ok(Some(Found { value, level: path.level, name: path.name }))
            }
            (None, None) => Ok(None),
        }
    }
}
