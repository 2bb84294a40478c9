//! A page: one answer with all that it needs, and a policy that lets it do that and nothing else.

use axum::http::{HeaderValue, header};
use axum::response::{IntoResponse, Response};
use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use ring::digest;

/// Whom a page's scripts may ask.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reaches {
    /// The node that it is from.
    ItsNode,
    /// Any server: a viewer goes on at another node of the tree, wherever that is, and be it one that was added while the page was
    /// open. A policy cannot be widened then, so that a list of those that are there now would keep viewers from it. What asks is the
    /// page's own script, which nobody can change: it is known by its hash.
    Anybody,
}

/// Answers with a page. Its scripts and styles are the ones in it, known by their hashes: what anybody else gets into it does not
/// run. `frame_ancestors`: whose pages may show it in a frame, besides the node's own.
pub fn page(html: String, frame_ancestors: &[String], reaches: Reaches) -> Response {
    let policy = policy(&html, frame_ancestors, reaches);
    let mut response = html.into_response();
    let headers = response.headers_mut();
    let mut say = |name, value| headers.insert(name, value);
    say(header::CONTENT_TYPE, HeaderValue::from_static("text/html; charset=utf-8"));
    say(header::CACHE_CONTROL, HeaderValue::from_static("no-cache"));
    say(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    // The name of a session is nobody else's business.
    say(header::REFERRER_POLICY, HeaderValue::from_static("no-referrer"));
    if let Ok(policy) = HeaderValue::try_from(policy) {
        say(header::CONTENT_SECURITY_POLICY, policy);
    }
    response
}

/// The page's Content-Security-Policy (W3C CSP level 3).
fn policy(html: &str, frame_ancestors: &[String], reaches: Reaches) -> String {
    let connect = if reaches == Reaches::Anybody { "*" } else { "'self'" };
    let [scripts, styles] = ["script", "style"].map(|tag| hashes(html, tag));
    let ancestors: String = frame_ancestors.iter().map(|site| format!(" {site}")).collect();
    format!(
        "default-src 'none'; script-src {scripts}; style-src {styles}; connect-src {connect}; worker-src 'self'; \
         media-src blob: mediastream:; img-src data:; base-uri 'none'; form-action 'none'; frame-ancestors 'self'{ancestors}"
    )
}

/// The hashes of what is in the elements of this name.
fn hashes(html: &str, tag: &str) -> String {
    let (open, close) = (format!("<{tag}>"), format!("</{tag}>"));
    let contents =
        html.split(&open).skip(1).filter_map(|rest| rest.split_once(&close).map(|(content, _)| content));
    let hashes: Vec<String> = contents
        .map(|content| {
            let hash = digest::digest(&digest::SHA256, content.as_bytes());
            format!("'sha256-{}'", BASE64_STANDARD.encode(hash))
        })
        .collect();
    if hashes.is_empty() { "'none'".to_owned() } else { hashes.join(" ") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_in_the_page_runs_and_nothing_else() {
        // As `printf 'alert(1)' | openssl dgst -sha256 -binary | base64` gives it.
        let html = "<style>b{}</style><script>alert(1)</script>";
        let policy = policy(html, &["https://www.example.com".to_owned()], Reaches::ItsNode);
        assert!(
            policy.contains("script-src 'sha256-bhHHL3z2vDgxUt0W3dWQOrprscmda2Y5pLsLg4GF+pI=';"),
            "{policy}"
        );
        assert!(policy.ends_with("frame-ancestors 'self' https://www.example.com"), "{policy}");
        assert!(!policy.contains("unsafe") && policy.contains("style-src 'sha256-"), "{policy}");
        assert!(policy.contains("connect-src 'self';"), "{policy}");
        let bare = super::policy("", &[], Reaches::Anybody);
        assert!(bare.contains("script-src 'none'; style-src 'none'; connect-src *;"), "{bare}");
    }
}
