//! What a message in AMF0 claims to hold, looked at before anything is decoded: an array says how many values it has, and the
//! decoder makes room for as many as it says.

/// Values in values; encoders use three.
const DEEPEST: usize = 32;

/// How a message is read. By the specification an ECMA array ends with a marker. The decoder (`scuffle_amf0` 0.2) counts its values,
/// and takes one marker too many off behind them, which it keeps for the next value: names that come first are read without it.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Reading {
    AsSpecified,
    AsDecoded,
}

/// True when an array claims more values than there are bytes left, or values are nested too deeply, whichever way the message
/// is read. What is cut off or unknown ends the walk: there the decoder ends, too. (AMF0 specification, section 2.)
pub fn claims_too_much(message: &[u8]) -> bool {
    [Reading::AsSpecified, Reading::AsDecoded].into_iter().any(|reading| {
        let mut walk = Walk { rest: message, reading, kept: None };
        while walk.kept.is_some() || !walk.rest.is_empty() {
            match walk.value(0) {
                Ok(()) => {}
                Err(End::There) => return false,
                Err(End::TooMuch) => return true,
            }
        }
        false
    })
}

/// Why the walk ends.
enum End {
    /// Nothing more can be read.
    There,
    TooMuch,
}

struct Walk<'a> {
    rest: &'a [u8],
    reading: Reading,
    /// A marker that was taken off, as the decoder does.
    kept: Option<u8>,
}

impl Walk<'_> {
    /// One value. Each takes at least a byte, so that a message takes as many steps as it has bytes at most.
    fn value(&mut self, depth: usize) -> Result<(), End> {
        if depth > DEEPEST {
            return Err(End::TooMuch);
        }
        match self.marker()? {
            0x00 => self.skip(8).map(drop),
            0x01 => self.skip(1).map(drop),
            0x02 => self.text().map(drop),
            0x03 => self.fields(depth),
            0x05 | 0x06 => Ok(()),
            0x07 => self.skip(2).map(drop),
            0x08 => match (self.count()?, self.reading) {
                (_, Reading::AsSpecified) => self.fields(depth),
                (count, Reading::AsDecoded) => self.pairs(count, depth),
            },
            0x0a => (0..self.count()?).try_for_each(|_| self.value(depth + 1)),
            0x0b => self.skip(10).map(drop),
            0x0c | 0x0f => {
                let length = self.number()?;
                self.skip(length).map(drop)
            }
            0x10 => {
                self.text()?;
                self.fields(depth)
            }
            _ => Err(End::There),
        }
    }

    fn marker(&mut self) -> Result<u8, End> {
        match self.kept.take() {
            Some(marker) => Ok(marker),
            None => self.skip(1).map(|marker| marker[0]),
        }
    }

    /// Names and values, up to an empty name and the end marker.
    fn fields(&mut self, depth: usize) -> Result<(), End> {
        loop {
            if self.text()? == 0 {
                match self.marker()? {
                    9 => return Ok(()),
                    marker => self.kept = Some(marker),
                }
            }
            self.value(depth + 1)?;
        }
    }

    /// So many names and values, and a marker behind them.
    fn pairs(&mut self, count: usize, depth: usize) -> Result<(), End> {
        for _ in 0..count {
            self.text()?;
            self.value(depth + 1)?;
        }
        if self.kept.is_some() || !self.rest.is_empty() {
            self.kept = Some(self.marker()?).filter(|marker| *marker != 9);
        }
        Ok(())
    }

    /// Its length.
    fn text(&mut self) -> Result<usize, End> {
        let length = self.skip(2)?.iter().fold(0, |length, byte| length << 8 | usize::from(*byte));
        self.skip(length)?;
        Ok(length)
    }

    fn count(&mut self) -> Result<usize, End> {
        let count = self.number()?;
        if count > self.rest.len() { Err(End::TooMuch) } else { Ok(count) }
    }

    fn number(&mut self) -> Result<usize, End> {
        Ok(self.skip(4)?.iter().fold(0, |number, byte| number << 8 | usize::from(*byte)))
    }

    fn skip(&mut self, length: usize) -> Result<&[u8], End> {
        let (skipped, rest) = self.rest.split_at_checked(length).ok_or(End::There)?;
        self.rest = rest;
        Ok(skipped)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use scuffle_amf0::encoder::Amf0Encoder;

    use super::claims_too_much;

    /// Case A1 of the field, and the same in other places: 17 bytes that asked for 800 GB.
    #[test]
    fn an_array_of_more_values_than_bytes_is_too_much() {
        let array = [0x0a, 0xff, 0xff, 0xff, 0xff];
        let ecma = [0x08, 0xff, 0xff, 0xff, 0xff];
        assert!(claims_too_much(&array) && claims_too_much(&ecma));
        let mut command = Vec::new();
        let mut encoder = Amf0Encoder::new(&mut command);
        encoder.encode_string("connect").unwrap();
        encoder.encode_number(1.0).unwrap();
        command.extend_from_slice(&[0x03, 0, 1, b'a']);
        command.extend_from_slice(&array);
        assert!(claims_too_much(&command));
        assert!(claims_too_much(
            &[0x0a; 40].iter().flat_map(|byte| [*byte, 0, 0, 0, 1]).collect::<Vec<u8>>()
        ));
    }

    /// Found by the fuzz target `flv`. The decoder reads as many pairs of an ECMA array as it says, and goes on behind them; by
    /// the specification they end with a marker, and nothing that claims anything follows.
    #[test]
    fn an_array_behind_an_ecma_array_that_has_no_end_is_too_much() {
        assert!(claims_too_much(b"\x08\0\0\0\0\x08\xbc\x13\0\0\0"));
        assert!(claims_too_much(b"\x08\0\0\0\x01\0\x01a\x05\x0a\xff\xff\xff\xff"));
        assert!(claims_too_much(b"\x08\0\0\0\x01\0\x01a\x05\x09\x0a\xff\xff\xff\xff"));
        // Behind an ECMA array in an object, the decoder loses its place.
        assert!(claims_too_much(b"\x03\0\x01a\x08\0\0\0\0\x08\0\0\x21\0\x03\0\0\0\x0d"));
        // And one whose claim the decoder would not reach, by the specification.
        assert!(claims_too_much(b"\x08\0\0\0\x01\0\x01a\x05\0\x01b\x0a\xff\xff\xff\xff\0\0\x09"));
    }

    #[test]
    fn what_encoders_send_is_not() {
        let metadata =
            [0x08, 0, 0, 0, 2, 0, 1, b'w', 0, 0x40, 0x94, 0, 0, 0, 0, 0, 0, 0, 1, b's', 1, 1, 0, 0, 9];
        assert!(!claims_too_much(&metadata));
        assert!(!claims_too_much(&[0x0a, 0, 0, 0, 2, 5, 6]));
        assert!(!claims_too_much(b"\x02\x00\x03\x0a\x0a\x0a\x05"));
        assert!(!claims_too_much(&[]));
        // Cut off, and unknown: nothing to be afraid of.
        assert!(
            !claims_too_much(&[0x02, 0xff, 0xff]) && !claims_too_much(&[0x11, 0x0a, 0xff, 0xff, 0xff, 0xff])
        );
    }

    proptest! {
        /// What passes can be decoded without a claim that aborts the process.
        #[test]
        fn noise_that_passes_is_decoded_or_refused(bytes in prop::collection::vec(0u8..=0x11, 0..200)) {
            if !claims_too_much(&bytes) {
                let _ = scuffle_amf0::decoder::Amf0Decoder::from_buf(bytes::Bytes::from(bytes)).decode_all();
            }
        }
    }
}
