//! `cargo xtask man`: man pages and completions of the programs, written by the programs themselves.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result};

use crate::packages::{self, Need};
use crate::{progress, sh};

/// The programs, and how each is asked for its completions.
const PROGRAMS: [(&str, &str); 3] =
    [("relay-ctl", "completions"), ("injection", "--completions"), ("egress", "--completions")];
const SHELLS: [&str; 3] = ["bash", "zsh", "fish"];

/// What a program's file is called where the shell looks for it.
fn file_name(shell: &str, program: &str) -> String {
    match shell {
        "zsh" => format!("_{program}"),
        "fish" => format!("{program}.fish"),
        _ => program.to_owned(),
    }
}

/// Writes `man1/*.1` and `completions/{bash,zsh,fish}/*` to a folder, by default `target/documents`.
pub fn run(to: Option<PathBuf>) -> Result<()> {
    packages::install(&[Need::Nodes])?;
    let root = sh::workspace_root();
    let mut build = Command::new("cargo");
    build.current_dir(&root).args(["build", "--locked", "--bins"]);
    build.args(PROGRAMS.map(|(name, _)| format!("--package={name}")));
    progress::cargo("the programs", &mut build)?;
    let to = to.unwrap_or_else(|| root.join("target/documents"));
    for (name, completions) in PROGRAMS {
        let program = root.join("target/debug").join(name);
        sh::run(name, Command::new(&program).arg("--write-man").arg(to.join("man1")))?;
        for shell in SHELLS {
            let script = sh::output_of(Command::new(&program).args([completions, shell]))
                .with_context(|| format!("`{name} {completions} {shell}` failed"))?;
            write(&to.join("completions").join(shell), &file_name(shell, name), &script)?;
        }
    }
    sh::say(format!("man pages and completions are in {}", to.display()));
    Ok(())
}

fn write(folder: &Path, name: &str, text: &str) -> Result<()> {
    let file = folder.join(name);
    std::fs::create_dir_all(folder)
        .and_then(|()| std::fs::write(&file, text))
        .with_context(|| format!("cannot write {}", file.display()))
}
