//! `doctor`: what a node needs and whether it is there, what is missing, and the command that mends it. It changes nothing.
//!
//! Here is what all kinds of node have in common: [`machine`] (ports, limits), [`redis`], [`servers`] (STUN and TURN), [`janus`]
//! (what it says of itself, without I/O).

pub mod janus;
pub mod machine;
pub mod redis;
pub mod servers;

use std::process::ExitCode;

use serde::Serialize;

use crate::cli::{Failure, printable};

/// One thing checked.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Finding {
    /// What was checked.
    pub what: String,
    /// All is well.
    pub ok: bool,
    /// Not being well costs something, but not the node.
    pub optional: bool,
    /// What was seen.
    pub seen: String,
    /// What fixes it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub fix: Option<String>,
}

impl Finding {
    /// Of something that a node cannot do without.
    pub fn needed(what: &str, result: Result<String, String>, fix: &str) -> Finding {
        Finding::new(what, result, false, fix)
    }

    /// Of something that is worth having.
    pub fn wanted(what: &str, result: Result<String, String>, fix: &str) -> Finding {
        Finding::new(what, result, true, fix)
    }

    fn new(what: &str, result: Result<String, String>, optional: bool, fix: &str) -> Finding {
        let ok = result.is_ok();
        Finding {
            what: what.to_owned(),
            ok,
            optional,
            seen: result.unwrap_or_else(|why| why),
            fix: (!ok && !fix.is_empty()).then(|| fix.to_owned()),
        }
    }
}

/// For people, a finding a line and a line for what fixes it.
pub fn text(findings: &[Finding]) -> String {
    let line = |finding: &Finding| {
        let mark = match (finding.ok, finding.optional) {
            (true, _) => "ok   ",
            (false, true) => "note ",
            (false, false) => "FAIL ",
        };
        let fix = finding.fix.as_deref().map(|fix| format!("\n     fix: {fix}")).unwrap_or_default();
        format!("{mark}{}: {}{fix}", finding.what, finding.seen)
    };
    // Servers and Redis say some of it.
    printable(&findings.iter().map(line).collect::<Vec<_>>().join("\n"))
}

/// 1 if something is missing that the node cannot do without.
pub fn verdict(findings: &[Finding]) -> ExitCode {
    let sound = findings.iter().all(|finding| finding.ok || finding.optional);
    ExitCode::from(u8::from(!sound))
}

/// Looks, prints what was found, for people or as JSON, and gives the exit code.
pub fn run(json: bool, look: impl Future<Output = Vec<Finding>>) -> Result<ExitCode, Failure> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|error| Failure::Other(format!("no runtime: {error}")))?;
    let findings = runtime.block_on(look);
    match json {
        true => {
            let text = serde_json::to_string_pretty(&findings);
            println!("{}", text.map_err(|error| Failure::Other(error.to_string()))?);
        }
        false => println!("{}", text(&findings)),
    }
    Ok(verdict(&findings))
}

/// What a configuration has in it that is allowed and probably not meant.
pub fn warnings(warnings: &[String]) -> Vec<Finding> {
    match warnings {
        [] => vec![Finding::wanted("configuration", Ok("no contradictions in it".to_owned()), "")],
        some => {
            let note = |warning: &String| Finding::wanted("configuration", Err(warning.clone()), "");
            some.iter().map(note).collect()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn people_read_what_fixes_it() {
        let findings = [
            Finding::needed("link", Err("down".to_owned()), "ip link set eth0 up"),
            Finding::wanted("buffer", Err("small".to_owned()), ""),
            Finding::needed("Redis", Ok("answers".to_owned()), "start it"),
        ];
        assert_eq!(
            text(&findings),
            "FAIL link: down\n     fix: ip link set eth0 up\nnote buffer: small\nok   Redis: answers"
        );
        assert_eq!(verdict(&findings), ExitCode::from(1));
        assert_eq!(verdict(&findings[1..]), ExitCode::SUCCESS);
    }

    #[test]
    fn what_a_server_says_of_itself_does_not_steer_the_terminal() {
        let findings = [Finding::needed("Janus", Ok("a\u{1b}[2Jb\u{9b}\r".to_owned()), "")];
        assert_eq!(text(&findings), "ok   Janus: a\u{fffd}[2Jb\u{fffd}\u{fffd}");
    }
}
