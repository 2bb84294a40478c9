//! What we say.

use rtcp_types::prelude::RtcpPacketWriter;
use rtcp_types::{Bye, Compound, Sdes, SdesChunk, SdesItem};

use super::Ntp;

/// SDES item CNAME (RFC 3550 section 6.5.1).
const CNAME: u8 = 1;

/// Says which moment of the wall clock a timestamp of a stream is (RFC 3550 section 6.4.1): by these a player brings sound and
/// picture together.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SenderReport {
    /// The stream.
    pub ssrc: u32,
    /// Now.
    pub ntp: Ntp,
    /// The same moment in the stream.
    pub timestamp: u32,
    /// Packets sent so far.
    pub packets: u32,
    /// Bytes of payload in these.
    pub bytes: u32,
}

impl SenderReport {
    /// Adds it and the stream's canonical name, the same for all streams that belong together (RFC 3550 section 6.5.1): a compound
    /// packet by itself. `cname` has at most 255 bytes.
    pub fn write(&self, cname: &str, out: &mut Vec<u8>) {
        let report = rtcp_types::SenderReport::builder(self.ssrc)
            .ntp_timestamp(self.ntp.0)
            .rtp_timestamp(self.timestamp)
            .packet_count(self.packets)
            .octet_count(self.bytes);
        let name = SdesChunk::builder(self.ssrc).add_item(SdesItem::builder(CNAME, cname));
        append(&Compound::builder().add_packet(report).add_packet(Sdes::builder().add_chunk(name)), out);
    }
}

/// Adds a BYE: these streams end (RFC 3550 section 6.6). At most 31.
pub fn goodbye(ssrcs: &[u32], out: &mut Vec<u8>) {
    append(&ssrcs.iter().fold(Bye::builder(), |bye, ssrc| bye.add_source(*ssrc)), out);
}

/// Adds nothing if there is a value that the format cannot hold.
fn append(packet: &impl RtcpPacketWriter, out: &mut Vec<u8>) {
    let Ok(length) = packet.calculate_size() else {
        debug_assert!(false, "values that RTCP can hold");
        return;
    };
    let at = out.len();
    out.resize(at + length, 0);
    packet.write_into_unchecked(&mut out[at..]);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_report_goes_with_a_name() {
        let report = SenderReport { ssrc: 0x0102_0304, ntp: Ntp(5), timestamp: 6, packets: 7, bytes: 8 };
        let mut out = vec![0xff];
        report.write("abc", &mut out);
        #[rustfmt::skip]
        let wanted = [
            0xff,
            0x80, 200, 0, 6, 1, 2, 3, 4, 0, 0, 0, 0, 0, 0, 0, 5, 0, 0, 0, 6, 0, 0, 0, 7, 0, 0, 0, 8,
            0x81, 202, 0, 3, 1, 2, 3, 4, 1, 3, b'a', b'b', b'c', 0, 0, 0,
        ];
        assert_eq!(out, wanted);
    }

    #[test]
    fn streams_end_by_name() {
        let mut out = Vec::new();
        goodbye(&[1, 2], &mut out);
        assert_eq!(out, [0x82, 203, 0, 2, 0, 0, 0, 1, 0, 0, 0, 2]);
    }
}
