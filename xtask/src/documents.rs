//! The documents name files and commands; what was moved or renamed makes a document wrong. Tests only.

mod commands;

use std::collections::BTreeSet;
use std::path::Path;

use crate::sh;

/// What looks like a path in code style: begins with a folder or file of the root, has no blanks and no stand-ins.
fn paths(text: &str, root: &BTreeSet<String>) -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    for (n, quoted) in text.split('`').enumerate() {
        if n % 2 == 1 && !quoted.contains(char::is_whitespace) {
            found.extend(expanded(quoted));
        }
    }
    let is_path = |path: &String| {
        let first = path.split('/').next().unwrap_or_default();
        path.contains('/') && root.contains(first) && !path.contains(['*', '<', '$', '…'])
    };
    found.retain(is_path);
    found
}

/// `a/{b,c}` is two.
fn expanded(path: &str) -> Vec<String> {
    match path.split_once('{').and_then(|(head, rest)| Some((head, rest.split_once('}')?))) {
        Some((head, (names, tail))) => names.split(',').map(|name| format!("{head}{name}{tail}")).collect(),
        None => vec![path.to_owned()],
    }
}

/// Targets of links within the repository.
fn links(text: &str) -> BTreeSet<String> {
    let targets = text.split("](").skip(1).filter_map(|rest| rest.split_once(')')).map(|(target, _)| target);
    let own = targets.filter(|target| !target.contains("://") && !target.starts_with('#'));
    own.map(|target| target.split('#').next().unwrap_or_default().to_owned()).collect()
}

/// A module may be a file or a folder, and documents leave the ending out.
fn exists(path: &Path) -> bool {
    path.exists() || path.with_extension("rs").is_file()
}

fn names(folder: &Path) -> BTreeSet<String> {
    let entries = std::fs::read_dir(folder).unwrap().flatten();
    entries.map(|entry| entry.file_name().into_string().unwrap()).collect()
}

/// All of them: their paths from the root, and what they say.
fn documents() -> Vec<(String, String)> {
    let root = sh::workspace_root();
    let mut documents: Vec<String> =
        ["README.md", "ARCHITECTURE.md", "CONTRIBUTING.md", "CHANGELOG.md"].map(str::to_owned).into();
    documents.extend(names(&root.join("docs")).into_iter().map(|name| format!("docs/{name}")));
    documents.extend(names(&root).iter().map(|name| format!("{name}/README.md")));
    let text = |document: String| Some((std::fs::read_to_string(root.join(&document)).ok()?, document));
    documents.into_iter().filter_map(text).map(|(text, document)| (document, text)).collect()
}

#[test]
fn every_file_that_a_document_names_is_there() {
    let root = sh::workspace_root();
    let top = names(&root);
    let mut gone = Vec::new();
    let mut seen = 0;
    for (document, text) in documents() {
        let beside = Path::new(&document).parent().unwrap();
        // From the root or, in a crate's own README, from its folder. What is made by building is not there before.
        let from_root = paths(&text, &top).into_iter().filter(|path| !path.starts_with("target/"));
        let quoted = from_root.map(|path| root.join(path));
        let folder = root.join(beside);
        let own = if beside == Path::new("") { BTreeSet::new() } else { paths(&text, &names(&folder)) };
        let quoted = quoted.chain(own.into_iter().map(|path| folder.join(path)));
        for path in quoted.chain(links(&text).into_iter().map(|path| root.join(beside).join(path))) {
            seen += 1;
            if !exists(&path) {
                gone.push(format!("{document}: {}", path.display()));
            }
        }
    }
    assert!(seen > 80, "the documents name many files, and {seen} were found");
    assert!(gone.is_empty(), "not there any more:\n{}", gone.join("\n"));
}

#[test]
fn paths_are_told_from_other_words() {
    let root = ["node", "docs"].map(str::to_owned).into();
    let text =
        "`node/src/{a,b}.rs`, `docs/x.md`, `/sys/fs/bpf`, `cargo test -p node/x`, `node:{id}`, `docs/*.svg`";
    let wanted = ["node/src/a.rs", "node/src/b.rs", "docs/x.md"].map(str::to_owned).into();
    assert_eq!(paths(text, &root), wanted);
    let links = links("[a](docs/a.md), [b](../b.md#c), [d](https://d.example/e), [f](#g)");
    assert_eq!(links, ["docs/a.md", "../b.md"].map(str::to_owned).into());
}
