//! What comes by a TCP connection: packets, each behind its length (RFC 4571).

use super::sockets;

/// Takes frames out of what comes in (RFC 4571 section 2).
#[derive(Debug, Default)]
pub(crate) struct Frames {
    bytes: Vec<u8>,
}

/// A frame is longer than anything that a viewer has to say.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct TooLong;

impl Frames {
    /// What has come.
    pub(crate) fn extend(&mut self, bytes: &[u8]) {
        self.bytes.extend_from_slice(bytes);
    }

    /// Gives each whole frame to `each`, and keeps the rest: less than [`sockets::LONGEST`] bytes.
    pub(crate) fn each(&mut self, mut each: impl FnMut(&[u8])) -> Result<(), TooLong> {
        let mut rest = &self.bytes[..];
        while let Some((length, after)) = rest.split_first_chunk::<2>() {
            let length = usize::from(u16::from_be_bytes(*length));
            if length > sockets::LONGEST {
                return Err(TooLong);
            }
            let Some((frame, after)) = after.split_at_checked(length) else {
                break;
            };
            each(frame);
            rest = after;
        }
        let kept = self.bytes.len() - rest.len();
        self.bytes.drain(..kept);
        if self.bytes.is_empty() {
            self.bytes = Vec::new();
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_frame_that_is_too_long_is_an_end() {
        let mut frames = Frames::default();
        frames.extend(&u16::MAX.to_be_bytes());
        assert_eq!(frames.each(|_| panic!("a frame")), Err(TooLong));
    }

    proptest! {
        #[test]
        fn frames_come_out_as_they_went_in(
            packets in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..300), 0..20),
            cut in 1_usize..500,
        ) {
            let bytes: Vec<u8> = packets.iter()
                .flat_map(|p| [&(p.len() as u16).to_be_bytes()[..], p].concat())
                .collect();
            let mut frames = Frames::default();
            let mut out = Vec::new();
            for some in bytes.chunks(cut) {
                frames.extend(some);
                frames.each(|f| out.push(f.to_vec())).unwrap();
            }
            prop_assert_eq!(out, packets);
        }
    }
}
