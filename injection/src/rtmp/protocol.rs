//! One connection with an encoder, without I/O: bytes in, bytes to answer and [`Event`]s out (Adobe's RTMP 1.0).
//!
//! Handshake, commands and AMF are `scuffle_rtmp`'s. Its ready-made session cannot refuse a publisher in words that
//! encoders show, so the few commands of a publisher are answered here; nobody can play.

use std::io::Cursor;

use bytes::{Buf, BufMut, Bytes, BytesMut};
use scuffle_rtmp::chunk::writer::ChunkWriter;
use scuffle_rtmp::chunk::{CHUNK_SIZE, Chunk};
use scuffle_rtmp::command_messages::netconnection::{
    NetConnectionCommand, NetConnectionCommandConnectResult,
};
use scuffle_rtmp::command_messages::netstream::NetStreamCommand;
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

use super::amf::claims_too_much;
use super::chunks::{ChunkError, Chunks, Message};

/// Longest command or metadata, …
const LONGEST_AMF: usize = 8 * 1024;
/// … and how many bytes in it may be markers of AMF values with others in them. They nest, and are read by recursion.
const MOST_NESTED: usize = 300;
/// Object, ECMA array, strict array (AMF0 section 2.1).
const NESTING: [u8; 3] = [3, 8, 10];
/// How many bytes either side may send without an acknowledgement, as other servers have it.
const WINDOW: u32 = 2_500_000;
/// The only message stream there is.
const STREAM: u32 = 1;
/// Chunk stream of commands.
const CHUNK_STREAM: u32 = 3;

/// What an encoder does.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// Wants to publish; waits for [`Protocol::accept`] or [`Protocol::refuse`].
    Publish { application: String, name: String },
    /// Says what its video's bitrate is, in kbit/s.
    Bitrate(u32),
    /// Sends audio.
    Audio { timestamp: u32, body: Bytes },
    /// Sends video.
    Video { timestamp: u32, body: Bytes },
    /// Is done.
    Finished,
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
    /// They are, and not as a publisher speaks it.
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
    application: Option<String>,
    published: bool,
    /// How many bytes the encoder wants acknowledged at a time.
    window: u32,
    received: u32,
    acknowledged: u32,
}

impl Default for Protocol {
    fn default() -> Self {
        Protocol {
            // The first packet has a version in front.
            handshake: Some((HandshakeServer::default(), RTMP_HANDSHAKE_SIZE + 1)),
            chunks: Chunks::default(),
            writer: ChunkWriter::default(),
            input: BytesMut::new(),
            application: None,
            published: false,
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
        while let Some(message) = self.chunks.next(&mut self.input)? {
            events.extend(self.message(message, answer)?);
        }
        Ok(events)
    }

    /// The encoder may publish.
    pub fn accept(&mut self, answer: &mut Vec<u8>) -> Result<(), ProtocolError> {
        self.published = true;
        EventMessageStreamBegin { stream_id: STREAM }.write(&self.writer, answer).map_err(RtmpError::from)?;
        self.status(CommandResultLevel::Status, "NetStream.Publish.Start", "go on", answer)
    }

    /// It may not; the connection is to be closed.
    pub fn refuse(&self, code: &'static str, why: &str, answer: &mut Vec<u8>) -> Result<(), ProtocolError> {
        self.status(CommandResultLevel::Error, code, why, answer)
    }

    fn message(&mut self, message: Message, answer: &mut Vec<u8>) -> Result<Option<Event>, ProtocolError> {
        let Message { kind, timestamp, mut body } = message;
        let kind = MessageType(kind);
        let amf = [MessageType::CommandAMF0, MessageType::CommandAMF3, MessageType::DataAMF0];
        if amf.contains(&kind) {
            let nested = body.iter().filter(|byte| NESTING.contains(byte)).count();
            if body.len() > LONGEST_AMF || nested > MOST_NESTED {
                return Err(ProtocolError::Unexpected("a command or its metadata is too long"));
            }
            // With AMF3 in front, a byte says that AMF0 follows.
            let values =
                if kind == MessageType::CommandAMF3 { body.get(1..).unwrap_or_default() } else { &body };
            if claims_too_much(values) {
                return Err(ProtocolError::Unexpected("a command or its metadata claims more than it has"));
            }
        }
        match kind {
            MessageType::SetChunkSize => self.chunks.resize(number(&body)? & 0x7fff_ffff)?,
            MessageType::Abort => self.chunks.abort(number(&body)?),
            MessageType::WindowAcknowledgementSize => self.window = number(&body)?.max(1024),
            MessageType::CommandAMF0 => return self.command(body, answer),
            // AMF0 behind a byte, from encoders that say they speak AMF3.
            MessageType::CommandAMF3 if body.first() == Some(&0) => {
                body.advance(1);
                return self.command(body, answer);
            }
            MessageType::DataAMF0 => return Ok(bitrate(body).map(Event::Bitrate)),
            MessageType::Audio if self.published => {
                return Ok(Some(Event::Audio { timestamp, body }));
            }
            MessageType::Video if self.published => {
                return Ok(Some(Event::Video { timestamp, body }));
            }
            _ => {}
        }
        Ok(None)
    }

    fn command(&mut self, body: Bytes, answer: &mut Vec<u8>) -> Result<Option<Event>, ProtocolError> {
        let command = Command::read(body).map_err(RtmpError::from)?;
        match command.command_type {
            CommandType::NetConnection(NetConnectionCommand::Connect(connect)) => {
                self.application = Some(connect.app.as_str().to_owned());
                ProtocolControlMessageWindowAcknowledgementSize { acknowledgement_window_size: WINDOW }
                    .write(answer, &self.writer)?;
                ProtocolControlMessageSetPeerBandwidth {
                    acknowledgement_window_size: WINDOW,
                    limit_type: ProtocolControlMessageSetPeerBandwidthLimitType::Dynamic,
                }
                .write(answer, &self.writer)?;
                let result =
                    NetConnectionCommand::ConnectResult(NetConnectionCommandConnectResult::default());
                self.reply(CommandType::NetConnection(result), command.transaction_id, answer)?;
            }
            CommandType::NetConnection(NetConnectionCommand::CreateStream) => {
                let result = NetConnectionCommand::CreateStreamResult { stream_id: f64::from(STREAM) };
                self.reply(CommandType::NetConnection(result), command.transaction_id, answer)?;
            }
            CommandType::NetStream(NetStreamCommand::Publish { publishing_name, .. }) => {
                if self.published {
                    return Err(ProtocolError::Unexpected("it publishes twice on one connection"));
                }
                let Some(application) = self.application.clone() else {
                    return Err(ProtocolError::Unexpected("it publishes before it connects"));
                };
                let name = publishing_name.as_str().to_owned();
                return Ok(Some(Event::Publish { application, name }));
            }
            CommandType::NetStream(NetStreamCommand::Play { .. } | NetStreamCommand::Play2 { .. }) => {
                return Err(ProtocolError::Unexpected("it wants to play, and there is only publishing here"));
            }
            CommandType::NetStream(NetStreamCommand::DeleteStream { .. } | NetStreamCommand::CloseStream)
            | CommandType::NetConnection(NetConnectionCommand::Close) => return Ok(Some(Event::Finished)),
            // releaseStream, FCPublish and the like want no answer.
            _ => {}
        }
        Ok(None)
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
        let mut payload = BytesMut::new();
        status.write(&mut (&mut payload).writer(), 0.0).map_err(RtmpError::from)?;
        // About the stream, so it goes by the stream: GStreamer waits for it there.
        let chunk = Chunk::new(CHUNK_STREAM, 0, MessageType::CommandAMF0, STREAM, payload.freeze());
        Ok(self.writer.write_chunk(answer, chunk).map_err(RtmpError::from)?)
    }

    fn reply(
        &self,
        command_type: CommandType<'_>,
        transaction_id: f64,
        answer: &mut Vec<u8>,
    ) -> Result<(), ProtocolError> {
        Ok(Command { transaction_id, command_type }.write(answer, &self.writer)?)
    }
}

fn number(body: &[u8]) -> Result<u32, ProtocolError> {
    let bytes = body.first_chunk().ok_or(ProtocolError::Unexpected("a control message is too short"))?;
    Ok(u32::from_be_bytes(*bytes))
}

/// `videodatarate` of the metadata. What cannot be read is of no consequence.
fn bitrate(body: Bytes) -> Option<u32> {
    let values = scuffle_amf0::decoder::Amf0Decoder::from_buf(body).decode_all().ok()?;
    let fields = values.iter().find_map(|value| match value {
        scuffle_amf0::Amf0Value::Object(fields) => Some(fields),
        _ => None,
    })?;
    match fields.get(&"videodatarate".into())? {
        scuffle_amf0::Amf0Value::Number(kbits) if *kbits >= 1.0 => Some(*kbits as u32),
        _ => None,
    }
}

#[cfg(test)]
mod tests;
