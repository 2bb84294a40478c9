//! The body of an RTMP message: audio, video, several of both (FLV).
use bytes::Bytes;
use injection::rtmp::flv::{self, Audio, Video};

/// The body of a message.
pub fn flv(data: &[u8]) {
    let body = Bytes::copy_from_slice(data);
    media(&body);
    for (_, _, body) in flv::tags(&body, 0) {
        media(&body);
    }
}

fn media(body: &Bytes) {
    match flv::video(body) {
        Ok(Video::Config(config)) => {
            assert_eq!(flv::is_baseline(&config), flv::profile(&config) == "baseline");
        }
        Ok(Video::Frame { data, .. }) => assert!(!data.is_empty(), "a frame has something in it"),
        Ok(Video::Nothing) | Err(_) => {}
    }
    if let Ok(Audio::Frame(data)) = flv::audio(body) {
        assert!(!data.is_empty(), "a frame has something in it");
    }
}
