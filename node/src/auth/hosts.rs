//! Whether a request comes from a page that has no business here. Pure.
//!
//! Where no token is asked for, whoever reaches the port may do what it offers, and a browser on this machine or in this
//! network reaches it on behalf of any page that it shows. Such a page says who it is: by `Origin` where it sends something to
//! another site than its own, and, where it has had its own name point here (DNS rebinding), by that name in `Host`.

use std::net::IpAddr;

use axum::http::{HeaderMap, Method, Uri, header};

/// Names that this node is asked by, besides addresses, `localhost` and names without a dot, which nobody outside can have point here.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Hosts(Vec<String>);

impl Hosts {
    /// These as well; `*.example.com` are all below it.
    pub fn new(names: impl IntoIterator<Item = String>) -> Hosts {
        Hosts(names.into_iter().map(|name| bare(&name).to_ascii_lowercase()).collect())
    }

    /// Why a request is not for this node, or not from one of its pages.
    pub fn check(&self, method: &Method, uri: &Uri, headers: &HeaderMap) -> Result<(), String> {
        let host = match uri.authority() {
            // HTTP/2 has no Host.
            Some(authority) => Some(authority.as_str()),
            None => headers.get(header::HOST).map(|host| host.to_str().unwrap_or("?")),
        };
        let advice = "set ALLOWED_HOSTS or --allowed-host if this is meant, or better an API token";
        // Only programs leave it out.
        if let Some(host) = host
            && !self.knows(host)
        {
            let host = host.escape_debug();
            return Err(format!(
                "Host {host} is no name of this node, and might be another site's (DNS rebinding); {advice}"
            ));
        }
        if matches!(*method, Method::GET | Method::HEAD | Method::OPTIONS) {
            return Ok(());
        }
        let foreign = match headers.get(header::ORIGIN) {
            Some(origin) => {
                let origin = origin.to_str().unwrap_or("null");
                (!self.is_own(origin, host)).then(|| origin.escape_debug().to_string())
            }
            None => {
                let site = headers.get("sec-fetch-site").and_then(|site| site.to_str().ok());
                site.filter(|site| matches!(*site, "cross-site" | "same-site")).map(str::to_owned)
            }
        };
        match foreign {
            Some(origin) => {
                Err(format!("pages of another site (Origin {origin}) may change nothing here; {advice}"))
            }
            None => Ok(()),
        }
    }

    /// Whether a page of this origin is this node's, which was asked for as `host`, or that of a name it is allowed to have.
    fn is_own(&self, origin: &str, host: Option<&str>) -> bool {
        let Some((scheme, authority)) = origin.split_once("://") else { return false };
        let standard = if scheme == "https" { ":443" } else { ":80" };
        let plain = |text: &str| text.strip_suffix(standard).unwrap_or(text).to_ascii_lowercase();
        host.is_some_and(|host| plain(host) == plain(authority)) || self.lists(bare(authority))
    }

    fn knows(&self, host: &str) -> bool {
        let name = bare(host);
        name.parse::<IpAddr>().is_ok()
            || name.eq_ignore_ascii_case("localhost")
            || name.to_ascii_lowercase().ends_with(".localhost")
            || (!name.is_empty() && !name.contains(['.', ':', '?', '%']))
            || self.lists(name)
    }

    fn lists(&self, name: &str) -> bool {
        let name = name.to_ascii_lowercase();
        self.0.iter().any(|known| match known.strip_prefix('*') {
            Some(end) => end.starts_with('.') && name.len() > end.len() && name.ends_with(end),
            None => *known == name,
        })
    }
}

/// The name in `name:port`, without the brackets of an IPv6 address and the dot of a name that is complete.
fn bare(host: &str) -> &str {
    if let Some(rest) = host.strip_prefix('[') {
        return rest.split(']').next().unwrap_or_default();
    }
    let name = match host.rsplit_once(':') {
        Some((name, port)) if port.bytes().all(|byte| byte.is_ascii_digit()) => name,
        _ => host,
    };
    name.strip_suffix('.').unwrap_or(name)
}

#[cfg(test)]
mod tests {
    use axum::http::HeaderValue;

    use super::*;

    fn asked(method: Method, headers: &[(&'static str, &str)]) -> Result<(), String> {
        let hosts = Hosts::new(["Media.example.com".to_owned(), "*.tree.example".to_owned()]);
        let pair = |(name, value): &(&'static str, &str)| {
            (header::HeaderName::from_static(name), HeaderValue::from_str(value).unwrap())
        };
        hosts.check(&method, &Uri::from_static("/status"), &headers.iter().map(pair).collect())
    }

    #[test]
    fn a_name_that_might_be_another_sites_is_none_of_ours() {
        for good in [
            "127.0.0.1:7070",
            "10.0.0.5",
            "[::1]:7070",
            "[fd00::5]",
            "localhost:7070",
            "LocalHost",
            "a.localhost:1",
            "injection-1:7070",
            "media.example.com",
            "MEDIA.example.com.:443",
            "a.tree.example:7070",
        ] {
            assert_eq!(asked(Method::GET, &[("host", good)]), Ok(()), "{good}");
        }
        for bad in [
            "evil.example:7070",
            "127.0.0.1.evil.example",
            "localhost.evil.example",
            "tree.example",
            "xtree.example",
            "media.example.com.evil.example",
            "127.0.0.1@evil.example",
            "",
            ":7070",
            "[evil.example]",
            "evil%2eexample",
        ] {
            for method in [Method::GET, Method::POST] {
                let why = asked(method, &[("host", bad)]).unwrap_err();
                assert!(why.contains("ALLOWED_HOSTS") && !why.contains('\n'), "{bad}: {why}");
            }
        }
        assert_eq!(asked(Method::POST, &[]), Ok(()), "a program");
        let uri = Uri::from_static("http://evil.example/status");
        assert!(
            Hosts::default().check(&Method::GET, &uri, &HeaderMap::new()).is_err(),
            "HTTP/2, or a proxy's form"
        );
    }

    #[test]
    fn a_page_of_another_site_changes_nothing() {
        let host = ("host", "10.0.0.5:7070");
        let of = |origin| asked(Method::POST, &[host, ("origin", origin)]);
        for good in [
            "http://10.0.0.5:7070",
            "https://10.0.0.5:7070",
            "https://media.example.com",
            "http://a.tree.example:80",
        ] {
            assert_eq!(of(good), Ok(()), "{good}");
        }
        for bad in [
            "https://evil.example",
            "null",
            "",
            "http://10.0.0.5",
            "http://10.0.0.5:7071",
            "10.0.0.5:7070",
            "file://",
            "https://evil.example:7070",
            "http://10.0.0.5:7070.evil.example",
        ] {
            assert!(of(bad).is_err(), "{bad}");
        }
        assert_eq!(
            asked(Method::GET, &[host, ("origin", "https://evil.example")]),
            Ok(()),
            "it cannot read the answer"
        );
        assert_eq!(asked(Method::POST, &[("host", "localhost"), ("origin", "http://localhost:80")]), Ok(()));
        for (site, fits) in
            [("cross-site", false), ("same-site", false), ("same-origin", true), ("none", true)]
        {
            assert_eq!(asked(Method::DELETE, &[host, ("sec-fetch-site", site)]).is_ok(), fits, "{site}");
        }
    }
}
