//! Trickled candidates: an SDP fragment (RFC 8840 section 9) as text, and how many an ICE session may have.

use std::sync::atomic::{AtomicUsize, Ordering};

use crate::http::{Classified, ErrorClass};

/// Most candidates of one ICE session. A client with many interfaces and TURN servers finds a few dozen; each one is a
/// request to Janus.
pub const MOST_CANDIDATES: usize = 64;

/// A candidate, or the end of them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Candidate {
    /// `candidate:…` (RFC 8839 section 5.1); `None`: there are no more.
    pub text: Option<String>,
    /// The medium that it is about, if it is named.
    pub mid: Option<String>,
    /// Which one that is, by its place, from 0. Media is bundled: without an m-line it is the first.
    pub line: usize,
}

/// What is in a fragment.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Fragment {
    /// ICE user names that it is about: of the session, and of media.
    pub users: Vec<String>,
    /// Their passwords, as far as they are said.
    pub passwords: Vec<String>,
    /// Candidates, as they came.
    pub candidates: Vec<Candidate>,
}

impl Fragment {
    /// Reads a fragment. An error says what is wrong with it.
    pub fn parse(text: &str) -> Result<Fragment, Trickle> {
        let mut fragment = Fragment::default();
        let (mut line_index, mut mid) = (None::<usize>, None::<&str>);
        if text.trim().is_empty() {
            return Err(Trickle::Empty);
        }
        for line in text.lines().map(str::trim).filter(|line| !line.is_empty()) {
            let (kind, value) = line
                .split_once('=')
                .filter(|(kind, _)| kind.len() == 1 && !line.chars().any(is_odd))
                .ok_or_else(|| Trickle::Malformed(quoted(line)))?;
            let here =
                |text| Candidate { text, mid: mid.map(str::to_owned), line: line_index.unwrap_or_default() };
            match (kind, value.split_once(':').unwrap_or((value, ""))) {
                ("m", _) => {
                    line_index = Some(line_index.map_or(0, |index| index + 1));
                    mid = None;
                }
                ("a", ("mid", name)) => mid = Some(name),
                ("a", ("ice-ufrag", user)) => fragment.users.push(user.to_owned()),
                ("a", ("ice-pwd", password)) => fragment.passwords.push(password.to_owned()),
                ("a", ("candidate", what)) if is_candidate(what) => {
                    fragment.candidates.push(here(Some(value.to_owned())));
                }
                ("a", ("candidate", _)) => return Err(Trickle::NoCandidate(quoted(value))),
                ("a", ("end-of-candidates", _)) => fragment.candidates.push(here(None)),
                _ => {}
            }
        }
        Ok(fragment)
    }
}

/// Whether it is a candidate, as what follows `candidate:` (RFC 8839 section 5.1). What it can be reached by is for ICE to find out;
/// a name is one of mDNS.
fn is_candidate(text: &str) -> bool {
    let number = |text: &str, range: std::ops::RangeInclusive<u32>| {
        text.bytes().all(|byte| byte.is_ascii_digit())
            && text.parse().is_ok_and(|number| range.contains(&number))
    };
    let words: Vec<&str> = text.split(' ').collect();
    let [foundation, component, transport, priority, address, port, "typ", kind, ..] = &words[..] else {
        return false;
    };
    [foundation, transport, address, kind].iter().all(|word| !word.is_empty())
        && foundation.len() <= 32
        && number(component, 1..=256)
        && number(priority, 0..=u32::MAX)
        && number(port, 0..=65_535)
}

/// A carriage return by itself would end a line for some, and not for others, as in an offer ([`crate::sdp::check_lines`]).
fn is_odd(character: char) -> bool {
    character.is_control() && character != '\t'
}

fn quoted(text: &str) -> String {
    text.escape_debug().take(40).collect()
}

/// Why candidates are not taken.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Trickle {
    /// It is no fragment.
    #[error("'{0}' is no line of an SDP fragment (RFC 8840)")]
    Malformed(String),
    /// There is nothing in it.
    #[error("the body is empty; send an SDP fragment with candidates (RFC 8840)")]
    Empty,
    /// A line that says that it is a candidate, and is none.
    #[error("'{0}' is no candidate (RFC 8839 section 5.1)")]
    NoCandidate(String),
    /// It is about another ICE session.
    #[error("this is about another ICE session; begin again with a POST")]
    Restart,
    /// There have been enough.
    #[error("more than {MOST_CANDIDATES} candidates; send those that are of use, or begin again with a POST")]
    TooMany,
}

impl Classified for Trickle {
    fn class(&self) -> ErrorClass {
        match self {
            Trickle::Malformed(_) | Trickle::Empty | Trickle::NoCandidate(_) => ErrorClass::BadInput,
            // RFC 9725 section 4.3.3.
            Trickle::Restart => ErrorClass::Unsupported,
            Trickle::TooMany => ErrorClass::TooLarge,
        }
    }
}

/// What a client that restarts ICE is known by from now on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Restart {
    /// `a=ice-ufrag`
    pub user: String,
    /// `a=ice-pwd`
    pub password: String,
}

/// A client's ICE session, as far as trickled candidates are about it.
#[derive(Debug, Default)]
pub struct IceSession {
    /// The client's user names, as a rule one for all media; none while it has not answered our offer.
    users: Vec<String>,
    taken: AtomicUsize,
}

impl IceSession {
    /// Of a client with these ICE user names (`a=ice-ufrag`). None: they are not known yet, and fragments may name any.
    pub fn new(users: Vec<String>) -> IceSession {
        IceSession { users, taken: AtomicUsize::new(0) }
    }

    /// What a fragment asks for, if it begins another ICE session (RFC 9725 section 4.3.3): it names one other user, and its
    /// password. Candidates in it are that session's.
    pub fn restart(&self, text: &str) -> Result<Option<Restart>, Trickle> {
        let Fragment { mut users, mut passwords, .. } = Fragment::parse(text)?;
        users.dedup();
        passwords.dedup();
        let ([user], [password]) = (&*users, &*passwords) else { return Ok(None) };
        let is_other = !self.users.is_empty() && !self.users.contains(user);
        Ok(is_other.then(|| Restart { user: user.clone(), password: password.clone() }))
    }

    /// The candidates in a fragment, to be passed on; all of them, or none.
    pub fn take(&self, text: &str) -> Result<Vec<Candidate>, Trickle> {
        let fragment = Fragment::parse(text)?;
        if !self.users.is_empty() && fragment.users.iter().any(|user| !self.users.contains(user)) {
            return Err(Trickle::Restart);
        }
        let count = fragment.candidates.len();
        let counted = self.taken.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |taken| {
            Some(taken.saturating_add(count)).filter(|taken| *taken <= MOST_CANDIDATES)
        });
        counted.map_err(|_| Trickle::TooMany)?;
        Ok(fragment.candidates)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn candidates(count: usize) -> String {
        (0..count).map(|n| format!("a=candidate:{n} 1 udp 1 10.0.0.1 9 typ host\r\n")).collect()
    }

    #[test]
    fn a_line_has_no_end_within() {
        for odd in ["\r", "\0", "\u{85}"] {
            let text = format!("a=candidate:1 1 udp 1 10.0.0.1 9 typ host{odd}a=end-of-candidates\r\n");
            assert!(matches!(Fragment::parse(&text), Err(Trickle::Malformed(_))), "{text:?}");
        }
    }

    #[test]
    fn candidates_name_their_medium() {
        let text = "a=ice-ufrag:abcd\r\na=ice-pwd:x\r\nm=audio 9 UDP/TLS/RTP/SAVPF 0\r\na=mid:audio1\r\n\
                    a=candidate:1 1 udp 1 10.0.0.1 9 typ host\r\nm=video 9 X 0\r\na=end-of-candidates\r\n";
        let fragment = Fragment::parse(text).unwrap();
        assert_eq!(fragment.users, ["abcd"]);
        let first = Candidate {
            text: Some("candidate:1 1 udp 1 10.0.0.1 9 typ host".to_owned()),
            mid: Some("audio1".to_owned()),
            line: 0,
        };
        assert_eq!(fragment.candidates, [first, Candidate { text: None, mid: None, line: 1 }]);
        assert_eq!(Fragment::parse(" \r\n"), Err(Trickle::Empty));
        assert_eq!(Fragment::parse("hello"), Err(Trickle::Malformed("hello".to_owned())));
    }

    #[test]
    fn a_candidate_is_one() {
        let good = [
            "1 1 udp 2113937151 10.0.0.1 40000 typ host",
            "842163049 1 UDP 1677729535 203.0.113.7 3478 typ srflx raddr 10.0.0.1 rport 40000 generation 0",
            "0 1 tcp 2105458943 fd00::1 9 typ host tcptype active",
            "a+/ 1 udp 1 0d1e0c5e-4c1f-4b3a-9c5a-5d4b0a1f2e3d.local 5000 typ host ufrag abcd network-cost 999",
        ];
        for text in good {
            let fragment = Fragment::parse(&format!("a=candidate:{text}\r\n")).unwrap();
            assert_eq!(fragment.candidates[0].text, Some(format!("candidate:{text}")));
        }
        let bad = [
            "",
            "nonsense",
            "1 1 udp 1 10.0.0.1 9",
            "1 1 udp 1 10.0.0.1 9 host",
            "1 x udp 1 10.0.0.1 9 typ host",
            "1 0 udp 1 10.0.0.1 9 typ host",
            "1 1 udp -1 10.0.0.1 9 typ host",
            "1 1 udp 1 10.0.0.1 65536 typ host",
            "1 1 udp 1  9 typ host",
            "1 1 udp 4294967296 10.0.0.1 9 typ host",
            "1 1 udp 1 10.0.0.1 9 typ ",
            "1 1 udp 1 10.0.0.1 +9 typ host",
        ];
        for text in bad {
            let taken = Fragment::parse(&format!("a=candidate:{text}\r\n"));
            assert!(matches!(taken, Err(Trickle::NoCandidate(_))), "{text}: {taken:?}");
        }
        let first = "a=candidate:1 1 udp 1 10.0.0.1 9 typ host\r\na=candidate:nonsense";
        assert!(IceSession::default().take(first).is_err(), "all of them, or none");
    }

    #[test]
    fn a_session_takes_some_dozens_and_no_more() {
        let ice = IceSession::new(vec!["abcd".to_owned()]);
        assert_eq!(ice.take(&candidates(MOST_CANDIDATES + 1)), Err(Trickle::TooMany));
        assert_eq!(ice.take(&candidates(40)).unwrap().len(), 40, "what was refused is not counted");
        assert_eq!(ice.take(&candidates(30)), Err(Trickle::TooMany));
        assert_eq!(ice.take(&candidates(24)).unwrap().len(), 24);
        assert_eq!(ice.take("a=end-of-candidates"), Err(Trickle::TooMany));
    }

    #[test]
    fn another_user_is_a_restart_wherever_it_stands() {
        let ice = IceSession::new(vec!["abcd".to_owned()]);
        assert_eq!(ice.take("a=ice-ufrag:abcd\r\nm=audio 9 X 0\r\na=ice-ufrag:abcd"), Ok(Vec::new()));
        for text in ["a=ice-ufrag:efgh", "a=ice-ufrag:abcd\r\nm=video 9 X 0\r\na=ice-ufrag:efgh"] {
            assert_eq!(ice.take(text), Err(Trickle::Restart), "{text}");
        }
        // Who has not answered yet may be anybody.
        assert_eq!(IceSession::default().take("a=ice-ufrag:efgh"), Ok(Vec::new()));
    }

    #[test]
    fn a_restart_is_one_other_user_with_its_password() {
        let ice = IceSession::new(vec!["abcd".to_owned()]);
        let whole = "a=ice-ufrag:efgh\r\na=ice-pwd:secret\r\nm=audio 9 X 0\r\na=mid:0\r\n";
        let restart = Restart { user: "efgh".to_owned(), password: "secret".to_owned() };
        for text in [whole, &whole.repeat(2)] {
            assert_eq!(ice.restart(text), Ok(Some(restart.clone())), "{text}");
        }
        let table = [
            whole.replace("efgh", "abcd"),
            whole.replace("a=ice-pwd:secret\r\n", ""),
            format!("{whole}a=ice-ufrag:abcd\r\n"),
            format!("{whole}a=ice-pwd:other\r\n"),
        ];
        for text in table {
            assert_eq!(ice.restart(&text), Ok(None), "{text}");
        }
        assert_eq!(IceSession::default().restart(whole), Ok(None), "it has not begun yet");
        assert!(ice.restart("hello").is_err());
        assert_eq!(ice.restart(""), Err(Trickle::Empty));
    }

    proptest! {
        #[test]
        fn noise_harms_nobody(text in "\\PC{0,200}") {
            let _ = IceSession::new(vec!["abcd".to_owned()]).restart(&text);
            let _ = IceSession::default().take(&text);
        }
    }
}
