//! A stream of RTMP chunks: however it is cut, the same messages come out.
use bytes::BytesMut;
use injection::rtmp::chunks::{Chunks, Message};

/// All messages, and whether the stream is one of chunks to its end.
fn messages<'a>(pieces: impl Iterator<Item = &'a [u8]>) -> (Vec<Message>, bool) {
    let (mut chunks, mut input, mut found) = (Chunks::default(), BytesMut::new(), Vec::new());
    for piece in pieces {
        input.extend_from_slice(piece);
        loop {
            match chunks.next(&mut input) {
                Ok(Some(message)) => {
                    // Message types 1 and 2 change how the rest is read.
                    if let (1 | 2, Some(number)) = (message.kind, message.body.first_chunk()) {
                        let number = u32::from_be_bytes(*number);
                        match message.kind {
                            1 if chunks.resize(number).is_err() => return (found, false),
                            1 => {}
                            _ => chunks.abort(number),
                        }
                    }
                    found.push(message);
                }
                Ok(None) => break,
                Err(_) => return (found, false),
            }
        }
    }
    (found, true)
}

/// The first byte says how long the pieces are.
pub fn rtmp_chunks(data: &[u8]) {
    let Some((length, stream)) = data.split_first() else { return };
    let whole = messages([stream].into_iter());
    assert_eq!(whole, messages(stream.chunks(usize::from(*length) + 1)));
}
