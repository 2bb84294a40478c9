//! RTMP, for encoders that do not speak WHIP: `rtmp://HOST:1935/live/SESSION?token=TOKEN`.
//!
//! ```text
//! encoder --RTMP--> H264 as it is, or decoded and encoded anew --+
//!                   AAC --> Opus --------------------------------+--> webrtcbin --> Janus, as any WHIP publisher
//! ```
//!
//! An RTMP publisher becomes a publication like any other, at the session's Janus: its place, numbering, forwarding and
//! end are the same. All of it runs in this process; with the connection everything that it began is over.
//!
//! | file | what it does |
//! |---|---|
//! | [`chunks`], [`amf`], [`command`], [`metadata`], [`protocol`] | bytes to messages to events, without I/O and within bounds |
//! | [`flv`], [`enhanced`] | what is in an audio or video message |
//! | [`key`] | who may publish where |
//! | [`clock`], [`intake`], [`held`] | timestamps; what an encoder sends, and when enough of it is known; frames until then |
//! | [`bridge`], [`offer`], [`gate`] | GStreamer: the pipeline, its offer, frames that wait until Janus takes them |
//! | [`connection`], [`publishing`], [`stage`] | a socket and its deadlines, up to the wish to publish, and from there on |
//! | [`places`], [`books`] | how many may be connected and publish nothing; what became of them |

pub mod amf;
mod books;
mod bridge;
pub mod chunks;
mod clock;
pub mod command;
mod connection;
mod enhanced;
pub mod flv;
mod gate;
mod held;
mod intake;
mod key;
pub mod metadata;
mod offer;
mod places;
pub mod protocol;
mod publishing;
mod stage;

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use node::http::{Beginning, Client};
use tokio::net::{TcpListener, TcpStream};

use crate::injector::Injector;

pub use books::Books;
use books::Refusal;
pub use bridge::init;
pub use places::Places;

/// How long a proxy may take to say for whom it connects.
const HEADER: Duration = Duration::from_secs(10);

/// Takes encoders in until the program ends.
pub async fn serve(listener: TcpListener, injector: Arc<Injector>) {
    let (books, places) = (injector.rtmp.books.clone(), injector.rtmp.places.clone());
    loop {
        let (socket, from) = match listener.accept().await {
            Ok(accepted) => accepted,
            Err(error) => {
                books.warn(&format!("RTMP: a connection could not be taken: {error}"));
                // Out of file descriptors, most likely: there is nothing to wait for that would tell.
                tokio::time::sleep(Duration::from_millis(100)).await;
                continue;
            }
        };
        let (injector, books, places) = (injector.clone(), books.clone(), places.clone());
        tokio::spawn(async move {
            match entered(socket, from, &injector).await {
                Ok((socket, ahead, from)) => {
                    let (place, taken) = places.enter(Client::new(from.ip()).network());
                    connection::serve((socket, ahead), from, injector, place, taken).await;
                }
                Err(why) => books.refuse(Refusal::Malformed, from, &why),
            }
        });
    }
}

/// A connection with what has been read of it, and who is at its other end: a proxy that says for whom it connects has said it.
async fn entered(
    socket: TcpStream,
    from: SocketAddr,
    injector: &Injector,
) -> Result<(TcpStream, Vec<u8>, SocketAddr), String> {
    if !injector.config().http.has_header(from.ip()) {
        return Ok((socket, Vec::new(), from));
    }
    let mut beginning = Beginning::new(socket);
    let source = match tokio::time::timeout(HEADER, beginning.proxied()).await {
        Ok(source) => source.map_err(|error| format!("no PROXY protocol header: {error}"))?,
        Err(_) => return Err("no PROXY protocol header in time (proxy-protocol)".to_owned()),
    };
    let (socket, ahead) = beginning.into_parts();
    Ok((socket, ahead, source.unwrap_or(from)))
}

/// What an injection knows of its RTMP connections.
#[derive(Debug)]
pub struct Rtmp {
    /// What became of them.
    pub books: Arc<Books>,
    /// Those that do not publish yet.
    pub places: Arc<Places>,
}

impl Rtmp {
    /// With so many places for those that do not publish yet, in all and for each address.
    pub fn new(most: usize, each: usize) -> Rtmp {
        Rtmp { books: Arc::default(), places: Places::new(most, each) }
    }
}
