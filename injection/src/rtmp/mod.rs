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
//! | [`connection`], [`publishing`] | a socket and its deadlines, up to the wish to publish, and from there on |
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

use std::sync::Arc;
use std::time::Duration;

use node::http::Client;
use tokio::net::TcpListener;

use crate::injector::Injector;

pub use books::Books;
pub use bridge::init;
pub use places::Places;

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
        let (place, taken) = places.enter(Client::new(from.ip()).network());
        tokio::spawn(connection::serve(socket, from, injector.clone(), place, taken));
    }
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
