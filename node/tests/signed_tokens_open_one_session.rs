//! A token that is signed by a key of the file opens its session in its role until it expires, and nothing else does. Keys change
//! while the node runs.
#![allow(clippy::unwrap_used, reason = "a test's helpers fail like the test")]

#[path = "support/token.rs"]
mod token;

use std::fs::write;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use node::auth::{Admission, Asking, AuthConfig, Grant, Keys, Refused, Rights, Role, SigningKey};
use node::secret::Secret;
use serde_json::{Value, json};
use token::{Key, claims, seconds, set};

struct Door {
    _folder: tempfile::TempDir,
    path: PathBuf,
    admission: Arc<Admission>,
}

fn door(keys: &[&Key], shared: Option<&str>) -> Door {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("keys.json");
    write(&path, set(keys)).unwrap();
    let keys = Some(Arc::new(Keys::read(&path).unwrap().0));
    let rights = Rights {
        role: Role::Publish,
        shared: shared.map(Secret::new),
        shared_name: "the publishers' token (WHIP_TOKEN)",
        node_id: "injection-1".to_owned(),
        tree_id: "tree-1".to_owned(),
    };
    let admission = Admission::new(rights, &AuthConfig { keys, ..AuthConfig::default() });
    Door { _folder: folder, path, admission }
}

impl Door {
    fn asking<'a>(token: Option<&'a str>) -> Asking<'a> {
        Asking { session: "s1", token: token.map(str::as_bytes), client: None, protocol: "whip" }
    }

    /// Why a token does not open s1; nothing if it does.
    fn refuses(&self, token: &str) -> String {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        match runtime.block_on(self.admission.admit(Door::asking(Some(token)))) {
            Ok(()) => String::new(),
            Err(Refused::Unauthorized(why)) => {
                assert!(!why.contains('\n') && (token.len() < 8 || !why.contains(token)), "{why}");
                why
            }
            Err(other) => panic!("{other:?}"),
        }
    }
}

#[test]
fn a_token_opens_its_session_in_its_role() {
    for key in [Key::hs256("a", 1), Key::eddsa("a", 1)] {
        let door = door(&[&key], None);
        assert_eq!(door.refuses(&key.sign(&claims("s1", "publish"))), "");
        let table: [(Value, &str); 11] = [
            (claims("s2", "publish"), "another session"),
            (claims("S1", "publish"), "another session"),
            (claims("s1", "watch"), "another role"),
            (claims("s1", "PUBLISH"), "another role"),
            (json!({ "sub": "s1", "role": "publish", "exp": seconds(0) }), "expired"),
            (json!({ "sub": "s1", "role": "publish", "exp": seconds(-3600) }), "expired"),
            (
                json!({ "sub": "s1", "role": "publish", "exp": seconds(99), "nbf": seconds(60) }),
                "not valid yet",
            ),
            (json!({ "sub": "s1", "role": "publish", "exp": seconds(99), "aud": "tree-2" }), "another tree"),
            (json!({ "sub": "s1", "role": "publish" }), "cannot be read"),
            (json!({ "sub": "s1", "role": "publish", "exp": "9999999999" }), "cannot be read"),
            (json!({ "sub": "s1", "role": "publish", "exp": seconds(99), "nbf": "now" }), "cannot be read"),
        ];
        for (claims, wanted) in table {
            let why = door.refuses(&key.sign(&claims));
            assert!(why.contains(wanted), "{claims}: {why:?}");
        }
        let good = json!({ "sub": "s1", "role": "publish", "exp": seconds(99), "nbf": seconds(-9), "aud": ["tree-1"], "x": 1 });
        assert_eq!(door.refuses(&key.sign(&good)), "");
    }
}

/// As `injection token` and `egress token` make them.
#[test]
fn a_token_of_our_own_opens_what_it_was_made_for() {
    let keys = [Key::hs256("a", 1), Key::eddsa("b", 2)];
    let door = door(&[&keys[0], &keys[1]], None);
    let signing = door.path.with_file_name("signing.json");
    let mut private = serde_json::from_str::<Value>(&set(&[&keys[0], &keys[1]])).unwrap();
    private["keys"][1]["d"] = json!("AgICAgICAgICAgICAgICAgICAgICAgICAgICAgICAgI");
    write(&signing, private.to_string()).unwrap();
    for id in ["a", "b"] {
        let key = SigningKey::read(&signing, Some(id)).unwrap();
        let made = |session: &str, role, lifetime, tree: Option<&str>| {
            let now = Duration::from_secs(seconds(-10).unsigned_abs());
            let lifetime = Duration::from_secs(lifetime);
            key.sign(&Grant {
                session: session.to_owned(),
                role,
                now,
                lifetime,
                tree: tree.map(str::to_owned),
            })
        };
        let refuses = |token: Result<String, String>| door.refuses(&token.unwrap());
        assert_eq!(refuses(made("s1", Role::Publish, 60, None)), "");
        assert_eq!(refuses(made("s1", Role::Publish, 60, Some("tree-1"))), "");
        assert!(refuses(made("s1", Role::Publish, 60, Some("tree-2"))).contains("another tree"));
        assert!(refuses(made("s2", Role::Publish, 60, None)).contains("another session"));
        assert!(refuses(made("s1", Role::Watch, 60, None)).contains("another role"));
        assert!(refuses(made("s1", Role::Publish, 5, None)).contains("expired"));
        assert!(made("s/1", Role::Publish, 60, None).unwrap_err().contains("'s/1' cannot be"));
    }
}

#[test]
fn only_the_key_that_it_names_and_its_own_algorithm_count() {
    let (secret, pair) = (Key::hs256("secret", 1), Key::eddsa("pair", 2));
    let door = door(&[&secret, &pair], None);
    let good = claims("s1", "publish");
    assert_eq!((door.refuses(&secret.sign(&good)), door.refuses(&pair.sign(&good))), Default::default());
    // The public key taken for a secret, as of libraries that believe what the header says.
    let Key::EdDsa(_, keys) = &pair else { unreachable!() };
    let public = ring::signature::KeyPair::public_key(keys).as_ref().to_vec();
    let confused = Key::Hs256("pair", public);
    let sealed = pair.sign(&good);
    let parts: Vec<&str> = sealed.split('.').collect();
    let flipped = {
        let end = if parts[2].starts_with('A') { "B" } else { "A" };
        format!("{}.{}.{end}{}", parts[0], parts[1], &parts[2][1..])
    };
    let header = |value: Value| pair.seal(&value, &good);
    let table: [(String, &str); 14] = [
        (confused.sign(&good), "algorithm"),
        (Key::eddsa("secret", 2).sign(&good), "algorithm"),
        (Key::hs256("secret", 9).sign(&good), "signature"),
        (Key::eddsa("pair", 9).sign(&good), "signature"),
        (flipped, "signature"),
        (format!("{}.{}.", parts[0], parts[1]), "signature"),
        (header(json!({ "alg": "EdDSA", "kid": "other" })), "not known here"),
        (header(json!({ "alg": "EdDSA" })), "names no key"),
        (header(json!({ "alg": "none", "kid": "pair" })), "wrong"),
        (header(json!({ "alg": "HS512", "kid": "secret" })), "algorithm"),
        (header(json!({ "alg": "EdDSA", "kid": "pair", "crit": ["x"], "x": 1 })), "wrong"),
        (header(json!({ "alg": "EdDSA", "kid": 7 })), "wrong"),
        (format!("{sealed}.x"), "wrong"),
        (format!("{}{}", sealed, "A".repeat(5000)), "wrong"),
    ];
    for (token, wanted) in table {
        let why = door.refuses(&token);
        assert!(why.contains(wanted), "{token}: {why:?}");
    }
    for noise in ["", ".", "..", "a.b.c", "hunter2", "e30.e30.e30", "\u{fffd}.\u{fffd}.\u{fffd}"] {
        assert!(door.refuses(noise).contains("wrong"), "{noise}");
    }
}

#[test]
fn the_shared_token_goes_on_working_beside_signed_ones() {
    let key = Key::eddsa("a", 1);
    let door = door(&[&key], Some("hunter2"));
    assert_eq!(door.refuses("hunter2"), "");
    assert_eq!(door.refuses(&key.sign(&claims("s1", "publish"))), "");
    let why = door.refuses("hunter3");
    assert!(why.contains("WHIP_TOKEN") && why.contains("(JWT)") && !why.contains("hunter"), "{why}");
    let counts = door.admission.counts();
    assert_eq!((counts.admitted, counts.unauthorized, counts.forbidden, counts.unknown), (2, 1, 0, 0));
}

#[test]
fn an_expired_token_still_ends_what_it_began() {
    let key = Key::eddsa("a", 1);
    let door = door(&[&key], None);
    let expired = key.sign(&json!({ "sub": "s1", "role": "publish", "exp": seconds(-1) }));
    assert!(door.refuses(&expired).contains("expired"));
    assert_eq!(door.admission.goes_on(Door::asking(Some(&expired))), Ok(()));
    let other = key.sign(&claims("s2", "publish"));
    assert!(door.admission.goes_on(Door::asking(Some(&other))).is_err());
    assert!(door.admission.goes_on(Door::asking(None)).is_err());
}

#[test]
fn keys_change_while_the_node_runs() {
    let (old, new) = (Key::eddsa("2026-1", 1), Key::eddsa("2026-2", 2));
    let door = door(&[&old], None);
    let [by_old, by_new] = [&old, &new].map(|key| key.sign(&claims("s1", "publish")));
    assert_eq!(door.refuses(&by_old), "");
    assert!(door.refuses(&by_new).contains("not known here"));
    put(&door.path, &set(&[&old, &new]));
    until(|| door.refuses(&by_new).is_empty());
    assert_eq!(door.refuses(&by_old), "");
    // A file that is not as it should be changes nothing, and is said.
    put(&door.path, "{");
    until(|| !door.admission.warnings().is_empty());
    let warning = door.admission.warnings().concat();
    assert!(warning.contains("keys.json") && warning.contains("keys of before"), "{warning}");
    assert_eq!((door.refuses(&by_old), door.refuses(&by_new)), Default::default());
    std::fs::remove_file(&door.path).unwrap();
    assert_eq!(door.refuses(&by_new), "");
    put(&door.path, &set(&[&new]));
    until(|| !door.refuses(&by_old).is_empty());
    assert!(door.refuses(&by_old).contains("or no longer"));
    assert_eq!((door.refuses(&by_new), door.admission.warnings().len()), (String::new(), 0));
}

#[test]
fn a_file_that_has_no_good_keys_is_refused_in_one_line() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("keys.json");
    let secret = "c2VjcmV0LXNlY3JldA";
    let oct = |more: &str| format!(r#"{{"keys":[{{"kty":"oct","kid":"a","k":"{secret}"{more}}}]}}"#);
    let good = Key::hs256("a", 1).jwk();
    let table = [
        ("", "JWK set"),
        ("[]", "JWK set"),
        ("{\"keys\":[]}", "no key in it"),
        (&oct(""), "at least 32 bytes, and has 13"),
        (&json!({ "keys": [good, good] }).to_string(), "two keys 'a'"),
        (&json!({ "keys": [good, { "kty": "oct", "k": good["k"] }] }).to_string(), "each needs a kid"),
        (r#"{"keys":[{"kty":"OKP","crv":"Ed25519","kid":"a","x":"AAAA"}]}"#, "x must have 32 bytes"),
        (r#"{"keys":[{"kty":"OKP","crv":"Ed25519","kid":"a","x":"???"}]}"#, "base64url"),
        (r#"{"keys":[{"kty":"RSA","kid":"a","n":"AQAB","e":"AQAB"}]}"#, "only kty OKP"),
        (r#"{"keys":[{"kty":"EC","crv":"P-256","kid":"a","x":"AA","y":"AA"}]}"#, "only kty OKP"),
        (&oct(",\"alg\":\"HS512\""), "alg must be HS256"),
        (&oct(",\"use\":\"enc\""), "use must be sig"),
    ];
    for (text, wanted) in table {
        write(&path, text).unwrap();
        let why = Keys::read(&path).unwrap_err().to_string();
        assert!(why.contains(wanted) && why.contains("keys.json") && !why.contains('\n'), "{text}: {why}");
        assert!(!why.contains(secret), "{why}");
    }
    assert!(Keys::read(&folder.path().join("nowhere")).unwrap_err().to_string().contains("nowhere: "));
    write(&path, set(&[&Key::hs256("a", 1)])).unwrap();
    std::fs::set_permissions(&path, std::os::unix::fs::PermissionsExt::from_mode(0o644)).unwrap();
    assert!(Keys::read(&path).unwrap().1.is_some_and(|warning| warning.contains("chmod 600")));
    write(&path, set(&[&Key::eddsa("a", 1)])).unwrap();
    assert_eq!(Keys::read(&path).unwrap().1, None, "public keys are no secret");
}

/// As an operator does it who wants nobody to see half of a file.
fn put(path: &Path, text: &str) {
    let beside = path.with_extension("new");
    write(&beside, text).unwrap();
    std::fs::rename(beside, path).unwrap();
}

fn until(is: impl Fn() -> bool) {
    let began = Instant::now();
    while !is() {
        assert!(began.elapsed() < Duration::from_secs(5), "not within 5 s");
        std::thread::sleep(Duration::from_millis(20));
    }
}
