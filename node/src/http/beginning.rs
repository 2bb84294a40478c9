//! How a connection begins: with a PROXY protocol header, if it is a proxy's that sends those; then with HTTP/1.1, or with
//! HTTP/2's preface (RFC 9113 section 3.4), for without TLS there is no other way to agree on that.

use std::io::{self, Cursor};
use std::net::SocketAddr;

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite};
use tokio::net::TcpStream;

use super::client::proxy_protocol::{self, Header};

/// RFC 9113 section 3.4.
const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/// What a connection speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Version {
    /// HTTP/1.0 or 1.1.
    One,
    /// HTTP/2, known beforehand.
    Two,
}

/// A connection, and what has been read of it already.
#[derive(Debug)]
pub struct Beginning {
    stream: TcpStream,
    read: Vec<u8>,
}

impl Beginning {
    /// Nothing has been read.
    pub fn new(stream: TcpStream) -> Beginning {
        // Events are small, and are sent when they happen.
        let _ = stream.set_nodelay(true);
        Beginning { stream, read: Vec::new() }
    }

    /// Takes the PROXY protocol header off, and gives for whom the proxy connects; `None`: for itself.
    pub async fn proxied(&mut self) -> io::Result<Option<SocketAddr>> {
        loop {
            match proxy_protocol::read(&self.read) {
                Header::Whole { length, source } => {
                    self.read.drain(..length);
                    return Ok(source);
                }
                Header::Bad(why) => return Err(io::Error::new(io::ErrorKind::InvalidData, why)),
                Header::Incomplete => self.more().await?,
            }
        }
    }

    /// Waits until it is known what is spoken.
    pub async fn version(&mut self) -> io::Result<Version> {
        loop {
            let common = self.read.len().min(PREFACE.len());
            if self.read[..common] != PREFACE[..common] {
                return Ok(Version::One);
            }
            if common == PREFACE.len() {
                return Ok(Version::Two);
            }
            self.more().await?;
        }
    }

    /// The connection, and what has been read of it already.
    pub fn into_parts(self) -> (TcpStream, Vec<u8>) {
        (self.stream, self.read)
    }

    /// The connection, as if nothing had been read of it but what was taken off.
    pub fn into_stream(self) -> impl AsyncRead + AsyncWrite + Send + Unpin + 'static {
        let (read, write) = self.stream.into_split();
        tokio::io::join(Cursor::new(self.read).chain(read), write)
    }

    async fn more(&mut self) -> io::Result<()> {
        let mut part = [0; 512];
        match self.stream.read(&mut part).await? {
            0 => Err(io::ErrorKind::UnexpectedEof.into()),
            length => {
                self.read.extend_from_slice(&part[..length]);
                Ok(())
            }
        }
    }
}
