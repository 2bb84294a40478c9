//! What a signed token says, and whether that is enough. Pure.

use std::time::Duration;

use serde::Deserialize;

use super::Role;

/// A token may be used so much before `nbf`: clocks differ.
const AHEAD: f64 = 5.0;

/// The claims that count (RFC 7519 section 4.1, and `role`). Others are ignored; one of these that has the wrong type makes the
/// token unreadable, rather than one without it.
#[derive(Clone, Debug, PartialEq, Deserialize)]
pub struct Claims {
    /// The session, by its name.
    pub sub: String,
    /// `publish` or `watch`.
    pub role: String,
    /// Seconds since 1970 from which on it begins nothing more.
    pub exp: f64,
    /// Seconds since 1970 before which it is of no use.
    #[serde(default, deserialize_with = "given")]
    pub nbf: Option<f64>,
    /// Trees that it is for; without it every one that has the key.
    #[serde(default, deserialize_with = "given")]
    pub aud: Option<Audience>,
}

/// One, or several.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(untagged)]
pub enum Audience {
    /// `"aud": "tree-1"`
    One(String),
    /// `"aud": ["tree-1", "tree-2"]`
    Several(Vec<String>),
}

/// Why a token that is well signed does not open a session.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Unfit {
    /// `sub`
    #[error("it is for another session")]
    Session,
    /// `role`
    #[error("it is for another role")]
    Role,
    /// `aud`
    #[error("it is for another tree")]
    Tree,
    /// `exp`
    #[error("it has expired")]
    Expired,
    /// `nbf`
    #[error("it is not valid yet")]
    TooSoon,
}

impl Claims {
    /// Whether it is about this session, in this role, at this tree; whatever the time.
    pub fn is_for(&self, role: Role, session: &str, tree: &str) -> Result<(), Unfit> {
        if self.role != role.name() {
            return Err(Unfit::Role);
        }
        if self.sub != session {
            return Err(Unfit::Session);
        }
        match &self.aud {
            Some(Audience::One(one)) if one != tree => Err(Unfit::Tree),
            Some(Audience::Several(all)) if all.iter().all(|one| one != tree) => Err(Unfit::Tree),
            _ => Ok(()),
        }
    }

    /// Whether something may begin with it at this time, since 1970.
    pub fn is_due(&self, now: Duration) -> Result<(), Unfit> {
        let now = now.as_secs_f64();
        // "On or after" (RFC 7519 section 4.1.4). What is no number has expired.
        let lives = now < self.exp;
        let has_begun = self.nbf.is_none_or(|from| now + AHEAD >= from);
        match (lives, has_begun) {
            (false, _) => Err(Unfit::Expired),
            (true, false) => Err(Unfit::TooSoon),
            (true, true) => Ok(()),
        }
    }
}

/// A claim that is there has its type; `null` is none.
fn given<'de, D: serde::Deserializer<'de>, T: Deserialize<'de>>(from: D) -> Result<Option<T>, D::Error> {
    T::deserialize(from).map(Some)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn claims(json: &str) -> Result<Claims, String> {
        serde_json::from_str(json).map_err(|error| error.to_string())
    }

    #[test]
    fn a_token_opens_one_session_in_one_role() {
        let token = claims(r#"{"sub":"s1","role":"watch","exp":100,"more":[1]}"#).unwrap();
        assert_eq!(token.is_for(Role::Watch, "s1", "t"), Ok(()));
        assert_eq!(token.is_for(Role::Publish, "s1", "t"), Err(Unfit::Role));
        for other in ["s2", "", "S1", "s1 ", "s"] {
            assert_eq!(token.is_for(Role::Watch, other, "t"), Err(Unfit::Session), "{other:?}");
        }
        for (audience, fits) in [("\"t\"", true), ("\"u\"", false), ("[\"u\",\"t\"]", true), ("[]", false)] {
            let token =
                claims(&format!(r#"{{"sub":"s1","role":"watch","exp":1,"aud":{audience}}}"#)).unwrap();
            assert_eq!(token.is_for(Role::Watch, "s1", "t").is_ok(), fits, "{audience}");
        }
    }

    #[test]
    fn it_begins_nothing_from_the_second_of_exp_on() {
        let token = claims(r#"{"sub":"s","role":"watch","exp":100.5,"nbf":50}"#).unwrap();
        let at = |seconds| token.is_due(Duration::from_secs_f64(seconds));
        assert_eq!([at(44.9), at(45.0), at(50.0), at(100.4)], [Err(Unfit::TooSoon), Ok(()), Ok(()), Ok(())]);
        assert_eq!([at(100.5), at(1e9)], [Err(Unfit::Expired); 2]);
        for exp in ["-1", "0", "1e-9"] {
            let token = claims(&format!(r#"{{"sub":"s","role":"watch","exp":{exp}}}"#)).unwrap();
            assert_eq!(token.is_due(Duration::from_secs(1)), Err(Unfit::Expired), "{exp}");
        }
    }

    #[test]
    fn a_claim_of_the_wrong_type_is_not_a_missing_one() {
        for json in [
            r#"{"sub":"s","role":"watch"}"#,
            r#"{"sub":"s","exp":1}"#,
            r#"{"role":"watch","exp":1}"#,
            r#"{"sub":"s","role":"watch","exp":"9999999999"}"#,
            r#"{"sub":"s","role":"watch","exp":null}"#,
            r#"{"sub":"s","role":"watch","exp":9999999999,"nbf":"0"}"#,
            r#"{"sub":"s","role":"watch","exp":9999999999,"nbf":null}"#,
            r#"{"sub":"s","role":"watch","exp":9999999999,"aud":7}"#,
            r#"{"sub":["s"],"role":"watch","exp":9999999999}"#,
            r#"{"sub":"s","role":["watch"],"exp":9999999999}"#,
            r#"[]"#,
        ] {
            assert!(claims(json).is_err(), "{json}");
        }
    }
}
