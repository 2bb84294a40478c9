//! Who may use the HTTP API, besides WHIP and WHEP, which have doors of their own. Pure.

use std::sync::Arc;

use axum::http::{HeaderMap, Method, StatusCode, Uri, header};

use super::hosts::Hosts;
use crate::http::{Failed, Limits, bearer};
use crate::secret::Secret;

/// What those who watch over the node ask: whether it is there, and its figures.
const HEALTH: [&str; 2] = ["/healthz", "/readyz"];
const METRICS: &str = "/metrics";
/// Shows all nodes of the tree, and so is nothing for viewers, who reach the same port as operators do.
const TREE: &str = "/tree";

/// Who may do what.
#[derive(Clone, Default)]
pub struct Access {
    /// What requests that change something must know; `None`: nothing, so that only who may reach the port protects it, and
    /// [`Hosts`].
    pub token: Option<Secret>,
    /// What requests that read must know, if anything; the token above will do as well.
    pub reading: Option<Secret>,
    /// Routes that need the token for reading as well, because they show media.
    pub private: &'static [&'static str],
    /// Routes, as they were given to the router, that have a door of their own.
    pub own: Vec<String>,
    /// Routes that anybody may read: pages, and what they need.
    pub open: &'static [(&'static str, Open)],
    /// There is nothing here but those: everything else is on another listener.
    pub is_public: bool,
    /// Names that it is asked by where no token is needed.
    pub hosts: Hosts,
    /// How much may be taken, and by whom.
    pub limits: Arc<Limits>,
}

/// When a route is open to all.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Open {
    /// Always.
    Always,
    /// Always, with this parameter in the query; without it as the next.
    With(&'static str),
    /// As long as reading is not guarded.
    Unguarded,
}

/// What a request asks for.
#[derive(Clone, Copy, Debug)]
pub struct Asked<'a> {
    /// The route as it was given to the router; empty for a path that is none.
    pub route: &'a str,
    /// Method.
    pub method: &'a Method,
    /// As it came.
    pub uri: &'a Uri,
    /// Headers.
    pub headers: &'a HeaderMap,
}

impl Access {
    /// Lets a request through, or says why not.
    pub fn check(&self, asked: Asked<'_>) -> Result<(), Failed> {
        let changes = changes(asked.method);
        let own = self.own.iter().any(|own| own == asked.route);
        if own || (!changes && (HEALTH.contains(&asked.route) || self.is_open(asked))) {
            return Ok(());
        }
        if self.is_public {
            return Err(Failed(StatusCode::NOT_FOUND, "no such path; see docs/operations.md".to_owned()));
        }
        let Some(token) = &self.token else {
            // Whoever collects figures calls a node by whatever name it has.
            if !changes && asked.route == METRICS {
                return Ok(());
            }
            let checked = self.hosts.check(asked.method, asked.uri, asked.headers);
            return checked.map_err(|why| Failed(StatusCode::FORBIDDEN, why));
        };
        if changes || self.private.contains(&asked.route) {
            return has(asked.headers, &[token], "the node's token (API_TOKEN or API_TOKEN_FILE)");
        }
        if asked.route == TREE && asked.method != Method::OPTIONS {
            // There is nothing in the page but what asks for the rest.
            if wants_page(asked.headers) {
                return Ok(());
            }
            let tokens: Vec<&Secret> = self.reading.iter().chain([token]).collect();
            return has(
                asked.headers,
                &tokens,
                "the token for reading (READ_TOKEN), or the node's (API_TOKEN)",
            );
        }
        match &self.reading {
            // A path that there is not is no secret, and neither are the methods of one.
            Some(reading) if !asked.route.is_empty() && asked.method != Method::OPTIONS => has(
                asked.headers,
                &[reading, token],
                "the token for reading (READ_TOKEN or READ_TOKEN_FILE), or the node's (API_TOKEN)",
            ),
            _ => Ok(()),
        }
    }

    /// Whether this is somebody who may read only what is open to all.
    pub fn is_stranger(&self, headers: &HeaderMap) -> bool {
        let known = [&self.token, &self.reading].into_iter().flatten();
        let claims = bearer(headers);
        let guarded = self.is_public || self.reading.is_some();
        guarded && !known.into_iter().any(|token| claims.is_some_and(|claimed| token.is(claimed)))
    }

    fn is_open(&self, asked: Asked<'_>) -> bool {
        let guarded = self.is_public || self.reading.is_some();
        self.open.iter().any(|(route, open)| {
            let is_there = |name: &str| {
                let mut pairs = asked.uri.query().unwrap_or_default().split('&');
                pairs.any(|pair| {
                    pair.split_once('=').is_some_and(|(key, value)| key == name && !value.is_empty())
                })
            };
            *route == asked.route
                && match open {
                    Open::Always => true,
                    Open::With(name) => !guarded || is_there(name),
                    Open::Unguarded => !guarded,
                }
        })
    }
}

/// Whatever is not known to only read.
pub(crate) fn changes(method: &Method) -> bool {
    !matches!(*method, Method::GET | Method::HEAD | Method::OPTIONS)
}

/// A browser that opens an address wants a page. What a page asks for, it asks for as JSON.
pub fn wants_page(headers: &HeaderMap) -> bool {
    let accepts = headers.get(header::ACCEPT).and_then(|accepts| accepts.to_str().ok()).unwrap_or_default();
    accepts.to_ascii_lowercase().contains("text/html")
}

/// Lets in who has one of these tokens. `name`: what it is called, and the setting that it comes from. A missing and a wrong
/// one are told apart, because what to do about them differs.
pub(super) fn has(headers: &HeaderMap, tokens: &[&Secret], name: &str) -> Result<(), Failed> {
    let why = match bearer(headers) {
        Some(claimed) if tokens.iter().any(|token| token.is(claimed)) => return Ok(()),
        Some(_) => format!("the token in `Authorization: Bearer …` is wrong; this needs {name}"),
        None => format!("this needs the header `Authorization: Bearer TOKEN` with {name}"),
    };
    Err(Failed(StatusCode::UNAUTHORIZED, why))
}

#[cfg(test)]
mod tests {
    use axum::http::HeaderValue;

    use super::*;

    const OPEN: &[(&str, Open)] =
        &[("/", Open::Always), ("/events", Open::With("id")), ("/broadcasts", Open::Unguarded)];

    fn status(access: &Access, method: &Method, path: &str, route: &str, token: Option<&str>) -> u16 {
        let mut headers = HeaderMap::from_iter([(header::HOST, HeaderValue::from_static("127.0.0.1:7073"))]);
        if let Some(token) = token {
            headers.insert(header::AUTHORIZATION, HeaderValue::from_str(&format!("Bearer {token}")).unwrap());
        }
        let uri = path.parse().unwrap();
        let asked = Asked { route, method, uri: &uri, headers: &headers };
        access.check(asked).map_or_else(|Failed(status, _)| status.as_u16(), |()| 200)
    }

    #[test]
    fn what_is_read_may_need_a_token_and_pages_do_not() {
        let token = |text| Some(Secret::new(text));
        let open = Access { token: token("api"), open: OPEN, ..Access::default() };
        let guarded = Access { reading: token("read"), ..open.clone() };
        let public = Access { is_public: true, own: vec!["/whep".to_owned()], ..guarded.clone() };
        let get = &Method::GET;
        // Path, route; with no token and with each, where reading is open, guarded, and elsewhere.
        type Row = (&'static str, &'static str, [u16; 3], [u16; 3], [u16; 3]);
        let table: [Row; 9] = [
            ("/tree", "/tree", [401, 401, 200], [401, 200, 200], [404; 3]),
            ("/broadcasts", "/broadcasts", [200; 3], [401, 200, 200], [404; 3]),
            ("/status", "/status", [200; 3], [401, 200, 200], [404; 3]),
            ("/metrics", "/metrics", [200; 3], [401, 200, 200], [404; 3]),
            ("/healthz", "/healthz", [200; 3], [200; 3], [200; 3]),
            ("/?id=a", "/", [200; 3], [200; 3], [200; 3]),
            ("/events?viewer=b&id=a", "/events", [200; 3], [200; 3], [200; 3]),
            ("/events?id=&idx=1", "/events", [200; 3], [401, 200, 200], [404; 3]),
            ("/nowhere", "", [200; 3], [200; 3], [404; 3]),
        ];
        for (path, route, unguarded, reading, elsewhere) in table {
            for (access, wanted) in [(&open, unguarded), (&guarded, reading), (&public, elsewhere)] {
                let found =
                    [None, Some("read"), Some("api")].map(|token| status(access, get, path, route, token));
                assert_eq!(found, wanted, "{path} {}", access.is_public);
            }
        }
        assert_eq!(
            status(&guarded, &Method::POST, "/refresh", "/refresh", Some("read")),
            401,
            "it only reads"
        );
        assert_eq!(status(&guarded, &Method::POST, "/", "/", Some("read")), 401);
        assert_eq!(status(&guarded, &Method::POST, "/refresh", "/refresh", Some("api")), 200);
        assert_eq!(status(&public, &Method::POST, "/refresh", "/refresh", Some("api")), 404);
        assert_eq!(status(&public, &Method::POST, "/whep", "/whep", None), 200, "it has a door of its own");
    }

    #[test]
    fn the_page_of_the_tree_is_open_where_the_tree_is_and_shows_nothing_by_itself() {
        let token = Some(Secret::new("api"));
        let open = Access { token, ..Access::default() };
        let public = Access { is_public: true, ..open.clone() };
        let uri = "/tree".parse().unwrap();
        let of = |access: &Access, accept: &'static str| {
            let headers = HeaderMap::from_iter([(header::ACCEPT, HeaderValue::from_static(accept))]);
            let asked = Asked { route: "/tree", method: &Method::GET, uri: &uri, headers: &headers };
            access.check(asked).map_or_else(|Failed(status, _)| status.as_u16(), |()| 200)
        };
        let browser = "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8";
        assert_eq!(of(&open, browser), 200);
        assert_eq!(of(&open, "*/*"), 401, "what is in the tree is another matter");
        assert_eq!(of(&public, browser), 404, "viewers have another listener");
    }

    #[test]
    fn a_missing_and_a_wrong_token_are_told_apart() {
        let token = Secret::new("hunter2");
        let said = |value: Option<&'static str>| {
            let value = value.map(|value| (header::AUTHORIZATION, HeaderValue::from_static(value)));
            let checked = has(&HeaderMap::from_iter(value), &[&token], "the token (API_TOKEN)");
            checked.map_or_else(|Failed(status, why)| (status.as_u16(), why), |()| (200, String::new()))
        };
        assert_eq!(said(Some("Bearer hunter2")).0, 200);
        let [missing, wrong] = [None, Some("Bearer hunter3")].map(said);
        assert!(missing.0 == 401 && missing.1.starts_with("this needs the header"), "{missing:?}");
        assert!(wrong.0 == 401 && wrong.1.contains("is wrong"), "{wrong:?}");
        assert!(wrong.1.contains("(API_TOKEN)") && !wrong.1.contains("hunter"), "{wrong:?}");
    }
}
