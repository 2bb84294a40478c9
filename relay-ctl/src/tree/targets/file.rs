//! A file that others read whenever they like.

use std::fs;
use std::io::{self, Write};
use std::path::{Path, PathBuf};

/// What somebody else has made of it is read no further than this.
const LONGEST: u64 = 4 << 20;

/// Where the list is written.
#[derive(Clone, Debug)]
pub struct File {
    path: PathBuf,
    /// In the same folder, so that it can take the other's place at once; its name has no ending that somebody looks for.
    beside: PathBuf,
}

impl File {
    /// An error says in one line why it cannot be written there.
    pub fn new(path: &Path) -> Result<File, String> {
        let name = path.file_name().ok_or_else(|| format!("{} is no name of a file", path.display()))?;
        if path.is_dir() {
            return Err(format!("{} is a folder; name a file in it", path.display()));
        }
        let file = File {
            path: path.to_owned(),
            beside: path.with_file_name(format!(".{}.new", name.to_string_lossy())),
        };
        let tried = file.write_beside("").and_then(|()| fs::remove_file(&file.beside));
        tried.map_err(|error| file.refused(&error))?;
        Ok(file)
    }

    /// What is there; nothing if there is none.
    pub fn read(&self) -> String {
        let is_sound = fs::metadata(&self.path).is_ok_and(|file| file.is_file() && file.len() <= LONGEST);
        if is_sound { fs::read_to_string(&self.path).unwrap_or_default() } else { String::new() }
    }

    /// Replaces it: whoever reads meanwhile reads the whole old one or the whole new one.
    pub fn write(&self, text: &str) -> Result<(), String> {
        let written = self.write_beside(text).and_then(|()| fs::rename(&self.beside, &self.path));
        written.map_err(|error| self.refused(&error))
    }

    /// Into a file of its own: a link that somebody has put there is taken away, and not followed (O_EXCL in open(2)).
    fn write_beside(&self, text: &str) -> io::Result<()> {
        match fs::remove_file(&self.beside) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        fs::File::create_new(&self.beside)?.write_all(text.as_bytes())
    }

    fn refused(&self, error: &io::Error) -> String {
        format!("{} cannot be written: {error}", self.path.display())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_replaced_and_nothing_is_left_beside_it() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("tree.json");
        let file = File::new(&path).unwrap();
        assert!(!path.exists() && file.read().is_empty());
        file.write("[1]").unwrap();
        file.write("[2]").unwrap();
        assert_eq!(file.read(), "[2]");
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
    }

    #[test]
    fn what_somebody_has_put_beside_it_is_not_followed() {
        let folder = tempfile::tempdir().unwrap();
        let theirs = folder.path().join("theirs");
        fs::write(&theirs, "precious").unwrap();
        let beside = folder.path().join(".tree.json.new");
        std::os::unix::fs::symlink(&theirs, &beside).unwrap();
        let file = File::new(&folder.path().join("tree.json")).unwrap();
        std::os::unix::fs::symlink(&theirs, &beside).unwrap();
        file.write("[1]").unwrap();
        assert_eq!((file.read(), fs::read_to_string(&theirs).unwrap()), ("[1]".into(), "precious".into()));
        // What a run that was killed has left is no obstacle.
        fs::write(&beside, "[").unwrap();
        file.write("[2]").unwrap();
        assert_eq!(file.read(), "[2]");
    }

    #[test]
    fn where_it_cannot_be_is_said_at_once() {
        let folder = tempfile::tempdir().unwrap();
        for path in [folder.path().to_owned(), folder.path().join("no/tree.json"), PathBuf::from("/")] {
            let why = File::new(&path).unwrap_err();
            assert!(!why.contains('\n') && !why.is_empty(), "{why}");
        }
    }
}
