//! What a shell completes: the command line itself, and what only the machine knows: its interfaces, the relay's children.
//!
//! The script that `relay-ctl completions` prints asks this program at each Tab, by a variable; so what is completed is
//! never older than the program.

use std::io;
use std::path::Path;
use std::time::Duration;

use clap::CommandFactory;
use clap_complete::engine::CompletionCandidate;
use clap_complete::env::{CompleteEnv, Shells};
use node::cli::Failure;
use node::overview::Overview;

use super::arguments::Cli;
use crate::client::Client;
use crate::config::DEFAULT_API_PORT;
use crate::kernel::pins;
use crate::{report, view};

/// Names the shell that asks; set by the script only.
const VARIABLE: &str = "RELAY_CTL_COMPLETE";
/// Whoever waits for Tab does not wait long.
const PATIENCE: Duration = Duration::from_millis(500);

/// Answers a shell that asks for completions, and ends the program then.
pub fn answer() {
    CompleteEnv::with_factory(Cli::command).var(VARIABLE).complete();
}

/// The script for a shell.
pub fn script(shell: clap_complete::Shell) -> Result<(), Failure> {
    let name = shell.to_string();
    let shells = Shells::builtins();
    let completer =
        shells.completer(&name).ok_or_else(|| Failure::Other(format!("{name} completes nothing")))?;
    completer
        .write_registration(VARIABLE, "relay-ctl", "relay-ctl", "relay-ctl", &mut io::stdout())
        .map_err(|error| Failure::Other(format!("cannot print the script: {error}")))
}

/// Network interfaces, all that there are.
pub fn interfaces() -> Vec<CompletionCandidate> {
    let names = std::fs::read_dir("/sys/class/net").map(|entries| {
        entries.flatten().filter_map(|entry| entry.file_name().into_string().ok()).collect::<Vec<_>>()
    });
    let mut names = names.unwrap_or_default();
    names.sort();
    names.into_iter().map(CompletionCandidate::new).collect()
}

/// Children of the daemon on this host or, when none answers, those in the pinned maps.
pub fn children() -> Vec<CompletionCandidate> {
    let api = ([127, 0, 0, 1], DEFAULT_API_PORT).into();
    let asked = Client::new(api, None).patient_for(PATIENCE).get("/children");
    let found = asked.ok().or_else(|| {
        let (_, maps) = report::pinned(Path::new(pins::DEFAULT_ROOT), None).ok()?;
        Some(view::Children { children: report::children(&maps) })
    });
    let children = found.map(|found| found.children).unwrap_or_default();
    children.into_iter().map(|child| CompletionCandidate::new(child.name)).collect()
}

/// Nodes of the tree that the daemon on this host is in.
pub fn nodes() -> Vec<CompletionCandidate> {
    let api = ([127, 0, 0, 1], DEFAULT_API_PORT).into();
    let asked = Client::new(api, None).patient_for(PATIENCE).get::<Overview>("/tree");
    let nodes = asked.map(|overview| overview.nodes).unwrap_or_default();
    nodes.into_iter().map(|node| CompletionCandidate::new(node.id)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn completed(words: &[&str]) -> Vec<String> {
        let words: Vec<_> = words.iter().map(Into::into).collect();
        let last = words.len() - 1;
        let found = clap_complete::engine::complete(&mut Cli::command(), words, last, None).unwrap();
        found.into_iter().map(|found| found.get_value().to_string_lossy().into_owned()).collect()
    }

    #[test]
    fn interfaces_are_completed_where_one_is_wanted() {
        for before in [&["attach"][..], &["detach"], &["doctor"], &["status", "--interface"]] {
            let words = [&["relay-ctl"], before, &["l"]].concat();
            assert!(completed(&words).contains(&"lo".to_owned()), "{words:?}: {:?}", completed(&words));
        }
        assert!(completed(&["relay-ctl", "cap"]).contains(&"capture".to_owned()));
        assert_eq!(completed(&["relay-ctl", "tree", "dr"]), ["drain"]);
    }
}
