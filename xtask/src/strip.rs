//! An eBPF object without what the kernel does not need: DWARF, and the lines of source that `.BTF.ext` names. What is left
//! changes only when the code or its types do, so that a comment more makes no other object.

use std::fs;
use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result, bail, ensure};

use crate::sh;

/// Where in the header offset and length of each part are.
const FUNCTIONS: usize = 8;
const LINES: usize = 16;
const RELOCATIONS: usize = 24;

/// Writes `object` to `to` without DWARF, without line information, and without ELF relocations of BTF, which nobody reads
/// (what they would add is in place already).
pub fn strip(objcopy: &Path, object: &Path, to: &Path) -> Result<()> {
    let section = to.with_extension("btf-ext");
    let dump = format!(".BTF.ext={}", section.display());
    // Its output has to go somewhere; it is overwritten below.
    quietly(Command::new(objcopy).args(["--dump-section", &dump]).arg(object).arg(to))?;
    let bytes = fs::read(&section).with_context(|| format!("reading {}", section.display()))?;
    fs::write(&section, without_lines(&bytes)?).with_context(|| format!("writing {}", section.display()))?;
    quietly(
        Command::new(objcopy)
            .arg("--strip-debug")
            .args(["--remove-section", ".rel.BTF", "--remove-section", ".rel.BTF.ext"])
            .args(["--update-section", &dump])
            .arg(object)
            .arg(to),
    )?;
    fs::remove_file(&section).with_context(|| format!("removing {}", section.display()))
}

/// The programs and maps of an object by name: what it is to whoever loads it.
pub fn symbols(nm: &Path, object: &Path) -> Result<Vec<String>> {
    let mut command = Command::new(nm);
    command.args(["--extern-only", "--defined-only", "--format=posix"]).arg(object);
    let text = sh::output_of(&mut command)
        .with_context(|| format!("reading the symbols of {}", object.display()))?;
    // Name and kind; where it lies and how long it is are the compiler's.
    let symbol = |line: &str| line.split(' ').take(2).collect::<Vec<_>>().join(" ");
    let mut symbols: Vec<String> = text.lines().map(symbol).collect();
    symbols.sort();
    Ok(symbols)
}

fn quietly(command: &mut Command) -> Result<()> {
    let output = command.output().with_context(|| format!("starting {}", command.get_program().display()))?;
    if !output.status.success() {
        bail!("{}: {}", command.get_program().display(), String::from_utf8_lossy(&output.stderr).trim());
    }
    Ok(())
}

/// `.BTF.ext` with functions and CO-RE relocations only.
fn without_lines(section: &[u8]) -> Result<Vec<u8>> {
    let word = |at: usize| -> Result<usize> {
        let bytes = section.get(at..at + 4).and_then(|bytes| bytes.try_into().ok());
        bytes.map(|bytes| u32::from_le_bytes(bytes) as usize).context(".BTF.ext is cut short")
    };
    ensure!(section.starts_with(&[0x9f, 0xeb, 1]), ".BTF.ext has another form than is known");
    let header = word(4)?;
    ensure!(header >= RELOCATIONS, ".BTF.ext has a short header");
    let part = |at: usize| -> Result<&[u8]> {
        let (start, length) = (header + word(at)?, word(at + 4)?);
        section.get(start..start + length).context(".BTF.ext is cut short")
    };
    let functions = part(FUNCTIONS)?;
    let relocations = if header >= RELOCATIONS + 8 { part(RELOCATIONS)? } else { &[] };
    let mut out = section[..header].to_vec();
    let mut note = |at: usize, [offset, length]: [usize; 2]| {
        out[at..at + 4].copy_from_slice(&(offset as u32).to_le_bytes());
        out[at + 4..at + 8].copy_from_slice(&(length as u32).to_le_bytes());
    };
    note(FUNCTIONS, [0, functions.len()]);
    note(LINES, [functions.len(), 0]);
    if header >= RELOCATIONS + 8 {
        note(RELOCATIONS, [functions.len(), relocations.len()]);
    }
    Ok([&out, functions, relocations].concat())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// With the header's length, then offset and length of each part.
    fn section(words: &[u32], body: &[u8]) -> Vec<u8> {
        let header = 8 + 4 * words.len() as u32;
        let mut section = vec![0x9f, 0xeb, 1, 0];
        section.extend(header.to_le_bytes());
        section.extend(words.iter().flat_map(|word| word.to_le_bytes()));
        section.extend(body);
        section
    }

    #[test]
    fn lines_go_and_the_rest_moves_up() {
        let before = section(&[0, 3, 3, 5, 8, 2], b"funLINESre");
        assert_eq!(without_lines(&before).unwrap(), section(&[0, 3, 3, 0, 3, 2], b"funre"));
    }

    #[test]
    fn a_header_without_relocations_is_known_too() {
        let before = section(&[0, 3, 3, 5], b"funLINES");
        assert_eq!(without_lines(&before).unwrap(), section(&[0, 3, 3, 0], b"fun"));
    }

    #[test]
    fn what_is_cut_short_is_an_error() {
        assert!(without_lines(&section(&[0, 3, 3, 5], b"fu")).is_err());
        assert!(without_lines(b"\x9f\xeb\x01").is_err());
        assert!(without_lines(b"ELF").is_err());
    }
}
