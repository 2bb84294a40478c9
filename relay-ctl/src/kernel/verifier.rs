//! What the verifier is asked, and what its refusals mean.

use std::io::ErrorKind;

use aya::VerifierLogLevel;
use aya::programs::ProgramError;

use super::KernelError;

/// What is asked of the verifier: why it refuses and how far it came, in a few lines. Its whole log is larger than any
/// buffer on kernels before 6.4, which then refuse the program for that, and aya would have it verified again and again.
pub const VERIFIER_LOG: VerifierLogLevel = VerifierLogLevel::STATS;

/// Loads a program. The verifier gives up with EAGAIN when the thread is signalled, and libbpf then tries up to five
/// times; aya does not.
pub fn retry(mut load: impl FnMut() -> Result<(), ProgramError>) -> Result<(), ProgramError> {
    for _ in 1..5 {
        match load() {
            Err(ProgramError::LoadError { io_error, .. }) if io_error.kind() == ErrorKind::WouldBlock => {}
            result => return result,
        }
    }
    load()
}

/// Gives a program error its program's name.
pub fn of(program: &'static str) -> impl Fn(ProgramError) -> KernelError {
    move |source| match source {
        ProgramError::LoadError { io_error, verifier_log } => {
            KernelError::Refused { program, source: io_error, log: last_lines(&verifier_log.to_string()) }
        }
        source => KernelError::Program { program, source },
    }
}

/// The end of the verifier's log, where it says what it does not like, as one line.
fn last_lines(log: &str) -> String {
    const LINES: usize = 3;
    let lines: Vec<&str> = log.lines().map(str::trim).filter(|line| !line.is_empty()).collect();
    // Statistics come last; the complaint is before them.
    let complaint: Vec<&str> = lines
        .iter()
        .copied()
        .filter(|line| {
            !["verification time", "stack depth", "processed "].iter().any(|s| line.starts_with(s))
        })
        .collect();
    let shown = if complaint.is_empty() { &lines } else { &complaint };
    shown[shown.len().saturating_sub(LINES)..].join("; ")
}

#[cfg(test)]
mod tests {
    use super::last_lines;

    #[test]
    fn the_verifiers_complaint_is_what_is_shown_of_its_log() {
        let log = "BPF program is too large. Processed 1000001 insn\n\
                   verification time 900000 usec\nstack depth 336+0\n\
                   processed 1000001 insns (limit 1000000) max_states_per_insn 34\n";
        assert_eq!(last_lines(log), "BPF program is too large. Processed 1000001 insn");
        assert_eq!(last_lines("a\nb\nc\n\nd\n"), "b; c; d");
        assert_eq!(last_lines("processed 7 insns"), "processed 7 insns");
        assert_eq!(last_lines(""), "");
    }
}
