//! One connection with an encoder, without I/O: bytes in, bytes to answer and [`Event`]s out (Adobe's RTMP 1.0).
//!
//! The handshake and the writing of answers are `scuffle_rtmp`'s. What an encoder sends is read here, within bounds: by [`chunks`](super::chunks),
//! [`super::command`] and [`super::metadata`]. Nobody can play.

use std::io::Cursor;

use bytes::{Bytes, BytesMut};
use scuffle_amf0::encoder::Amf0Encoder;
use scuffle_amf0::{Amf0Error, Amf0Object, Amf0Value};
use scuffle_rtmp::chunk::writer::ChunkWriter;
use scuffle_rtmp::chunk::{CHUNK_SIZE, Chunk};
use scuffle_rtmp::command_messages::netconnection::{
    NetConnectionCommand, NetConnectionCommandConnectResult,
};
use scuffle_rtmp::command_messages::on_status::{OnStatus, OnStatusCode};
use scuffle_rtmp::command_messages::{Command, CommandResultLevel, CommandType};
use scuffle_rtmp::error::RtmpError;
use scuffle_rtmp::handshake::{HandshakeServer, RTMP_HANDSHAKE_SIZE};
use scuffle_rtmp::messages::MessageType;
use scuffle_rtmp::protocol_control_messages::{
    ProtocolControlMessageAcknowledgement, ProtocolControlMessageSetChunkSize,
    ProtocolControlMessageSetPeerBandwidth, ProtocolControlMessageSetPeerBandwidthLimitType,
    ProtocolControlMessageWindowAcknowledgementSize,
};
use scuffle_rtmp::user_control_messages::EventMessageStreamBegin;

use super::amf::AmfError;
use super::chunks::{ChunkError, Chunks, Message};
use super::command::{self, Call, Command as Asked};
use super::flv;
use super::metadata::{self, Metadata};

/// Longest command that is read, and longest metadata.
const LONGEST_AMF: usize = 64 * 1024;
/// Longest message of one that may not publish yet.
const LONGEST_GREETING: usize = 16 * 1024;
/// How many bytes either side may send without an acknowledgement, as other servers have it.
const WINDOW: u32 = 2_500_000;
/// The only message stream there is.
const STREAM: u32 = 1;
/// Chunk stream of commands, and of what controls the connection.
const CHUNK_STREAM: u32 = 3;
const CONTROL_STREAM: u32 = 2;

/// What an encoder does.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// Wants to publish; what it sends behind that waits for [`Protocol::accept`] or [`Protocol::refuse`].
    Publish(Address),
    /// Says what its media are.
    Metadata(Metadata),
    /// Sends audio.
    Audio { timestamp: u32, body: Bytes },
    /// Sends video.
    Video { timestamp: u32, body: Bytes },
    /// Is done.
    Finished,
}

/// What an encoder publishes to, in its own words.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Address {
    /// `app` of its `connect`.
    pub application: String,
    /// `tcUrl` of it.
    pub url: String,
    /// The stream key.
    pub name: String,
}

/// Why the connection cannot go on.
#[derive(Debug, thiserror::Error)]
pub enum ProtocolError {
    /// The bytes are no RTMP.
    #[error("this is no RTMP: {0}")]
    Malformed(#[from] RtmpError),
    /// The bytes are no chunks.
    #[error("this is no RTMP: {0}")]
    Chunks(#[from] ChunkError),
    /// A command or metadata that cannot be read.
    #[error("this is no RTMP: {0}")]
    Amf(#[from] AmfError),
    /// It is RTMP, and not as a publisher speaks it.
    #[error("{0}")]
    Unexpected(&'static str),
}

/// A connection.
pub struct Protocol {
    /// Until it is over, with the length of the packet that comes next.
    handshake: Option<(HandshakeServer, usize)>,
    chunks: Chunks,
    writer: ChunkWriter,
    input: BytesMut,
    /// Application and URL, once it is connected.
    connected: Option<(String, String)>,
    stage: Stage,
    /// How many bytes the encoder wants acknowledged at a time.
    window: u32,
    received: u32,
    acknowledged: u32,
}

/// How far a publisher has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    /// Has not said what it publishes.
    Greeting,
    /// Has, and has no answer.
    Asking,
    /// May publish.
    Publishing,
}

impl Default for Protocol {
    fn default() -> Self {
        Protocol {
            // The first packet has a version in front.
            handshake: Some((HandshakeServer::default(), RTMP_HANDSHAKE_SIZE + 1)),
            chunks: Chunks::default(),
            writer: ChunkWriter::default(),
            input: BytesMut::new(),
            connected: None,
            stage: Stage::Greeting,
            window: WINDOW,
            received: 0,
            acknowledged: 0,
        }
    }
}

impl Protocol {
    /// Takes bytes that came; `answer` gets those that must be sent.
    pub fn take(&mut self, bytes: &[u8], answer: &mut Vec<u8>) -> Result<Vec<Event>, ProtocolError> {
        self.input.extend_from_slice(bytes);
        self.received = self.received.wrapping_add(bytes.len() as u32);
        while let Some((handshake, length)) = &mut self.handshake {
            if *length > RTMP_HANDSHAKE_SIZE {
                self.input.first().map_or(Ok(()), |version| spoken(*version))?;
            }
            if self.input.len() < *length {
                return Ok(Vec::new());
            }
            let packet = self.input.split_to(*length).freeze();
            *length = RTMP_HANDSHAKE_SIZE;
            handshake.handshake(&mut Cursor::new(packet), answer)?;
            if handshake.is_finished() {
                self.handshake = None;
                ProtocolControlMessageSetChunkSize { chunk_size: CHUNK_SIZE as u32 }
                    .write(answer, &self.writer)?;
                self.writer.set_chunk_size(CHUNK_SIZE);
            }
        }
        if self.received.wrapping_sub(self.acknowledged) >= self.window {
            self.acknowledged = self.received;
            ProtocolControlMessageAcknowledgement { sequence_number: self.received }
                .write(answer, &self.writer)?;
        }
        let mut events = Vec::new();
        while self.stage != Stage::Asking
            && let Some(message) = self.chunks.next(&mut self.input)?
        {
            self.message(message, answer, &mut events)?;
        }
        Ok(events)
    }

    /// The encoder may publish. What it has sent already comes with the next [`take`](Self::take).
    pub fn accept(&mut self, answer: &mut Vec<u8>) -> Result<(), ProtocolError> {
        self.stage = Stage::Publishing;
        EventMessageStreamBegin { stream_id: STREAM }.write(&self.writer, answer).map_err(RtmpError::from)?;
        self.status(CommandResultLevel::Status, "NetStream.Publish.Start", "go on", answer)
    }

    /// It may not; the connection is to be closed.
    pub fn refuse(&self, code: &'static str, why: &str, answer: &mut Vec<u8>) -> Result<(), ProtocolError> {
        self.status(CommandResultLevel::Error, code, why, answer)
    }

    fn message(
        &mut self,
        message: Message,
        answer: &mut Vec<u8>,
        events: &mut Vec<Event>,
    ) -> Result<(), ProtocolError> {
        let Message { kind, timestamp, body } = message;
        let publishing = self.stage == Stage::Publishing;
        if !publishing && body.len() > LONGEST_GREETING {
            return Err(ProtocolError::Unexpected(
                "a message is too long for one that publishes nothing yet",
            ));
        }
        match MessageType(kind) {
            MessageType::SetChunkSize => self.chunks.resize(number(&body)?)?,
            MessageType::Abort => self.chunks.abort(number(&body)?),
            MessageType::WindowAcknowledgementSize => self.window = number(&body)?.max(1024),
            MessageType::UserControlEvent => self.pong(&body, answer)?,
            MessageType::CommandAMF0 => events.extend(self.command(&body, answer)?),
            MessageType::CommandAMF3 => events.extend(self.command(without_switch(&body), answer)?),
            MessageType::DataAMF0 => events.extend(self.data(&body)?),
            MessageType::DataAMF3 => events.extend(self.data(without_switch(&body))?),
            MessageType::Aggregate if publishing => events.extend(
                flv::tags(&body, timestamp)
                    .filter_map(|(kind, timestamp, body)| media(kind, timestamp, body)),
            ),
            MessageType(kind) if publishing => events.extend(media(kind, timestamp, body)),
            _ => {}
        }
        Ok(())
    }

    /// Metadata. What one that publishes says there, and cannot be read or is long, is of no consequence.
    fn data(&self, body: &[u8]) -> Result<Option<Event>, ProtocolError> {
        if self.stage != Stage::Publishing {
            super::amf::values(body)?;
            return Ok(None);
        }
        let short = Some(body).filter(|body| body.len() <= LONGEST_AMF);
        Ok(short.and_then(metadata::read).map(Event::Metadata))
    }

    fn command(&mut self, body: &[u8], answer: &mut Vec<u8>) -> Result<Option<Event>, ProtocolError> {
        let call = match command::read(&body[..body.len().min(LONGEST_AMF)]) {
            Ok(call) => call,
            // Nothing that a publisher still needs.
            Err(_) if self.stage == Stage::Publishing => return Ok(None),
            Err(error) => return Err(error.into()),
        };
        let Call { transaction, command } = call;
        match command {
            Asked::Connect { application, url } => {
                self.connected = Some((application, url));
                ProtocolControlMessageWindowAcknowledgementSize { acknowledgement_window_size: WINDOW }
                    .write(answer, &self.writer)?;
                ProtocolControlMessageSetPeerBandwidth {
                    acknowledgement_window_size: WINDOW,
                    limit_type: ProtocolControlMessageSetPeerBandwidthLimitType::Dynamic,
                }
                .write(answer, &self.writer)?;
                let result =
                    NetConnectionCommand::ConnectResult(NetConnectionCommandConnectResult::default());
                self.reply(result, transaction, answer)?;
            }
            Asked::CreateStream => {
                let result = NetConnectionCommand::CreateStreamResult { stream_id: f64::from(STREAM) };
                self.reply(result, transaction, answer)?;
            }
            Asked::Publish { name } => {
                if self.stage != Stage::Greeting {
                    return Err(ProtocolError::Unexpected("it publishes twice on one connection"));
                }
                let Some((application, url)) = self.connected.clone() else {
                    return Err(ProtocolError::Unexpected("it publishes before it connects"));
                };
                self.stage = Stage::Asking;
                return Ok(Some(Event::Publish(Address { application, url, name })));
            }
            Asked::Play => {
                return Err(ProtocolError::Unexpected("it wants to play, and there is only publishing here"));
            }
            Asked::End => return Ok(Some(Event::Finished)),
            Asked::Announce { name } => self.announced(&name, transaction, answer)?,
            // Nothing that anything depends on: whoever waits for an answer gets an empty one.
            Asked::Other if transaction > 0.0 => self.nothing(transaction, answer)?,
            Asked::Other => {}
        }
        Ok(None)
    }

    /// An encoder's ping (user control event 6) is answered (7).
    fn pong(&self, body: &[u8], answer: &mut Vec<u8>) -> Result<(), ProtocolError> {
        if let Some(&[0, 6, a, b, c, d]) = body.first_chunk() {
            let pong = Bytes::copy_from_slice(&[0, 7, a, b, c, d]);
            let chunk = Chunk::new(CONTROL_STREAM, 0, MessageType::UserControlEvent, 0, pong);
            self.writer.write_chunk(answer, chunk).map_err(RtmpError::from)?;
        }
        Ok(())
    }

    /// Adobe's encoder publishes only when it has been told that it was heard.
    fn announced(&self, name: &str, transaction: f64, answer: &mut Vec<u8>) -> Result<(), ProtocolError> {
        self.nothing(transaction, answer)?;
        let mut payload = Vec::new();
        let mut amf = Amf0Encoder::new(&mut payload);
        amf.encode_string("onFCPublish").map_err(written)?;
        amf.encode_number(0.0).map_err(written)?;
        amf.encode_null().map_err(written)?;
        let fields: Amf0Object = [
            ("code".into(), Amf0Value::String("NetStream.Publish.Start".into())),
            ("description".into(), Amf0Value::String(name.to_owned().into())),
        ]
        .into_iter()
        .collect();
        amf.encode_object(&fields).map_err(written)?;
        self.say(0, payload, answer)
    }

    /// `_result` with nothing in it.
    fn nothing(&self, transaction: f64, answer: &mut Vec<u8>) -> Result<(), ProtocolError> {
        let mut payload = Vec::new();
        let mut amf = Amf0Encoder::new(&mut payload);
        amf.encode_string("_result").map_err(written)?;
        amf.encode_number(transaction).map_err(written)?;
        amf.encode_null().map_err(written)?;
        amf.encode_null().map_err(written)?;
        self.say(0, payload, answer)
    }

    fn status(
        &self,
        level: CommandResultLevel,
        code: &'static str,
        description: &str,
        answer: &mut Vec<u8>,
    ) -> Result<(), ProtocolError> {
        let code = OnStatusCode(code);
        let status = OnStatus { level, code, description: Some(description.to_owned().into()), others: None };
        let mut payload = Vec::new();
        status.write(&mut payload, 0.0).map_err(RtmpError::from)?;
        // About the stream, so it goes by the stream: GStreamer waits for it there.
        self.say(STREAM, payload, answer)
    }

    fn reply(
        &self,
        command: NetConnectionCommand<'_>,
        transaction_id: f64,
        answer: &mut Vec<u8>,
    ) -> Result<(), ProtocolError> {
        let command_type = CommandType::NetConnection(command);
        Ok(Command { transaction_id, command_type }.write(answer, &self.writer)?)
    }

    fn say(&self, stream: u32, payload: Vec<u8>, answer: &mut Vec<u8>) -> Result<(), ProtocolError> {
        let chunk = Chunk::new(CHUNK_STREAM, 0, MessageType::CommandAMF0, stream, payload.into());
        Ok(self.writer.write_chunk(answer, chunk).map_err(RtmpError::from)?)
    }
}

/// It goes into memory, so that it never is.
fn written(_: Amf0Error) -> ProtocolError {
    ProtocolError::Unexpected("an answer could not be written")
}

/// The first byte of all is a version. 3 is this one, 6 the encrypted one, and what is no version is another protocol.
fn spoken(version: u8) -> Result<(), ProtocolError> {
    match version {
        0x16 => {
            Err(ProtocolError::Unexpected("it speaks TLS (rtmps://), which is not taken here; use rtmp://"))
        }
        6 => Err(ProtocolError::Unexpected("it encrypts (rtmpe://), which is not taken here; use rtmp://")),
        32.. => Err(ProtocolError::Unexpected("it does not speak RTMP")),
        _ => Ok(()),
    }
}

/// Messages of AMF3 have a byte in front that says that AMF0 follows. Some encoders leave it away.
fn without_switch(body: &[u8]) -> &[u8] {
    body.strip_prefix(&[0]).unwrap_or(body)
}

/// Audio or video with something in it.
fn media(kind: u8, timestamp: u32, body: Bytes) -> Option<Event> {
    match MessageType(kind) {
        _ if body.is_empty() => None,
        MessageType::Audio => Some(Event::Audio { timestamp, body }),
        MessageType::Video => Some(Event::Video { timestamp, body }),
        _ => None,
    }
}

fn number(body: &[u8]) -> Result<u32, ProtocolError> {
    let bytes = body.first_chunk().ok_or(ProtocolError::Unexpected("a control message is too short"))?;
    Ok(u32::from_be_bytes(*bytes))
}

#[cfg(test)]
mod tests;
