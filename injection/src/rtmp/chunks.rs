//! From chunks to messages, without I/O (RTMP 1.0 section 5.3).
//!
//! Ours, because the readers at hand lose time: `scuffle_rtmp` 0.2 leaves out the delta of a message that begins with a type 3
//! chunk, as ffmpeg's do whenever two frames of audio are equally long; `rml_rtmp` 0.8 cannot tell messages apart whose chunks
//! take turns.

use std::collections::BTreeMap;

use bytes::{Buf, Bytes, BytesMut};

/// Longest message; a keyframe of 100 Mbit/s fits.
const LONGEST: usize = 8 << 20;
/// Most bytes of messages that are not whole yet.
const MOST_HELD: usize = 16 << 20;
/// Most chunk streams; encoders use three or four.
const MOST_STREAMS: usize = 64;
/// Chunk size until the encoder says another.
const FIRST_SIZE: usize = 128;
/// Says that the timestamp is in four bytes of its own.
const EXTENDED: u32 = 0xff_ffff;

/// A whole message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Message {
    /// Its type.
    pub kind: u8,
    /// In ms.
    pub timestamp: u32,
    /// What is in it.
    pub body: Bytes,
}

/// Why these are no chunks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ChunkError {
    /// A short header without a long one before it.
    #[error("a chunk refers to one that never came")]
    NoHeader,
    /// More than any encoder sends.
    #[error("a message is too long, or too many are begun")]
    TooMuch,
    /// A chunk size that cannot be.
    #[error("a chunk size of 0")]
    Size,
}

/// Reads chunks.
#[derive(Debug)]
pub struct Chunks {
    size: usize,
    streams: BTreeMap<u32, Stream>,
    held: usize,
}

#[derive(Debug, Default)]
struct Stream {
    timestamp: u32,
    delta: u32,
    extended: bool,
    length: usize,
    kind: u8,
    partial: BytesMut,
}

impl Default for Chunks {
    fn default() -> Self {
        Chunks { size: FIRST_SIZE, streams: BTreeMap::new(), held: 0 }
    }
}

impl Chunks {
    /// The encoder's chunks have this size from now on. One that is longer than any message is as good as any other such
    /// (section 5.4.1), and allocates nothing.
    pub fn resize(&mut self, size: u32) -> Result<(), ChunkError> {
        let size = size & 0x7fff_ffff;
        if size == 0 {
            return Err(ChunkError::Size);
        }
        self.size = size.min(EXTENDED) as usize;
        Ok(())
    }

    /// The encoder will not complete what it has begun on a chunk stream.
    pub fn abort(&mut self, stream: u32) {
        if let Some(stream) = self.streams.get_mut(&stream) {
            self.held -= stream.partial.len();
            // Not `clear`, which would keep the memory, uncounted.
            stream.partial = BytesMut::new();
        }
    }

    /// Takes the next whole message out of `input`, if there is one; chunks that are not whole stay there.
    pub fn next(&mut self, input: &mut BytesMut) -> Result<Option<Message>, ChunkError> {
        loop {
            let mut rest = &input[..];
            let Some(header) = Header::read(&mut rest, &self.streams)? else { return Ok(None) };
            let known = self.streams.get(&header.stream);
            // A long header in the middle of a message is the next message's: the rest of that one will not come.
            let taken = known.filter(|_| !header.begins).map_or(0, |known| known.partial.len());
            let now = self.size.min(header.length - taken);
            if rest.len() < now {
                return Ok(None);
            }
            let read = input.len() - rest.len();
            if known.is_none() && self.streams.len() >= MOST_STREAMS || self.held + now > MOST_HELD {
                return Err(ChunkError::TooMuch);
            }
            input.advance(read);
            let body = input.split_to(now);
            if header.begins {
                self.abort(header.stream);
            }
            let stream = self.streams.entry(header.stream).or_default();
            if header.begins {
                stream.timestamp = match header.delta {
                    None => header.time,
                    Some(delta) => stream.timestamp.wrapping_add(delta),
                };
                // "If a Type 3 chunk follows a Type 0 chunk": the timestamp is the delta then.
                stream.delta = header.delta.unwrap_or(header.time);
                (stream.extended, stream.length, stream.kind) = (header.extended, header.length, header.kind);
            }
            if taken + now < stream.length {
                stream.partial.extend_from_slice(&body);
                self.held += now;
                continue;
            }
            let body = match taken {
                0 => body,
                _ => {
                    self.held -= taken;
                    let mut whole = std::mem::take(&mut stream.partial);
                    whole.extend_from_slice(&body);
                    whole
                }
            };
            return Ok(Some(Message { kind: stream.kind, timestamp: stream.timestamp, body: body.freeze() }));
        }
    }
}

/// A chunk's header, with what it leaves out filled in.
struct Header {
    stream: u32,
    /// A message begins with it.
    begins: bool,
    time: u32,
    /// `None`: the time is absolute.
    delta: Option<u32>,
    extended: bool,
    length: usize,
    kind: u8,
}

impl Header {
    /// `None`: there are not enough bytes.
    fn read(rest: &mut &[u8], streams: &BTreeMap<u32, Stream>) -> Result<Option<Header>, ChunkError> {
        let Ok(first) = rest.try_get_u8() else { return Ok(None) };
        let stream = match first & 0x3f {
            0 => rest.try_get_u8().map(|low| 64 + u32::from(low)),
            1 => rest.try_get_u16_le().map(|both| 64 + u32::from(both)),
            id => Ok(u32::from(id)),
        };
        let Ok(stream) = stream else { return Ok(None) };
        let format = first >> 6;
        let length = [11, 7, 3, 0][usize::from(format)];
        if rest.len() < length {
            return Ok(None);
        }
        let (fields, after) = rest.split_at(length);
        *rest = after;
        let known = streams.get(&stream);
        if format > 0 && known.is_none() {
            return Err(ChunkError::NoHeader);
        }
        let short = |at: usize| u32::from_be_bytes([0, fields[at], fields[at + 1], fields[at + 2]]);
        let mut time = if format < 3 { short(0) } else { known.map_or(0, |known| known.delta) };
        let extended = if format < 3 { time == EXTENDED } else { known.is_some_and(|known| known.extended) };
        if extended {
            let Ok(long) = rest.try_get_u32() else { return Ok(None) };
            if format < 3 {
                time = long;
            }
        }
        let length = if format < 2 { short(3) as usize } else { known.map_or(0, |known| known.length) };
        if length > LONGEST {
            return Err(ChunkError::TooMuch);
        }
        let begins = format < 3 || known.is_some_and(|known| known.partial.is_empty());
        let kind = if format < 2 { fields[6] } else { known.map_or(0, |known| known.kind) };
        let delta = (format > 0).then_some(time);
        Ok(Some(Header { stream, begins, time, delta, extended, length, kind }))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn all(chunks: &mut Chunks, bytes: &[&[u8]]) -> Result<Vec<(u8, u32, usize)>, ChunkError> {
        let (mut input, mut messages) = (BytesMut::new(), Vec::new());
        for byte in bytes.concat() {
            // The worst network there is.
            input.extend_from_slice(&[byte]);
            while let Some(message) = chunks.next(&mut input)? {
                messages.push((message.kind, message.timestamp, message.body.len()));
            }
        }
        assert!(input.is_empty(), "{input:?} is left");
        Ok(messages)
    }

    #[test]
    fn what_is_aborted_is_given_back() {
        let mut chunks = Chunks::default();
        // The first 128 bytes of a message of 1,000; then "abort".
        let mut input = BytesMut::from(&[4, 0, 0, 0, 0, 3, 232, 8, 1, 0, 0, 0][..]);
        input.extend_from_slice(&[7; 128]);
        assert!(chunks.next(&mut input).unwrap().is_none());
        chunks.abort(4);
        let memory: usize = chunks.streams.values().map(|stream| stream.partial.capacity()).sum();
        assert_eq!((chunks.held, memory), (0, 0));
    }

    #[test]
    fn every_type_of_header_keeps_time() {
        let messages = all(
            &mut Chunks::default(),
            &[
                &[4, 0, 3, 232, 0, 0, 2, 8, 1, 0, 0, 0, 7, 7],
                &[0x44, 0, 0, 23, 0, 0, 3, 8, 7, 7, 7],
                &[0x84, 0, 0, 24, 7, 7, 7],
                // The same delta again, which is what scuffle_rtmp leaves out.
                &[0xc4, 7, 7, 7],
                &[0xc4, 7, 7, 7],
            ],
        );
        assert_eq!(messages.unwrap(), [(8, 1000, 2), (8, 1023, 3), (8, 1047, 3), (8, 1071, 3), (8, 1095, 3)]);
    }

    #[test]
    fn messages_whose_chunks_take_turns_are_told_apart() {
        let (video, audio) = ([9; 128], [8; 5]);
        let messages = all(
            &mut Chunks::default(),
            &[
                &[6, 0, 0, 40, 0, 1, 10, 9, 1, 0, 0, 0],
                &video,
                &[4, 0, 0, 41, 0, 0, 5, 8, 1, 0, 0, 0],
                &audio,
                &[0xc6],
                &video,
                &[0xc6],
                &video[..10],
            ],
        );
        assert_eq!(messages.unwrap(), [(8, 41, 5), (9, 40, 266)]);
    }

    #[test]
    fn long_timestamps_are_repeated_in_every_chunk() {
        let late = 0x0100_0000_u32.to_be_bytes();
        let messages = all(
            &mut Chunks::default(),
            &[
                &[5, 255, 255, 255, 0, 0, 130, 9, 1, 0, 0, 0],
                &late,
                &[1; 128],
                &[0xc5],
                &late,
                &[1; 2],
                &[0x85, 0, 0, 40],
                &[1; 128],
                &[0xc5, 1, 1],
            ],
        );
        assert_eq!(messages.unwrap(), [(9, 0x0100_0000, 130), (9, 0x0100_0028, 130)]);
    }

    #[test]
    fn chunk_streams_have_short_and_long_numbers() {
        let header = [0, 0, 9, 0, 0, 1, 8, 1, 0, 0, 0, 7];
        let messages = all(
            &mut Chunks::default(),
            &[&[0, 200], &header, &[1, 200, 7], &header, &[0x80, 200, 0, 0, 1, 7]],
        );
        assert_eq!(messages.unwrap(), [(8, 9, 1), (8, 9, 1), (8, 10, 1)]);
    }

    #[test]
    fn what_is_broken_off_is_forgotten() {
        let mut chunks = Chunks::default();
        let begun: &[u8] = &[6, 0, 0, 40, 0, 1, 10, 9, 1, 0, 0, 0];
        let next: &[u8] = &[6, 0, 0, 80, 0, 0, 1, 9, 1, 0, 0, 0, 7];
        assert_eq!(all(&mut chunks, &[begun, &[9; 128], next]).unwrap(), [(9, 80, 1)]);
        assert_eq!(all(&mut chunks, &[begun, &[9; 128]]).unwrap(), []);
        chunks.abort(6);
        assert_eq!(chunks.held, 0);
    }

    #[test]
    fn too_much_is_refused() {
        assert_eq!(all(&mut Chunks::default(), &[&[0x44, 0, 0, 0, 0, 0, 0, 0]]), Err(ChunkError::NoHeader));
        assert_eq!(
            all(&mut Chunks::default(), &[&[4, 0, 0, 0, 255, 0, 0, 9, 0, 0, 0, 0]]),
            Err(ChunkError::TooMuch)
        );
        let mut chunks = Chunks::default();
        let many: Vec<u8> =
            (0..=MOST_STREAMS as u8).flat_map(|id| [0, id, 0, 0, 0, 0, 0, 1, 8, 0, 0, 0, 0, 7]).collect();
        assert_eq!(all(&mut chunks, &[&many]), Err(ChunkError::TooMuch));
        assert_eq!(
            (chunks.resize(0), chunks.resize(0x8000_0000)),
            (Err(ChunkError::Size), Err(ChunkError::Size))
        );
    }

    #[test]
    fn a_chunk_may_be_as_long_as_it_likes() {
        for size in [0x00ff_ffff, 0x0100_0000, 0x7fff_ffff] {
            let mut chunks = Chunks::default();
            chunks.resize(size).unwrap();
            let whole = [&[4, 0, 0, 0, 0, 1, 44, 9, 1, 0, 0, 0][..], &[7; 300]].concat();
            assert_eq!(all(&mut chunks, &[&whole]).unwrap(), [(9, 0, 300)]);
        }
    }

    proptest! {
        #[test]
        fn noise_harms_nobody(bytes in proptest::collection::vec(any::<u8>(), 0..2000)) {
            let (mut chunks, mut input) = (Chunks::default(), BytesMut::from(&bytes[..]));
            while let Ok(Some(_)) = chunks.next(&mut input) {}
            let held: usize = chunks.streams.values().map(|stream| stream.partial.len()).sum();
            prop_assert_eq!(chunks.held, held);
        }
    }
}
