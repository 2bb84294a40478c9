//! What must hold of every reader of what comes from a network, whatever comes. Each function takes any bytes and panics when
//! something is wrong; the fuzz targets call them with bytes that they find, the tests here with the seeds.
#![warn(missing_docs)]

mod amf;
mod client;
mod flv;
mod packet;
mod redis;
mod rtcp;
mod rtmp_chunks;
mod rtmp_connection;
mod sdp_offer;
mod trickle;
mod viewer_rtcp;
mod viewer_srtp;

pub use amf::amf;
pub use client::client;
pub use flv::flv;
pub use packet::packet;
pub use redis::redis;
pub use rtcp::rtcp;
pub use rtmp_chunks::rtmp_chunks;
pub use rtmp_connection::rtmp_connection;
pub use sdp_offer::sdp_offer;
pub use trickle::trickle;
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
        amf client flv packet redis rtcp rtmp_chunks rtmp_connection sdp_offer trickle viewer_rtcp viewer_srtp
    }
}
