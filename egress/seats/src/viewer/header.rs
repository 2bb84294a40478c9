//! RTP headers as a viewer gets them (RFC 3550 section 5.1), with extensions of one byte's header (RFC 8285 section 4.2).

use node::media::rtp;
use node::media::{Ssrc, rtp::HEADER};

/// Longest: the extension's own header 4, identification of media 1 + 16, transport-wide number 1 + 2, send time 1 + 3 bytes, each
/// to full words.
const LONGEST: usize = HEADER + 4 + 20 + 4 + 4;
/// "One-byte header".
const ONE_BYTE: [u8; 2] = [0xbe, 0xde];
/// Longest value of an extension in this form.
pub const LONGEST_VALUE: usize = 16;

/// A header that is made.
#[derive(Clone, Copy, Debug)]
pub struct Header {
    bytes: [u8; LONGEST],
    length: usize,
}

impl Header {
    /// Without extensions.
    pub fn new(fields: rtp::Header, marker: bool) -> Header {
        let mut bytes = [0; LONGEST];
        bytes[..HEADER].copy_from_slice(&fields.bytes());
        bytes[1] |= u8::from(marker) << 7;
        Header { bytes, length: HEADER }
    }

    /// Adds an extension with this number (1 to 14) and 1 to 16 bytes. One that there is no room for is left out.
    pub fn extend(&mut self, number: u8, value: &[u8]) {
        debug_assert!((1..=14).contains(&number) && (1..=LONGEST_VALUE).contains(&value.len()));
        // The last one's padding counts among its bytes, and is 0: readers pass over it.
        let at = if self.length == HEADER { HEADER + 4 } else { self.length };
        let end = at + 1 + value.len();
        let padded = end.next_multiple_of(4);
        if padded > LONGEST {
            return;
        }
        self.bytes[0] |= 0x10;
        self.bytes[HEADER..HEADER + 2].copy_from_slice(&ONE_BYTE);
        self.bytes[HEADER + 3] = ((padded - HEADER - 4) / 4) as u8;
        self.bytes[at] = number << 4 | (value.len() - 1) as u8;
        self.bytes[at + 1..end].copy_from_slice(value);
        self.length = padded;
    }

    /// As it goes out.
    pub fn bytes(&self) -> &[u8] {
        &self.bytes[..self.length]
    }

    /// What it says.
    pub fn ssrc(&self) -> Ssrc {
        Ssrc(u32::from_be_bytes([self.bytes[8], self.bytes[9], self.bytes[10], self.bytes[11]]))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const FIELDS: rtp::Header =
        rtp::Header { payload_type: 120, sequence: 0x0102, timestamp: 3, ssrc: Ssrc(4) };

    #[test]
    fn extensions_follow_in_their_own_numbers() {
        let mut header = Header::new(FIELDS, true);
        assert_eq!(header.bytes(), [0x80, 0x80 | 120, 1, 2, 0, 0, 0, 3, 0, 0, 0, 4]);
        header.extend(4, b"0");
        header.extend(3, &[9, 8]);
        #[rustfmt::skip]
        let wanted = [
            0x90, 0x80 | 120, 1, 2, 0, 0, 0, 3, 0, 0, 0, 4,
            0xbe, 0xde, 0, 2, 0x40, b'0', 0, 0, 0x31, 9, 8, 0,
        ];
        assert_eq!(header.bytes(), wanted);
        assert_eq!(rtp::payload(header.bytes()), Some(&[][..]), "and it is well-formed");
    }

    #[test]
    fn all_of_them_at_their_longest_have_room() {
        let mut header = Header::new(FIELDS, false);
        header.extend(1, &[1; LONGEST_VALUE]);
        header.extend(2, &[2; 2]);
        header.extend(3, &[3; 3]);
        assert_eq!(header.bytes().len(), 12 + 4 + 20 + 4 + 4);
        header.extend(4, &[4]);
        assert_eq!(header.bytes().len(), 44, "there is no more room");
    }
}
