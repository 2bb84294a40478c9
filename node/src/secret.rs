//! Passwords and tokens: never shown, compared in constant time, read from files.

use std::fmt;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use serde::Deserialize;
use subtle::ConstantTimeEq;

/// Why a file holds no secret. Each names the setting and the file that it points to.
#[derive(Debug, thiserror::Error)]
pub enum SecretError {
    /// It cannot be read.
    #[error("cannot read {0}: {1}")]
    Unreadable(String, std::io::Error),
    /// There is nothing in it.
    #[error("{0} is empty; write the secret into it, nothing else")]
    Empty(String),
    /// It is not clear which of its lines is the secret.
    #[error("{0} has several lines; write the secret into one")]
    SeveralLines(String),
}

/// A text that no log, status or error shows.
#[derive(Clone, PartialEq, Eq, Deserialize)]
#[serde(transparent)]
pub struct Secret(String);

impl Secret {
    /// Wraps it.
    pub fn new(text: impl Into<String>) -> Secret {
        Secret(text.into())
    }

    /// The text itself, for those who need it on the wire.
    pub fn reveal(&self) -> &str {
        &self.0
    }

    /// Whether a peer knows it. How long that takes tells at most how long the secret is.
    pub fn is(&self, claimed: &[u8]) -> bool {
        self.0.as_bytes().ct_eq(claimed).into()
    }

    /// Reads a file that has nothing else in it; the line's end is not part of it. `what`: the setting that names the
    /// file. Gives a warning besides when everybody on the machine can read the file, too.
    pub fn read(what: &str, path: &Path) -> Result<(Secret, Option<String>), SecretError> {
        let at = path.display();
        let file = || format!("{what} {at}");
        let text = std::fs::read_to_string(path).map_err(|why| SecretError::Unreadable(file(), why))?;
        let text = text.trim_end_matches(['\r', '\n']);
        if text.is_empty() {
            return Err(SecretError::Empty(file()));
        }
        if text.contains(['\r', '\n']) {
            return Err(SecretError::SeveralLines(file()));
        }
        let warning =
            open_to_all(path).then(|| format!("{what} {at} can be read by everybody here; `chmod 600 {at}`"));
        Ok((Secret::new(text), warning))
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("(secret)")
    }
}

impl From<String> for Secret {
    fn from(text: String) -> Secret {
        Secret(text)
    }
}

/// Whether every user of the machine may read a file.
pub fn open_to_all(path: &Path) -> bool {
    std::fs::metadata(path).is_ok_and(|metadata| metadata.permissions().mode() & 0o004 != 0)
}

/// A text that quotes what was typed, such as an error of the command line's parser, without what stands before the `@`
/// of an address in it.
pub fn redacted(text: &str) -> String {
    let mut rest = text;
    let mut kept = String::with_capacity(text.len());
    while let Some(at) = rest.find("://") {
        let (before, after) = rest.split_at(at + 3);
        kept.push_str(before);
        let end = after.find(char::is_whitespace).unwrap_or(after.len());
        rest = match after[..end].rfind('@') {
            Some(host) => {
                kept.push('…');
                &after[host..]
            }
            None => after,
        };
    }
    kept + rest
}

#[cfg(test)]
mod tests {
    use std::fs::{Permissions, set_permissions, write};

    use super::*;

    #[test]
    fn it_is_not_shown_and_is_what_it_is() {
        let secret = Secret::new("hunter2");
        assert_eq!(format!("{secret:?}"), "(secret)");
        assert!(secret.is(b"hunter2"));
        for wrong in ["", "hunter", "hunter3", "hunter22"] {
            assert!(!secret.is(wrong.as_bytes()), "{wrong}");
        }
    }

    #[test]
    fn a_file_is_read_without_its_last_line_end() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("token");
        for (content, mode, warned) in
            [("hunter2\n", 0o600, false), ("hunter2\r\n", 0o640, false), ("hunter2", 0o644, true)]
        {
            write(&path, content).unwrap();
            set_permissions(&path, Permissions::from_mode(mode)).unwrap();
            let (secret, warning) = Secret::read("--api-token-file", &path).unwrap();
            assert_eq!(secret.reveal(), "hunter2");
            assert_eq!(warning.is_some(), warned, "{mode:o}: {warning:?}");
            assert!(!warning.unwrap_or_default().contains("hunter2"));
        }
    }

    #[test]
    fn a_file_without_a_secret_is_refused_in_one_line_that_names_it() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("token");
        for (content, wanted) in [("", "empty"), ("\n\n", "empty"), ("a\nb\n", "several lines")] {
            write(&path, content).unwrap();
            let error = Secret::read("API_TOKEN_FILE", &path).unwrap_err().to_string();
            assert!(error.contains(wanted) && error.contains("API_TOKEN_FILE"), "{error}");
            assert!(error.contains("/token") && !error.contains('\n'), "{error}");
        }
        for unreadable in [folder.path().join("nowhere"), folder.path().to_owned()] {
            let error = Secret::read("API_TOKEN_FILE", &unreadable).unwrap_err().to_string();
            assert!(error.starts_with("cannot read API_TOKEN_FILE /"), "{error}");
        }
    }

    #[test]
    fn what_stands_before_an_at_is_not_repeated() {
        let table = [
            ("unexpected 'redis://:hunter2@h:1' found", "unexpected 'redis://…@h:1' found"),
            ("redis://u:hun@ter2@h and rediss://u:hunter2@i", "redis://…@h and rediss://…@i"),
            ("http://h/ and a@b", "http://h/ and a@b"),
        ];
        for (text, wanted) in table {
            assert_eq!(redacted(text), wanted);
        }
    }
}
