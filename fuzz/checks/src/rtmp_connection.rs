//! A connection of an encoder behind its handshake: commands, metadata (AMF0), media.

use injection::rtmp::flv;
use injection::rtmp::protocol::{Event, Protocol, ProtocolError};

/// What an encoder sends behind its handshake.
pub fn rtmp_connection(stream: &[u8]) {
    let _ = connection([stream].into_iter());
    let _ = connection(stream.chunks(100));
}

/// As the node has it: publishing is accepted, media is read.
fn connection<'a>(pieces: impl Iterator<Item = &'a [u8]>) -> Result<(), ProtocolError> {
    let (mut protocol, mut answer) = (Protocol::default(), Vec::new());
    let hello = [&[3][..], &[0; 2 * 1536]].concat();
    protocol.take(&hello, &mut answer).expect("a handshake is one");
    for piece in pieces {
        let mut events = protocol.take(piece, &mut answer)?;
        while let Some(event) = events.pop() {
            match event {
                // What has come behind it waits for the answer.
                Event::Publish(_) => {
                    protocol.accept(&mut answer)?;
                    events.extend(protocol.take(&[], &mut answer)?);
                }
                Event::Audio { body, .. } => drop(flv::audio(&body)),
                Event::Video { body, .. } => drop(flv::video(&body)),
                Event::Metadata(_) | Event::Finished => {}
            }
        }
    }
    Ok(())
}
