//! [`Endpoint`], [`Resource`]: WHIP (RFC 9725) and WHEP as a client makes its requests: an offer is POSTed, the answer is a
//! description, what `Location` names is DELETEd. Over TLS, whom to trust is read from SSL_CERT_FILE.

use std::io::Write;
use std::net::{SocketAddr, TcpStream, ToSocketAddrs};
use std::time::Duration;

use anyhow::{Context, Result, bail};
use lab::http::{Response, exchange};
use openssl::ssl::{SslConnector, SslMethod};

/// For a connection.
const CONNECTED: Duration = Duration::from_secs(5);
/// The relation of `Link` to the events of an egress of ours.
const EVENTS: &str = "urn:x-media-tree:events";
/// How often a request is sent on.
const REDIRECTIONS: usize = 3;
/// For an answer.
const PATIENCE: Duration = Duration::from_secs(30);

/// Where offers go.
#[derive(Clone, Debug)]
pub struct Endpoint {
    url: Url,
    /// Of the scheme Bearer.
    token: Option<String>,
}

/// What an offer has made.
#[derive(Clone, Debug)]
pub struct Resource {
    url: Url,
    /// Where our own servers say what happens.
    events: Option<Url>,
    token: Option<String>,
    on_behalf_of: Option<String>,
}

/// What came of an offer.
pub enum Answer {
    /// The other side's description.
    Created(String, Resource),
    /// Status and what was said.
    Refused(u16, String),
}

impl Endpoint {
    /// Of an `http://` or `https://` address; the token is left away if it is empty.
    pub fn new(url: &str, token: Option<String>) -> Result<Self> {
        Ok(Self { url: Url::parse(url)?, token: token.filter(|token| !token.is_empty()) })
    }

    /// Where it is.
    pub fn address(&self) -> Result<SocketAddr> {
        self.url.address()
    }

    /// Offers; with `on_behalf_of` as a proxy does that this client has asked.
    pub fn offer(&self, sdp: &str, on_behalf_of: Option<&str>) -> Result<Answer> {
        let headers = headers(self.token.as_deref(), on_behalf_of);
        let headers = [&headers[..], &["Content-Type: application/sdp".into()]].concat();
        let (at, answer) = self.url.followed("POST", &headers, sdp)?;
        if answer.status != 201 {
            return Ok(Answer::Refused(answer.status, answer.body));
        }
        let url = at.relative(header(&answer.head, "location").next().context("a 201 without Location")?)?;
        let events = header(&answer.head, "link").find(|link| link.contains(EVENTS));
        let events = events.and_then(|link| link.split(['<', '>']).nth(1));
        let resource = Resource {
            url,
            events: events.map(|events| at.relative(events)).transpose()?,
            token: self.token.clone(),
            on_behalf_of: on_behalf_of.map(str::to_owned),
        };
        Ok(Answer::Created(answer.body, resource))
    }
}

impl Resource {
    /// Ends it; an error unless it is there and is ended.
    pub fn delete(&self) -> Result<()> {
        let headers = headers(self.token.as_deref(), self.on_behalf_of.as_deref());
        let answer = self.url.request("DELETE", &headers, "")?;
        anyhow::ensure!(answer.status == 200, "DELETE is answered {}", answer.status);
        Ok(())
    }

    /// Whether its server says, within this time, that it keeps it.
    pub fn is_kept(&self, within: Duration) -> bool {
        let headers = headers(self.token.as_deref(), self.on_behalf_of.as_deref());
        self.url.request_within("GET", &headers, "", within).is_ok_and(|answer| answer.status == 204)
    }

    /// A connection on which its server says what happens, as server-sent events.
    pub fn listen(&self) -> Result<TcpStream> {
        let events = self.events.as_ref().context("this server has no events of ours")?;
        let mut parts = self.url.path.rsplit('/');
        let (viewer, session) = (parts.next().unwrap_or_default(), parts.next().unwrap_or_default());
        let mut stream = TcpStream::connect_timeout(&events.address()?, CONNECTED)?;
        stream.set_read_timeout(Some(PATIENCE))?;
        let headers: String =
            headers(None, self.on_behalf_of.as_deref()).iter().map(|line| format!("{line}\r\n")).collect();
        write!(
            stream,
            "GET {}?id={session}&viewer={viewer} HTTP/1.1\r\nHost: {}\r\n{headers}\r\n",
            events.path, events.authority
        )?;
        Ok(stream)
    }
}

/// The values of a header.
fn header<'a>(head: &'a str, wanted: &str) -> impl Iterator<Item = &'a str> {
    head.lines().filter_map(move |line| {
        let (name, value) = line.split_once(':')?;
        name.eq_ignore_ascii_case(wanted).then(|| value.trim())
    })
}

fn headers(token: Option<&str>, on_behalf_of: Option<&str>) -> Vec<String> {
    let token = token.map(|token| format!("Authorization: Bearer {token}"));
    token.into_iter().chain(on_behalf_of.map(|client| format!("X-Forwarded-For: {client}"))).collect()
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct Url {
    tls: bool,
    /// With the port if one is given, as in the header `Host`.
    authority: String,
    path: String,
}

impl Url {
    fn parse(text: &str) -> Result<Self> {
        let (tls, rest) = match text.split_once("://") {
            Some(("http", rest)) => (false, rest),
            Some(("https", rest)) => (true, rest),
            _ => bail!("{text} is neither http:// nor https://"),
        };
        let (authority, path) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
        let path = if path.is_empty() { "/" } else { path };
        Ok(Self { tls, authority: authority.to_owned(), path: path.to_owned() })
    }

    /// What a `Location` or `Link` means that was sent from here (RFC 3986 section 5.2, with dots only at its beginning).
    fn relative(&self, location: &str) -> Result<Self> {
        if location.contains("://") {
            return Self::parse(location);
        }
        let mut folder = &self.path[..=self.path.rfind('/').unwrap_or(0)];
        let mut location = location;
        while let Some(rest) = location.strip_prefix("../") {
            location = rest;
            folder = &folder[..=folder.trim_end_matches('/').rfind('/').unwrap_or(0)];
        }
        let path =
            if location.starts_with('/') { location.to_owned() } else { format!("{folder}{location}") };
        Ok(Self { path, ..self.clone() })
    }

    /// Without port and brackets.
    fn host(&self) -> &str {
        let end = self.authority.rfind(':').filter(|end| !self.authority[*end..].contains(']'));
        self.authority[..end.unwrap_or(self.authority.len())].trim_start_matches('[').trim_end_matches(']')
    }

    fn port(&self) -> Result<u16> {
        match self.authority.rsplit_once(':').filter(|(_, port)| !port.contains(']')) {
            Some((_, port)) => port.parse().with_context(|| format!("{port} is no port")),
            None => Ok(if self.tls { 443 } else { 80 }),
        }
    }

    fn address(&self) -> Result<SocketAddr> {
        let found = (self.host(), self.port()?).to_socket_addrs();
        let found = found.with_context(|| format!("looking up {}", self.host()))?.next();
        found.with_context(|| format!("{} has no address", self.host()))
    }

    /// What comes of a request, and from where: it is made again where it is sent to (307, 308), with the same credentials.
    fn followed(&self, method: &str, headers: &[String], body: &str) -> Result<(Self, Response)> {
        let mut at = self.clone();
        for _ in 0..=REDIRECTIONS {
            let answer = at.request(method, headers, body)?;
            if !matches!(answer.status, 307 | 308) {
                return Ok((at, answer));
            }
            at = at.relative(header(&answer.head, "location").next().context("a 307 without Location")?)?;
        }
        bail!("{method} {} is sent on and on", self.path)
    }

    fn request(&self, method: &str, headers: &[String], body: &str) -> Result<Response> {
        self.request_within(method, headers, body, PATIENCE)
    }

    fn request_within(
        &self,
        method: &str,
        headers: &[String],
        body: &str,
        within: Duration,
    ) -> Result<Response> {
        let Self { authority, path, .. } = self;
        let mut text = format!(
            "{method} {path} HTTP/1.1\r\nHost: {authority}\r\nConnection: close\r\nContent-Length: {}\r\n",
            body.len()
        );
        for header in headers {
            text += header;
            text += "\r\n";
        }
        text += "\r\n";
        text += body;
        self.exchanged(&text, within).with_context(|| format!("{method} {path} at {authority}"))
    }

    fn exchanged(&self, request: &str, within: Duration) -> Result<Response> {
        let stream =
            TcpStream::connect_timeout(&self.address()?, within.min(CONNECTED)).context("connecting")?;
        stream.set_read_timeout(Some(within))?;
        if !self.tls {
            return exchange(stream, request);
        }
        let connector = SslConnector::builder(SslMethod::tls()).context("TLS")?.build();
        exchange(
            connector.connect(self.host(), stream).map_err(|error| anyhow::anyhow!("TLS: {error}"))?,
            request,
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn urls_are_taken_apart() {
        let table = [
            ("http://10.0.0.1:7070/whip/endpoint/show", ("10.0.0.1", 7070, "/whip/endpoint/show")),
            ("https://tree.example/studio/whip", ("tree.example", 443, "/studio/whip")),
            ("http://[fd00::1]:80", ("fd00::1", 80, "/")),
            ("http://[fd00::1]/a", ("fd00::1", 80, "/a")),
        ];
        for (text, wanted) in table {
            let url = Url::parse(text).unwrap();
            assert_eq!((url.host(), url.port().unwrap(), url.path.as_str()), wanted, "{text}");
        }
        assert!(Url::parse("rtmp://10.0.0.1/live").is_err());
        assert!(Url::parse("http://host:port/").unwrap().port().is_err());
    }

    #[test]
    fn a_location_may_be_relative() {
        let base = Url::parse("http://node:1/watch/whep/endpoint/show").unwrap();
        for (location, wanted) in [
            ("http://other/a", "http://other/a"),
            ("/whep/resource/1", "http://node:1/whep/resource/1"),
            ("show/1", "http://node:1/watch/whep/endpoint/show/1"),
            ("../../events", "http://node:1/watch/events"),
            ("../../../../../events", "http://node:1/events"),
        ] {
            assert_eq!(base.relative(location).unwrap(), Url::parse(wanted).unwrap(), "{location}");
        }
    }
}
