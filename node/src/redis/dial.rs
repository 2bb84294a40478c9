//! The stream under a connection: TCP, and TLS over it.
//!
//! The redis crate could do this itself, but it trusts either the usual authorities or a given one, and takes its
//! cryptography from a setting of the whole process. A node trusts both, and settles that for itself.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use redis::aio::MultiplexedConnection;
use redis::{AsyncConnectionConfig, RedisConnectionInfo};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite};
use tokio::net::TcpStream;
use tokio::task::JoinSet;
use tokio::time::timeout;
use tokio_rustls::TlsConnector;
use tokio_rustls::rustls::pki_types::pem::PemObject;
use tokio_rustls::rustls::pki_types::{CertificateDer, ServerName};
use tokio_rustls::rustls::{ClientConfig, RootCertStore, crypto::ring};

use super::failure::Failure;

/// Anything that a connection can be made of.
pub trait Stream: AsyncRead + AsyncWrite + Send + Unpin {}

impl<S: AsyncRead + AsyncWrite + Send + Unpin> Stream for S {}

/// Host and port as people write them.
pub fn address(host: &str, port: u16) -> String {
    if host.contains(':') { format!("[{host}]:{port}") } else { format!("{host}:{port}") }
}

/// Opens a stream within a time.
pub async fn dial(
    host: &str,
    port: u16,
    tls: Option<&TlsConnector>,
    within: Duration,
) -> Result<Box<dyn Stream>, Failure> {
    let address = address(host, port);
    timeout(within, open(host, port, &address, tls, within)).await.unwrap_or(Err(Failure::Silent { address }))
}

async fn open(
    host: &str,
    port: u16,
    address: &str,
    tls: Option<&TlsConnector>,
    within: Duration,
) -> Result<Box<dyn Stream>, Failure> {
    let unknown = |why: String| Failure::Unknown { host: host.to_owned(), why };
    let places: Vec<_> = match tokio::net::lookup_host((host, port)).await {
        Ok(places) => places.collect(),
        Err(error) => return Err(unknown(error.to_string())),
    };
    let mut failure = unknown("it has no address".to_owned());
    // One address that swallows packets must not keep us from the next.
    let share = within / (places.len().max(1) as u32);
    for place in places {
        match timeout(share, TcpStream::connect(place)).await {
            Ok(Ok(stream)) => return secure(host, address, stream, tls).await,
            Ok(Err(error)) => {
                failure = Failure::Unreachable { address: address.to_owned(), why: error.to_string() };
            }
            Err(_) => failure = Failure::Silent { address: address.to_owned() },
        }
    }
    Err(failure)
}

async fn secure(
    host: &str,
    address: &str,
    stream: TcpStream,
    tls: Option<&TlsConnector>,
) -> Result<Box<dyn Stream>, Failure> {
    // Requests are small and wait for answers: Nagle would only delay them.
    stream
        .set_nodelay(true)
        .map_err(|error| Failure::Lost { address: address.to_owned(), why: error.to_string() })?;
    let Some(tls) = tls else { return Ok(Box::new(stream)) };
    let failed = |why: String| Failure::Tls { address: address.to_owned(), why };
    let name = ServerName::try_from(host.to_owned()).map_err(|error| failed(error.to_string()))?;
    let stream = tls.connect(name, stream).await.map_err(|error| failed(error.to_string()))?;
    Ok(Box::new(stream))
}

/// Whether a server hangs up because it is in protected mode. It says so before it has read anything, so that whoever has
/// written something to it by then often sees no more than a connection that broke.
pub async fn is_protected(host: &str, port: u16, within: Duration) -> bool {
    let reading = async {
        let mut said = [0; 7];
        TcpStream::connect((host, port)).await.ok()?.read_exact(&mut said).await.ok()?;
        Some(said == *b"-DENIED")
    };
    timeout(within, reading).await.ok().flatten().unwrap_or(false)
}

/// A connection for commands, over a stream.
pub async fn commands_over<S>(
    info: &RedisConnectionInfo,
    stream: S,
    answer: Duration,
    tasks: &mut JoinSet<()>,
) -> redis::RedisResult<MultiplexedConnection>
where
    S: Unpin + tokio::io::AsyncRead + tokio::io::AsyncWrite + Send + 'static,
{
    let config = AsyncConnectionConfig::new().set_response_timeout(Some(answer));
    let (commands, driver) = MultiplexedConnection::new_with_config(info, stream, config).await?;
    tasks.spawn(driver);
    Ok(commands)
}

/// TLS that trusts the machine's authorities and those in a file (PEM).
pub fn tls(authority: Option<&Path>) -> Result<TlsConnector, Failure> {
    let mut roots = RootCertStore::empty();
    // What cannot be read of the machine's own is not trusted, and that is all.
    roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
    if let Some(file) = authority {
        let failed = |why: String| Failure::Authority { file: file.display().to_string(), why };
        let certificates = CertificateDer::pem_file_iter(file)
            .and_then(Iterator::collect::<Result<Vec<_>, _>>)
            .map_err(|error| failed(error.to_string()))?;
        if certificates.is_empty() {
            return Err(failed("there is no certificate in it".to_owned()));
        }
        for certificate in certificates {
            roots.add(certificate).map_err(|error| failed(error.to_string()))?;
        }
    }
    let config = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .map_err(|error| Failure::Other { address: "TLS".to_owned(), why: error.to_string() })?
        .with_root_certificates(roots)
        .with_no_client_auth();
    Ok(TlsConnector::from(Arc::new(config)))
}
