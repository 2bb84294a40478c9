//! Requests that a node makes of others: HTTP/1.1 and HTTPS with the usual authorities, connections kept. Bounded in time, and in
//! what is read of an answer, which is its status.

use std::sync::Arc;
use std::time::Duration;

use axum::body::Bytes;
use axum::http::{HeaderMap, HeaderValue, Method, Request, StatusCode, Uri, header};
use http_body_util::Full;
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::{TokioExecutor, TokioTimer};
use tokio_rustls::rustls::{ClientConfig, RootCertStore, crypto::ring};

/// Connections that are kept for the next request, …
const KEPT: usize = 16;
/// … and for how long.
const KEPT_FOR: Duration = Duration::from_secs(30);
/// Who asks.
const AGENT: HeaderValue = HeaderValue::from_static(concat!("media-tree/", env!("CARGO_PKG_VERSION")));

/// Makes requests.
pub(crate) type HttpClient = Client<HttpsConnector<HttpConnector>, Full<Bytes>>;

/// Where JSON is posted to.
#[derive(Clone)]
pub struct Outgoing {
    client: HttpClient,
    url: Uri,
}

/// Asks whether somebody is there.
#[derive(Clone)]
pub struct Probe {
    client: Client<HttpsConnector<HttpConnector>, Full<Bytes>>,
}

impl Default for Probe {
    fn default() -> Probe {
        Probe { client: client() }
    }
}

impl Probe {
    /// The status of the answer to a GET. Nobody is followed elsewhere.
    pub async fn status(&self, url: &str, patience: Duration) -> Result<StatusCode, Unanswered> {
        let failed = |why: String| Unanswered::Failed { place: url.to_owned(), why };
        let uri: Uri = url.parse().map_err(|_| failed("this is no address".to_owned()))?;
        let mut request = Request::new(Full::new(Bytes::new()));
        *request.uri_mut() = uri;
        request.headers_mut().insert(header::USER_AGENT, AGENT);
        match tokio::time::timeout(patience, self.client.request(request)).await {
            Ok(Ok(answer)) => Ok(answer.status()),
            Ok(Err(error)) => Err(failed(innermost(&error))),
            Err(_) => Err(Unanswered::Late { place: url.to_owned(), patience }),
        }
    }
}

/// Why there is no answer.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Unanswered {
    /// It took too long.
    #[error("{place} does not answer within {} s", .patience.as_secs_f64())]
    Late {
        /// Who was asked.
        place: String,
        /// How long that was waited for.
        patience: Duration,
    },
    /// The connection failed.
    #[error("{place}: {why}")]
    Failed {
        /// Who was asked.
        place: String,
        /// Why, in the words of what failed.
        why: String,
    },
}

impl Outgoing {
    /// To this address; see [`url`] for what it may be.
    pub fn new(url: Uri) -> Outgoing {
        Outgoing { client: client(), url }
    }

    /// Posts; gives the status of the answer. Nobody is followed elsewhere.
    pub async fn post(
        &self,
        headers: HeaderMap,
        body: Vec<u8>,
        patience: Duration,
    ) -> Result<StatusCode, Unanswered> {
        let mut request = Request::new(Full::new(Bytes::from(body)));
        *request.method_mut() = Method::POST;
        *request.uri_mut() = self.url.clone();
        *request.headers_mut() = headers;
        let json = HeaderValue::from_static("application/json");
        request.headers_mut().insert(header::CONTENT_TYPE, json);
        request.headers_mut().insert(header::USER_AGENT, AGENT);
        match tokio::time::timeout(patience, self.client.request(request)).await {
            Ok(Ok(answer)) => Ok(answer.status()),
            Ok(Err(error)) => Err(Unanswered::Failed { place: self.place(), why: innermost(&error) }),
            Err(_) => Err(Unanswered::Late { place: self.place(), patience }),
        }
    }

    /// Where it is, without the path and query, in which there may be a secret.
    pub fn place(&self) -> String {
        let host = self.url.authority().map_or("", |authority| authority.as_str());
        format!("{}://{host}", self.url.scheme_str().unwrap_or("http"))
    }
}

/// What requests are made with: HTTP/1.1, in the open or by TLS.
pub(crate) fn client() -> HttpClient {
    let mut http = HttpConnector::new();
    http.enforce_http(false);
    http.set_nodelay(true);
    let connector = HttpsConnectorBuilder::new()
        .with_tls_config(tls())
        .https_or_http()
        .enable_http1()
        .wrap_connector(http);
    Client::builder(TokioExecutor::new())
        .pool_max_idle_per_host(KEPT)
        .pool_idle_timeout(KEPT_FOR)
        .pool_timer(TokioTimer::new())
        .build(connector)
}

/// Reads an address to post to.
pub fn url(text: &str) -> Result<Uri, String> {
    let form = || "must be http://HOST[:PORT]/PATH or https://…, without a user or password".to_owned();
    let url: Uri = text.parse().map_err(|_| form())?;
    let sound = matches!(url.scheme_str(), Some("http" | "https"))
        && url.authority().is_some_and(|authority| {
            // A user, or a port that is none, makes it another text than host and port.
            let host = authority.host();
            let port = authority.port_u16().filter(|port| *port != 0);
            let whole = port.map_or_else(|| host.to_owned(), |port| format!("{host}:{port}"));
            !host.is_empty() && authority.as_str() == whole
        });
    if sound { Ok(url) } else { Err(form()) }
}

/// The usual authorities. That there are none matters to who asks by https, and shows then.
fn tls() -> ClientConfig {
    let mut roots = RootCertStore::empty();
    roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
    let builder = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()));
    let builder =
        builder.with_safe_default_protocol_versions().expect("ring has what both versions of TLS need");
    builder.with_root_certificates(roots).with_no_client_auth()
}

/// What is behind "client error (Connect)".
pub(crate) fn innermost(error: &dyn std::error::Error) -> String {
    let mut cause = error;
    while let Some(deeper) = cause.source() {
        cause = deeper;
    }
    cause.to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_http_and_have_no_password_in_them() {
        for good in ["http://127.0.0.1:9000/hook", "https://hooks.example", "http://[::1]:80/a?b=c"] {
            assert!(url(good).is_ok(), "{good}");
        }
        for bad in [
            "",
            "hook",
            "/hook",
            "ftp://h/",
            "http:///x",
            "http://u:p@h/",
            "http://h:0/",
            "http://h:99999/",
            "http://a b/",
        ] {
            assert!(url(bad).unwrap_err().starts_with("must be http://"), "{bad}");
        }
        assert_eq!(Outgoing::new(url("https://h:1/secret?token=x").unwrap()).place(), "https://h:1");
    }
}
