//! Requests that a command makes of nodes, wherever in the tree they are: by HTTP or HTTPS, bounded in time and in what is read.

use std::time::Duration;

use axum::body::Bytes;
use axum::http::{HeaderValue, Method, Request, StatusCode, Uri, header};
use http_body_util::{BodyExt, Full, Limited};
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::http::Failure;
use crate::outgoing::{HttpClient, client, innermost};
use crate::secret::Secret;
use crate::trust::TrustedHosts;

/// Longest answer that is read: a tree with all that is shown of it is less.
const LONGEST: usize = 8 << 20;

/// What says whom it may be shown to.
const TRUSTS: &str = "NODE_TOKEN_HOSTS, --node-token-host";

/// Asks nodes.
#[derive(Clone)]
pub struct Asking {
    client: HttpClient,
    token: Option<Secret>,
    trusted: TrustedHosts,
    patience: Duration,
}

/// Why there is no answer of use.
#[derive(Clone, Debug, thiserror::Error, PartialEq, Eq)]
pub enum Unheard {
    /// Nobody answers, or not in time.
    #[error("{url} does not answer ({why})")]
    Silent {
        /// What was asked.
        url: String,
        /// Why.
        why: String,
    },
    /// It wants a token.
    #[error("{url} wants {}; set API_TOKEN or --api-token-file to the node's token", if *.shown { "another token than it was shown" } else { "a token" })]
    Token {
        /// What was asked.
        url: String,
        /// It was shown one.
        shown: bool,
    },
    /// It wants a token, and is not to be shown the one that there is.
    #[error(
        "{url} wants a token, and is none of the hosts that it may be shown to; name it ({}) if it is a node's",
        TRUSTS
    )]
    Untrusted {
        /// What was asked.
        url: String,
    },
    /// It refused, in its own words.
    #[error("{url}: {why}")]
    Refused {
        /// What was asked.
        url: String,
        /// Status.
        status: StatusCode,
        /// Why.
        why: String,
    },
}

impl Asking {
    /// With this token, if any. `patience`: for a whole answer.
    pub fn new(token: Option<Secret>, patience: Duration) -> Asking {
        Asking { client: client(), token, trusted: TrustedHosts::default(), patience }
    }

    /// The token is shown to these hosts only.
    pub fn trusting(self, trusted: TrustedHosts) -> Asking {
        Asking { trusted, ..self }
    }

    /// `GET url`, as JSON.
    pub async fn get<T: DeserializeOwned>(&self, url: &str) -> Result<T, Unheard> {
        self.ask(Method::GET, url, None::<&()>).await
    }

    /// Any method, with a body or without; the answer is JSON.
    pub async fn ask<T: DeserializeOwned>(
        &self,
        method: Method,
        url: &str,
        body: Option<&impl Serialize>,
    ) -> Result<T, Unheard> {
        let silent = |why: String| Unheard::Silent { url: url.to_owned(), why };
        let asking = tokio::time::timeout(self.patience, self.answer(method, url, body));
        let late = || silent(format!("not within {} s", self.patience.as_secs_f64()));
        let (status, text) = asking.await.unwrap_or_else(|_| Err(late()))?;
        let refused = |why: String| Unheard::Refused { url: url.to_owned(), status, why };
        if status == StatusCode::UNAUTHORIZED && self.token.is_some() && !self.trusted.admit(url) {
            return Err(Unheard::Untrusted { url: url.to_owned() });
        }
        if status == StatusCode::UNAUTHORIZED {
            return Err(Unheard::Token { url: url.to_owned(), shown: self.token.is_some() });
        }
        if !status.is_success() {
            let said = serde_json::from_slice::<Failure>(&text).map(|failure| failure.error);
            return Err(refused(said.unwrap_or_else(|_| status.to_string())));
        }
        serde_json::from_slice(&text).map_err(|error| refused(format!("unexpected answer: {error}")))
    }

    async fn answer(
        &self,
        method: Method,
        url: &str,
        body: Option<&impl Serialize>,
    ) -> Result<(StatusCode, Bytes), Unheard> {
        let silent = |why: String| Unheard::Silent { url: url.to_owned(), why };
        let address: Uri = url.parse().map_err(|error| silent(format!("this is no address: {error}")))?;
        let text = match body {
            Some(body) => serde_json::to_vec(body).map_err(|error| silent(error.to_string()))?,
            None => Vec::new(),
        };
        let mut request = Request::new(Full::new(Bytes::from(text)));
        *request.method_mut() = method;
        *request.uri_mut() = address;
        let headers = request.headers_mut();
        headers.insert(header::ACCEPT, HeaderValue::from_static("application/json"));
        if body.is_some() {
            headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
        }
        if let Some(token) = self.token.as_ref().filter(|_| self.trusted.admit(url)) {
            let value = HeaderValue::try_from(format!("Bearer {}", token.reveal()));
            let mut value = value.map_err(|_| silent("the token cannot stand in a header".to_owned()))?;
            value.set_sensitive(true);
            headers.insert(header::AUTHORIZATION, value);
        }
        let answer = self.client.request(request).await.map_err(|error| silent(innermost(&error)))?;
        let status = answer.status();
        let whole = Limited::new(answer.into_body(), LONGEST).collect().await;
        let whole = whole.map_err(|error| silent(innermost(&*error)))?;
        Ok((status, whole.to_bytes()))
    }
}
