//! What must hold of every reader of what comes from a network, whatever comes. Each function takes any bytes and panics when
//! something is wrong; the fuzz targets call them with bytes that they find, the tests here with the seeds.
#![warn(missing_docs)]

mod amf;
mod client;
mod flv;
mod media_port;
mod packet;
mod redis;
mod rtcp;
mod rtmp_chunks;
mod rtmp_connection;
mod sdp_offer;
mod trickle;
mod viewer_dtls;
mod viewer_frames;
mod viewer_rtcp;
mod viewer_srtp;

pub use amf::amf;
pub use client::client;
pub use flv::flv;
pub use media_port::media_port;
pub use packet::packet;
pub use redis::redis;
pub use rtcp::rtcp;
pub use rtmp_chunks::rtmp_chunks;
pub use rtmp_connection::rtmp_connection;
pub use sdp_offer::sdp_offer;
pub use trickle::trickle;
pub use viewer_dtls::viewer_dtls;
pub use viewer_frames::viewer_frames;
pub use viewer_rtcp::viewer_rtcp;
pub use viewer_srtp::viewer_srtp;

#[cfg(test)]
mod tests {
    use std::path::Path;

    /// All seeds of a target, and each cut off anywhere.
    fn replay(target: &str, check: fn(&[u8])) {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../seeds").join(target);
        let mut seeds = 0;
        for entry in std::fs::read_dir(folder).unwrap() {
            let seed = std::fs::read(entry.unwrap().path()).unwrap();
            (0..=seed.len()).for_each(|length| check(&seed[..length]));
            seeds += 1;
        }
        assert!(seeds > 0, "there are no seeds of {target}");
    }

    macro_rules! seeds_hold {
        ($($target:ident)+) => { $(#[test] fn $target() { replay(stringify!($target), super::$target); })+ };
    }

    seeds_hold! {
        amf client flv media_port packet redis rtcp rtmp_chunks rtmp_connection sdp_offer trickle viewer_dtls
        viewer_frames viewer_rtcp viewer_srtp
    }
}
