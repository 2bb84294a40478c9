//! What a program says of itself to a shell and to `man`: completions and man pages, made from its command line.

use std::ffi::OsString;
use std::path::Path;
use std::process::ExitCode;

use clap::{Arg, ArgMatches, Command, value_parser};
use clap_complete::Shell;

const COMPLETIONS: &str = "completions";
/// For those who make packages; no option of a program that runs.
const WRITE_MAN: &str = "--write-man";

/// A program prints its completions by `--completions SHELL`, unless it has a command for it.
pub fn with_completions(command: Command) -> Command {
    if command.find_subcommand(COMPLETIONS).is_some() {
        return command;
    }
    command.arg(
        Arg::new(COMPLETIONS)
            .long(COMPLETIONS)
            .value_name("SHELL")
            .value_parser(value_parser!(Shell))
            .exclusive(true)
            .help("Print a completion script for a shell"),
    )
}

/// The shell that completions were asked for.
pub fn shell(matches: &ArgMatches) -> Option<Shell> {
    matches.try_get_one::<Shell>(COMPLETIONS).ok().flatten().copied()
}

/// Prints them.
pub fn print_completions(shell: Shell, mut command: Command) -> ExitCode {
    let name = command.get_name().to_owned();
    clap_complete::generate(shell, &mut command, name, &mut std::io::stdout());
    ExitCode::SUCCESS
}

/// The folder of `PROGRAM --write-man FOLDER`.
pub fn man_folder(arguments: &[OsString]) -> Option<&Path> {
    match arguments {
        [_, flag, folder] if flag == WRITE_MAN => Some(Path::new(folder)),
        _ => None,
    }
}

/// Writes `NAME.1`, and a page for each command. An error says which folder could not be written to.
pub fn write_man(command: Command, folder: &Path) -> Result<(), String> {
    let written = std::fs::create_dir_all(folder).and_then(|()| clap_mangen::generate_to(command, folder));
    written.map_err(|error| format!("cannot write man pages to {}: {error}", folder.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn program() -> Command {
        with_completions(
            Command::new("program").about("Does it").arg(Arg::new("api").long("api").required(true)),
        )
    }

    #[test]
    fn completions_are_asked_for_by_themselves() {
        let asked =
            |arguments: &[&str]| program().try_get_matches_from(arguments).map(|matches| shell(&matches));
        assert_eq!(asked(&["program", "--completions", "zsh"]).unwrap(), Some(Shell::Zsh));
        assert_eq!(asked(&["program", "--api", "x"]).unwrap(), None);
        assert!(asked(&["program", "--completions", "zsh", "--api", "x"]).is_err());
        assert!(asked(&["program", "--completions", "cmd"]).is_err());
        let of = |command: &'static str, arguments: &[&str]| {
            let program = with_completions(Command::new("program").subcommand(Command::new(command)));
            program.try_get_matches_from(arguments).map(|matches| shell(&matches))
        };
        assert_eq!(of("doctor", &["program", "doctor"]).unwrap(), None);
        assert_eq!(of("doctor", &["program", "--completions", "zsh"]).unwrap(), Some(Shell::Zsh));
        assert!(of("completions", &["program", "--completions", "zsh"]).is_err(), "it has a command for it");
    }

    #[test]
    fn every_command_has_a_page() {
        let folder = tempfile::tempdir().unwrap();
        let command = Command::new("program").subcommand(Command::new("run").about("Runs it"));
        write_man(command, &folder.path().join("man1")).unwrap();
        for (page, words) in [("program.1", "run"), ("program-run.1", "Runs it")] {
            let text = std::fs::read_to_string(folder.path().join("man1").join(page)).unwrap();
            assert!(text.contains(words), "{page}: {text}");
        }
        assert!(
            write_man(Command::new("program"), Path::new("/proc/nowhere"))
                .unwrap_err()
                .contains("/proc/nowhere")
        );
    }

    #[test]
    fn man_pages_are_asked_for_by_nothing_else() {
        let of = |arguments: &[&str]| {
            let arguments: Vec<OsString> = arguments.iter().map(OsString::from).collect();
            man_folder(&arguments).map(Path::to_path_buf)
        };
        assert_eq!(of(&["program", "--write-man", "man1"]), Some("man1".into()));
        assert_eq!(of(&["program", "--write-man"]), None);
        assert_eq!(of(&["program", "attach", "--write-man", "man1"]), None);
    }
}
