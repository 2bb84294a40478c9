//! Whether STUN and TURN servers answer, and let clients in (RFC 8489, RFC 8656): as a browser would, each is asked for an
//! address to relay by, and given it back.

use std::net::SocketAddr;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use stun_types::attribute::{
    AttributeType, ErrorCode, Nonce, RawAttribute, Realm, Username, XorMappedAddress,
};
use stun_types::message::{
    BINDING, IntegrityAlgorithm, LongTermCredentials, Message, MessageClass, MessageWriteVec, Method,
};
use stun_types::prelude::*;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpStream, UdpSocket};
use tokio::time::timeout;
use tokio_rustls::rustls::pki_types::ServerName;

use super::Finding;
use crate::ice::{Credentials, IceServers, IceUrl, Transport};
use crate::redis::dial::{Stream, tls};

/// Longest wait for a connection, and for an answer.
const PATIENCE: Duration = Duration::from_secs(3);
/// A request by UDP is sent again so often, in that time.
const TRIES: u32 = 3;
/// RFC 8656 section 18.
const ALLOCATE: Method = Method::new(3);
const REFRESH: Method = Method::new(4);
const REQUESTED_TRANSPORT: AttributeType = AttributeType::new(0x0019);
const LIFETIME: AttributeType = AttributeType::new(0x000d);
/// REQUESTED-TRANSPORT: UDP.
const RELAY_BY_UDP: [u8; 4] = [17, 0, 0, 0];
/// Longest answer.
const LONGEST: usize = 2048;

/// All servers, one after the other; nothing when there are none.
pub async fn answer(servers: &IceServers) -> Vec<Finding> {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    let credentials = servers.login.credentials(now, "doctor");
    let mut findings = Vec::new();
    for url in &servers.urls {
        let fix = match url.is_turn() {
            true => {
                "is the server running, does the firewall let this through, and does it know this secret or password?"
            }
            false => "is the server running, and does the firewall let this through?",
        };
        let result = ask(url, credentials.as_ref()).await;
        findings.push(Finding::needed(&url.to_string(), result, fix));
    }
    findings
}

async fn ask(url: &IceUrl, credentials: Option<&Credentials>) -> Result<String, String> {
    let mut server = Server::connect(url).await?;
    match credentials.filter(|_| url.is_turn()) {
        Some(credentials) => server.allocate(credentials).await,
        None => server.bind().await,
    }
}

/// A way to speak to a server.
enum Server {
    ByUdp(UdpSocket),
    ByStream(Box<dyn Stream>),
}

impl Server {
    async fn connect(url: &IceUrl) -> Result<Server, String> {
        let unknown = |why: String| format!("{} cannot be looked up: {why}", url.host);
        let mut found = tokio::net::lookup_host((&*url.host, url.port()))
            .await
            .map_err(|error| unknown(error.to_string()))?;
        let address = found.next().ok_or_else(|| unknown("it has no address".to_owned()))?;
        let failed = |error: std::io::Error| format!("{address}: {error}");
        if url.transport() == Transport::Udp {
            if url.is_secure() {
                return Err("TLS over UDP (DTLS) is not tried here".to_owned());
            }
            let local: SocketAddr =
                if address.is_ipv4() { ([0; 4], 0).into() } else { ([0_u16; 8], 0).into() };
            let socket = UdpSocket::bind(local).await.map_err(failed)?;
            socket.connect(address).await.map_err(failed)?;
            return Ok(Server::ByUdp(socket));
        }
        let stream =
            timeout(PATIENCE, TcpStream::connect(address)).await.map_err(|_| silent())?.map_err(failed)?;
        if !url.is_secure() {
            return Ok(Server::ByStream(Box::new(stream)));
        }
        let name = ServerName::try_from(url.host.clone()).map_err(|error| error.to_string())?;
        let connector = tls(None).map_err(|failure| failure.to_string())?;
        let stream = timeout(PATIENCE, connector.connect(name, stream)).await.map_err(|_| silent())?;
        Ok(Server::ByStream(Box::new(stream.map_err(|error| format!("TLS: {error}"))?)))
    }

    /// What address are we seen by?
    async fn bind(&mut self) -> Result<String, String> {
        let answer =
            self.exchange(&Message::builder_request(BINDING, MessageWriteVec::new()).finish()).await?;
        let answer = read(&answer)?;
        let seen = answer.attribute::<XorMappedAddress>().map(|seen| seen.addr(answer.transaction_id()));
        match seen {
            Ok(seen) if answer.has_class(MessageClass::Success) => Ok(format!("sees this node as {seen}")),
            _ => Err(refusal(&answer)),
        }
    }

    /// May we relay by you? It says first what it wants to be told.
    async fn allocate(&mut self, credentials: &Credentials) -> Result<String, String> {
        let transport = RawAttribute::new(REQUESTED_TRANSPORT, &RELAY_BY_UDP);
        let first = self.exchange(&request(ALLOCATE, &transport, None)?).await?;
        let first = read(&first)?;
        if first.has_class(MessageClass::Success) {
            return Err("it relays for everybody, without asking for credentials".to_owned());
        }
        let (realm, nonce) = (first.attribute::<Realm>(), first.attribute::<Nonce>());
        let (Ok(realm), Ok(nonce)) = (realm, nonce) else { return Err(refusal(&first)) };
        let login = Login { credentials, realm: realm.realm(), nonce: nonce.nonce() };
        let second = self.exchange(&request(ALLOCATE, &transport, Some(&login))?).await?;
        let second = read(&second)?;
        if !second.has_class(MessageClass::Success) {
            return Err(refusal(&second));
        }
        // What was given is given back; that fails only with the connection, and then it is as good as given back.
        let over = RawAttribute::new(LIFETIME, &[0; 4]);
        let _ = self.exchange(&request(REFRESH, &over, Some(&login))?).await;
        Ok("lets clients in and relays".to_owned())
    }

    async fn exchange(&mut self, request: &[u8]) -> Result<Vec<u8>, String> {
        let broken = |error: std::io::Error| error.to_string();
        match self {
            Server::ByUdp(socket) => {
                let mut answer = vec![0; LONGEST];
                for _ in 0..TRIES {
                    socket.send(request).await.map_err(broken)?;
                    if let Ok(length) = timeout(PATIENCE / TRIES, socket.recv(&mut answer)).await {
                        answer.truncate(length.map_err(broken)?);
                        return Ok(answer);
                    }
                }
                Err(silent())
            }
            Server::ByStream(stream) => {
                let answer = async {
                    stream.write_all(request).await?;
                    stream.flush().await?;
                    let mut answer = vec![0; 20];
                    stream.read_exact(&mut answer).await?;
                    let length = usize::from(u16::from_be_bytes([answer[2], answer[3]])).min(LONGEST);
                    answer.resize(20 + length, 0);
                    stream.read_exact(&mut answer[20..]).await?;
                    Ok(answer)
                };
                timeout(PATIENCE, answer).await.map_err(|_| silent())?.map_err(broken)
            }
        }
    }
}

/// What a server wants to be told.
struct Login<'a> {
    credentials: &'a Credentials,
    realm: &'a str,
    nonce: &'a str,
}

fn request(
    method: Method,
    attribute: &RawAttribute<'_>,
    login: Option<&Login<'_>>,
) -> Result<Vec<u8>, String> {
    let failed = |error: stun_types::message::StunWriteError| error.to_string();
    let mut request = Message::builder_request(method, MessageWriteVec::new());
    request.add_attribute(attribute).map_err(failed)?;
    if let Some(Login { credentials, realm, nonce }) = login {
        request.add_attribute(&Username::new(&credentials.username).map_err(failed)?).map_err(failed)?;
        request.add_attribute(&Realm::new(realm).map_err(failed)?).map_err(failed)?;
        request.add_attribute(&Nonce::new(nonce).map_err(failed)?).map_err(failed)?;
        let password = credentials.password.reveal().to_owned();
        let key =
            LongTermCredentials::new(credentials.username.clone(), password).to_key((*realm).to_owned());
        request.add_message_integrity(&key.into(), IntegrityAlgorithm::Sha1).map_err(failed)?;
    }
    Ok(request.finish())
}

fn read(answer: &[u8]) -> Result<Message<'_>, String> {
    Message::from_bytes(answer).map_err(|error| format!("its answer is no STUN message: {error}"))
}

fn refusal(answer: &Message<'_>) -> String {
    match answer.attribute::<ErrorCode>() {
        Ok(error) if error.code() == 401 => "it does not let these credentials in (401)".to_owned(),
        Ok(error) => format!("it refuses: {} ({})", error.reason(), error.code()),
        Err(_) => "it answers something that makes no sense".to_owned(),
    }
}

fn silent() -> String {
    format!("no answer within {} s", PATIENCE.as_secs())
}
