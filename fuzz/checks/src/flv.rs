//! The body of an RTMP message: audio, video (FLV), metadata (AMF0).
use bytes::Bytes;
use injection::rtmp::amf::claims_too_much;
use injection::rtmp::flv::{self, Video};

/// The body of a message.
pub fn flv(data: &[u8]) {
    let body = Bytes::copy_from_slice(data);
    let _ = flv::audio(&body);
    match flv::video(&body) {
        Ok(Video::Config(config)) => {
            assert_eq!(flv::is_baseline(&config), flv::profile(&config) == "baseline");
        }
        Ok(Video::Frame { data, .. }) => assert!(!data.is_empty(), "a frame has something in it"),
        Ok(Video::Nothing) | Err(_) => {}
    }
    // As the connection does: only what is short and nests little is decoded (protocol.rs).
    let nested = data.iter().filter(|byte| [3, 8, 10].contains(*byte)).count();
    if data.len() <= 8192 && nested <= 300 && !claims_too_much(data) {
        let _ = scuffle_amf0::decoder::Amf0Decoder::from_buf(body).decode_all();
    }
}
