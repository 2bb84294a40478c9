//! Connectivity checks (RFC 8445 section 7.3, RFC 8489), as an ICE-lite agent answers them, and questions of our own, by which it is
//! known that somebody is where they come from (RFC 7675). No I/O.

use std::net::SocketAddr;

use is::stun::{StunMessage, TransId};
use rand::Rng as _;

use super::drops::Reason;
use crate::hmac::Hmac;
use crate::peer::Credentials;

/// Type of a binding request.
const REQUEST: [u8; 2] = [0, 1];
/// Type of a binding indication.
const INDICATION: [u8; 2] = [0, 0x11];
/// Type of a binding request's success.
const SUCCESS: [u8; 2] = [1, 1];
/// Bytes of an answer at most: header, IPv6 address or error, integrity, fingerprint.
const ANSWER: usize = 128;
/// Bytes of a question at most: header, two user names of 256 bytes, priority, role, integrity, fingerprint.
const QUESTION: usize = 640;
/// Of a host's candidate by UDP (RFC 8445 section 5.1.2.1).
const PRIORITY: u32 = 0x7eff_ffff;

/// A binding indication: keeps a NAT's binding, and proves nothing (RFC 8445 section 11).
pub(crate) fn is_keep_alive(packet: &[u8]) -> bool {
    packet.starts_with(&INDICATION)
}

/// An answer to a question of ours, if it is one.
pub(crate) fn is_answer(packet: &[u8]) -> bool {
    packet.starts_with(&SUCCESS)
}

/// What is asked of somebody: a binding request that only who gets it can answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Question(TransId);

impl Question {
    /// One that nobody guesses.
    pub(crate) fn new() -> Question {
        // The crate's own are of a generator whose next number can be told from those before. So it is read out of a message:
        // an indication has nothing but it.
        let mut indication = [0, 0x11, 0, 0, 0x21, 0x12, 0xa4, 0x42, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0];
        rand::rng().fill(&mut indication[8..]);
        Question(read(&indication).expect("a message without attributes").trans_id())
    }

    /// As it goes out.
    pub(crate) fn bytes(self, ours: &Credentials, theirs: &Credentials) -> Option<Vec<u8>> {
        let user = format!("{}:{}", theirs.user, ours.user);
        // We are led, and a tie is never broken: who wants us to lead is told not to.
        let message = StunMessage::binding_request(&user, self.0, false, u64::MAX, PRIORITY, false);
        write(message, &theirs.password, QUESTION)
    }

    /// That is its answer, by somebody who knows one of these passwords.
    pub(crate) fn is_answered_by(self, packet: &[u8], passwords: &[&str]) -> bool {
        read(packet).is_some_and(|message| {
            message.trans_id() == self.0
                && message.is_successful_binding_response()
                && passwords.iter().any(|password| message.verify(password.as_bytes(), hmac))
        })
    }
}

fn read(packet: &[u8]) -> Option<StunMessage<'_>> {
    // The reader warns of strange attributes: nobody shall fill our log from the network.
    let read = || StunMessage::parse(packet);
    tracing::dispatcher::with_default(&tracing::Dispatch::none(), read).ok()
}

/// A binding request. Whose it is is known; not yet whether it is his.
pub(crate) struct Check<'p>(StunMessage<'p>);

impl<'p> Check<'p> {
    /// Reads one.
    pub(crate) fn read(packet: &'p [u8]) -> Result<Check<'p>, Reason> {
        // Indications, and answers to what was never asked, have nothing to say here.
        if !packet.starts_with(&REQUEST) {
            return Err(Reason::StunMalformed);
        }
        read(packet)
            .filter(|m| m.is_binding_request() && m.split_username().is_some())
            .map(Check)
            .ok_or(Reason::StunMalformed)
    }

    /// Whom it is for: our user name (RFC 8445 section 7.2.2).
    pub(crate) fn user(&self) -> &str {
        self.0.split_username().map_or("", |(ours, _)| ours)
    }

    /// It is by somebody who knows this password, our side's.
    pub(crate) fn is_by_one_who_knows(&self, password: &str) -> bool {
        self.0.verify(password.as_bytes(), hmac)
    }

    /// The pair that it came by is the one to use.
    pub(crate) fn nominates(&self) -> bool {
        self.0.use_candidate()
    }

    /// The player wants us to lead, which a lite agent never does.
    pub(crate) fn wants_us_to_lead(&self) -> bool {
        self.0.ice_controlled().is_some()
    }

    /// Success, to where it came from.
    pub(crate) fn answer(&self, password: &str, from: SocketAddr) -> Option<Vec<u8>> {
        write(StunMessage::binding_reply(self.0.trans_id(), from), password, ANSWER)
    }

    /// 487 Role Conflict.
    pub(crate) fn refusal(&self, password: &str) -> Option<Vec<u8>> {
        write(StunMessage::binding_role_conflict_reply(self.0.trans_id()), password, ANSWER)
    }
}

fn write(message: StunMessage<'_>, password: &str, most: usize) -> Option<Vec<u8>> {
    let mut bytes = vec![0; most];
    let length = message.to_bytes(Some(password.as_bytes()), &mut bytes, hmac);
    bytes.truncate(length.ok()?);
    Some(bytes)
}

/// As the reader and writer of messages wants it.
pub(super) fn hmac(key: &[u8], parts: &[&[u8]]) -> [u8; 20] {
    Hmac::new(key).of(parts)
}

#[cfg(test)]
pub(crate) mod tests {
    use is::stun::TransId;
    use proptest::prelude::*;

    use super::*;

    const PASSWORD: &str = "a password of 22 or more";

    fn request(user: &str, controlling: bool) -> Vec<u8> {
        check(user, PASSWORD, controlling, true)
    }

    /// As a player sends it.
    pub(crate) fn check(user: &str, password: &str, controlling: bool, nominates: bool) -> Vec<u8> {
        let id = TransId::new();
        let message = StunMessage::binding_request(user, id, controlling, 7, 1, nominates);
        let mut bytes = vec![0; 400];
        let password = Some(password.as_bytes());
        let length = message.to_bytes(password, &mut bytes, hmac).unwrap();
        bytes.truncate(length);
        bytes
    }

    #[test]
    fn the_answer_to_a_check_says_where_it_came_from() {
        let bytes = request("ours:theirs", true);
        let check = Check::read(&bytes).unwrap();
        assert_eq!(check.user(), "ours");
        assert!(check.nominates() && !check.wants_us_to_lead());
        assert!(check.is_by_one_who_knows(PASSWORD));
        assert!(!check.is_by_one_who_knows("another password"));

        for from in ["192.0.2.7:5000", "[2001:db8::1]:6000"] {
            let from: SocketAddr = from.parse().unwrap();
            let bytes = check.answer(PASSWORD, from).unwrap();
            let answer = StunMessage::parse(&bytes).unwrap();
            assert!(answer.is_successful_binding_response());
            assert!(answer.verify(PASSWORD.as_bytes(), hmac));
            assert_eq!(answer.trans_id(), check.0.trans_id());
            assert_eq!(answer.mapped_address(), Some(from));
        }
    }

    #[test]
    fn a_player_that_wants_us_to_lead_is_told_487() {
        let bytes = request("ours:theirs", false);
        let check = Check::read(&bytes).unwrap();
        assert!(check.wants_us_to_lead());
        let bytes = check.refusal(PASSWORD).unwrap();
        let answer = StunMessage::parse(&bytes).unwrap();
        assert_eq!(answer.error_code().map(|(code, _)| code), Some(487));
    }

    /// As a player answers.
    pub(crate) fn answer(question: &[u8], password: &str, from: SocketAddr) -> Vec<u8> {
        let question = StunMessage::parse(question).unwrap();
        write(StunMessage::binding_reply(question.trans_id(), from), password, ANSWER).unwrap()
    }

    #[test]
    fn a_question_is_answered_by_who_got_it_and_knows_the_password() {
        let credentials =
            |user: &str| Credentials { user: user.into(), password: format!("{PASSWORD} {user}") };
        let (ours, theirs) = (credentials("ours"), credentials("theirs"));
        let question = Question::new();
        let bytes = question.bytes(&ours, &theirs).unwrap();
        let read = Check::read(&bytes).unwrap();
        assert_eq!(read.user(), "theirs");
        assert!(read.is_by_one_who_knows(&theirs.password) && read.wants_us_to_lead() && !read.nominates());

        let from = "192.0.2.7:5000".parse().unwrap();
        let right = answer(&bytes, &theirs.password, from);
        assert!(is_answer(&right) && question.is_answered_by(&right, &[PASSWORD, &theirs.password]));
        assert!(!question.is_answered_by(&answer(&bytes, PASSWORD, from), &[&theirs.password]));
        let another = Question::new();
        assert!(another != question && !another.is_answered_by(&right, &[&theirs.password]));
        assert!(!question.is_answered_by(&bytes, &[&theirs.password]), "it is no answer itself");
    }

    proptest! {
        #[test]
        fn nothing_else_is_taken_for_a_check(
            garbage in prop::collection::vec(any::<u8>(), 0..200),
            at in 0_usize..100,
            flip in 1_u8..,
        ) {
            let _ = Check::read(&garbage);
            let mut bytes = request("ours:theirs", true);
            let at = at % (bytes.len() - 8);
            bytes[at] ^= flip;
            if let Ok(check) = Check::read(&bytes) {
                prop_assert!(!check.is_by_one_who_knows(PASSWORD));
            }
        }
    }
}
