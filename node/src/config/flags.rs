//! The command line, as far as it is settings: flags made from the table of a kind of node.

use std::collections::BTreeMap;
use std::fmt;
use std::marker::PhantomData;

use clap::{ArgMatches, Command};

use super::ConfigError;
use super::setting::Table;

/// The flags that were given; `#[command(flatten)]` them. The environment is not read by clap, which would print what is
/// in it with `--help`.
#[derive(Clone)]
pub struct Flags<T> {
    given: BTreeMap<&'static str, Vec<String>>,
    table: PhantomData<T>,
}

impl<T> Default for Flags<T> {
    fn default() -> Self {
        Flags { given: BTreeMap::new(), table: PhantomData }
    }
}

/// Which were given, and not what: there may be a password in it that has no business there.
impl<T> fmt::Debug for Flags<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.given.keys()).finish()
    }
}

impl<T: Table> Flags<T> {
    /// Reads arguments that are nothing but settings.
    pub fn read<A: AsRef<str>>(arguments: &[A]) -> Result<Flags<T>, ConfigError> {
        let command = <Self as clap::Args>::augment_args(Command::new("settings").no_binary_name(true));
        let matches = command.try_get_matches_from(arguments.iter().map(AsRef::as_ref));
        matches.map(|matches| Flags::of(&matches)).map_err(|error| ConfigError(error.to_string()))
    }

    pub(super) fn into_given(self) -> BTreeMap<&'static str, Vec<String>> {
        self.given
    }

    fn of(matches: &ArgMatches) -> Flags<T> {
        let given = T::settings().filter_map(|setting| {
            let values = matches.get_many::<String>(setting.name)?;
            Some((setting.name, values.cloned().collect()))
        });
        Flags { given: given.collect(), table: PhantomData }
    }
}

impl<T: Table> clap::Args for Flags<T> {
    fn augment_args(command: Command) -> Command {
        command.args(T::settings().map(super::Setting::arg))
    }

    fn augment_args_for_update(command: Command) -> Command {
        Self::augment_args(command)
    }
}

impl<T: Table> clap::FromArgMatches for Flags<T> {
    fn from_arg_matches(matches: &ArgMatches) -> Result<Self, clap::Error> {
        Ok(Flags::of(matches))
    }

    fn update_from_arg_matches(&mut self, matches: &ArgMatches) -> Result<(), clap::Error> {
        self.given.extend(Flags::<T>::of(matches).given);
        Ok(())
    }
}
