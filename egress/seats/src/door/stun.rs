//! Connectivity checks (RFC 8445 section 7.3, RFC 8489), as an ICE-lite agent answers them. No I/O.

use std::net::SocketAddr;

use is::stun::StunMessage;
use openssl::hash::MessageDigest;
use openssl::pkey::PKey;
use openssl::sign::Signer;

use super::drops::Reason;

/// Type of a binding request.
const REQUEST: [u8; 2] = [0, 1];
/// Type of a binding indication.
const INDICATION: [u8; 2] = [0, 0x11];
/// Bytes of an answer at most: header, IPv6 address or error, integrity, fingerprint.
const ANSWER: usize = 128;

/// A binding indication: keeps a NAT's binding, and proves nothing (RFC 8445 section 11).
pub(crate) fn is_keep_alive(packet: &[u8]) -> bool {
    packet.starts_with(&INDICATION)
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
        // The reader warns of strange attributes: nobody shall fill our log from the network.
        let read = || StunMessage::parse(packet);
        let message = tracing::dispatcher::with_default(&tracing::Dispatch::none(), read);
        message
            .ok()
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
        write(StunMessage::binding_reply(self.0.trans_id(), from), password)
    }

    /// 487 Role Conflict.
    pub(crate) fn refusal(&self, password: &str) -> Option<Vec<u8>> {
        write(StunMessage::binding_role_conflict_reply(self.0.trans_id()), password)
    }
}

fn write(message: StunMessage<'_>, password: &str) -> Option<Vec<u8>> {
    let mut answer = vec![0; ANSWER];
    let length = message.to_bytes(Some(password.as_bytes()), &mut answer, hmac);
    answer.truncate(length.ok()?);
    Some(answer)
}

/// HMAC-SHA1. If OpenSSL cannot, nobody's is right.
pub(super) fn hmac(key: &[u8], parts: &[&[u8]]) -> [u8; 20] {
    let sign = || {
        let key = PKey::hmac(key)?;
        let mut signer = Signer::new(MessageDigest::sha1(), &key)?;
        for part in parts {
            signer.update(part)?;
        }
        let mut out = [0; 20];
        signer.sign(&mut out)?;
        Ok::<_, openssl::error::ErrorStack>(out)
    };
    sign().unwrap_or_else(|_| rand::random())
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
