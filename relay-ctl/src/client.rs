//! The HTTP API from the command line's side.

use std::io::Read;
use std::net::SocketAddr;
use std::time::Duration;

use node::http::Failure;
use node::secret::Secret;
use serde::Serialize;
use serde::de::DeserializeOwned;
use ureq::RequestBuilder;
use ureq::http::{StatusCode, header};

/// Why a request failed.
#[derive(Clone, Debug, thiserror::Error)]
pub enum ClientError {
    /// Nobody listens there.
    #[error("no relay-ctl answers on {api} ({why}); is it running? (`--api` names another address)")]
    NotRunning { api: SocketAddr, why: String },
    /// Somebody took the connection and says nothing.
    #[error(
        "the daemon on {api} took the connection and has not answered for {} s; look at its log, or restart it \
         (forwarding goes on meanwhile, but not in userspace mode)",
        .waited.as_secs_f64()
    )]
    Silent { api: SocketAddr, waited: Duration },
    /// The daemon refused, in its own words.
    #[error("{0}")]
    Refused(String),
    /// The daemon wants a token.
    #[error(
        "the daemon on {api} wants its token; set API_TOKEN to it, or --api-token-file to a file with it"
    )]
    TokenMissing { api: SocketAddr },
    /// It wants another one.
    #[error(
        "the daemon on {api} has another token than this one; set API_TOKEN or --api-token-file to what it has"
    )]
    TokenWrong { api: SocketAddr },
    /// The answer makes no sense.
    #[error("unexpected answer from {api}: {why}")]
    Answer { api: SocketAddr, why: String },
}

/// A daemon's API.
pub struct Client {
    api: SocketAddr,
    token: Option<Secret>,
    agent: ureq::Agent,
    /// How long `get` waits for the whole of an answer.
    patience: Option<Duration>,
}

impl Client {
    /// The API at an address, and the token that it may want. An unspecified address means this host.
    pub fn new(mut api: SocketAddr, token: Option<Secret>) -> Client {
        if api.ip().is_unspecified() {
            api.set_ip(match api {
                SocketAddr::V4(_) => std::net::Ipv4Addr::LOCALHOST.into(),
                SocketAddr::V6(_) => std::net::Ipv6Addr::LOCALHOST.into(),
            });
        }
        let agent = ureq::Agent::config_builder()
            .timeout_connect(Some(Duration::from_secs(2)))
            .http_status_as_error(false)
            .proxy(None)
            .build()
            .into();
        Client { api, token, agent, patience: None }
    }

    /// The same, waiting no longer than this for what is asked.
    pub fn patient_for(mut self, patience: Duration) -> Client {
        self.patience = Some(patience);
        self
    }

    /// The address that is asked.
    pub fn api(&self) -> SocketAddr {
        self.api
    }

    /// `GET path`.
    pub fn get<T: DeserializeOwned>(&self, path: &str) -> Result<T, ClientError> {
        let request = self.with_token(self.agent.get(self.url(path)));
        let request = request.config().timeout_global(self.patience).build();
        let mut response = self.checked(request.call())?;
        response.body_mut().read_json().map_err(|error| self.answer(error))
    }

    /// `POST path` with a body; the answer's body may be empty.
    pub fn post<B: Serialize>(&self, path: &str, body: &B) -> Result<Option<serde_json::Value>, ClientError> {
        let mut response = self.checked(self.with_token(self.agent.post(self.url(path))).send_json(body))?;
        let text = response.body_mut().read_to_string().map_err(|error| self.answer(error))?;
        Ok(serde_json::from_str(&text).ok())
    }

    /// `DELETE path`.
    pub fn delete(&self, path: &str) -> Result<(), ClientError> {
        self.checked(self.with_token(self.agent.delete(self.url(path))).call()).map(drop)
    }

    /// `GET path` as a stream.
    pub fn stream(&self, path: &str) -> Result<impl Read + use<>, ClientError> {
        let response = self.checked(self.with_token(self.agent.get(self.url(path))).call())?;
        Ok(response.into_body().into_reader())
    }

    fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.api)
    }

    fn with_token<B>(&self, request: RequestBuilder<B>) -> RequestBuilder<B> {
        match &self.token {
            Some(token) => request.header(header::AUTHORIZATION, format!("Bearer {}", token.reveal())),
            None => request,
        }
    }

    fn checked(
        &self,
        result: Result<ureq::http::Response<ureq::Body>, ureq::Error>,
    ) -> Result<ureq::http::Response<ureq::Body>, ClientError> {
        let mut response = result.map_err(|error| match error {
            ureq::Error::Io(_)
            | ureq::Error::ConnectionFailed
            | ureq::Error::Timeout(ureq::Timeout::Connect) => {
                ClientError::NotRunning { api: self.api, why: error.to_string() }
            }
            other => self.answer(other),
        })?;
        if response.status().is_success() {
            return Ok(response);
        }
        let status = response.status();
        if status == StatusCode::UNAUTHORIZED {
            return Err(match self.token {
                None => ClientError::TokenMissing { api: self.api },
                Some(_) => ClientError::TokenWrong { api: self.api },
            });
        }
        let body = response.body_mut().read_to_string().unwrap_or_default();
        Err(match serde_json::from_str::<Failure>(&body) {
            Ok(failure) => ClientError::Refused(failure.error),
            Err(_) => ClientError::Answer { api: self.api, why: format!("{status} {body}") },
        })
    }

    fn answer(&self, error: ureq::Error) -> ClientError {
        match (error, self.patience) {
            (ureq::Error::Timeout(_), Some(waited)) => ClientError::Silent { api: self.api, waited },
            (error, _) => ClientError::Answer { api: self.api, why: error.to_string() },
        }
    }
}
