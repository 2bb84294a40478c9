//! AMF0, read within bounds and without I/O (Adobe's AMF0 specification, section 2).
//!
//! Ours, because the reader at hand (`scuffle_amf0` 0.2) makes room for as many values as an array says it has, 800 GB for
//! five bytes, and takes an ECMA array for longer than it is. Here nothing that a message says decides how much is allocated,
//! or how deep the reader goes: what is kept has been read, and [`DEEPEST`] and [`MOST_VALUES`] bound the rest.

/// Values in values; encoders use three.
const DEEPEST: usize = 16;
/// Values of a message that are kept; encoders send some thirty.
const MOST_VALUES: usize = 4096;

/// A value, as far as anybody here wants to know.
#[derive(Clone, Debug, PartialEq)]
pub enum Value {
    /// A number.
    Number(f64),
    /// True or false.
    Boolean(bool),
    /// A string.
    Text(String),
    /// An object or an ECMA array: names and values, in the order in which they came.
    Fields(Vec<(String, Value)>),
    /// Null, or a kind that no publisher needs: a date, XML, a list.
    Other,
}

impl Value {
    /// The value of this name, of an object.
    pub fn field(&self, name: &str) -> Option<&Value> {
        let Value::Fields(fields) = self else { return None };
        fields.iter().find_map(|(found, value)| (found == name).then_some(value))
    }

    /// A string.
    pub fn text(&self) -> Option<&str> {
        match self {
            Value::Text(text) => Some(text),
            _ => None,
        }
    }

    /// A number.
    pub fn number(&self) -> Option<f64> {
        match self {
            Value::Number(number) => Some(*number),
            _ => None,
        }
    }
}

/// Why a message is none.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AmfError {
    /// A string, a list or an object claims more than there is.
    #[error("AMF0 that ends too early")]
    Cut,
    /// Too many values in values.
    #[error("AMF0 that is nested too deeply")]
    Deep,
    /// More values than anybody sends.
    #[error("AMF0 of too many values")]
    Many,
    /// A marker that no kind of value has.
    #[error("no AMF0")]
    Unknown,
}

/// All values of a message. Where AMF3 begins (marker 0x11), they end: no encoder has anything there that is needed.
pub fn values(message: &[u8]) -> Result<Vec<Value>, AmfError> {
    let mut reader = Reader { rest: message, kept: 0 };
    let mut values = Vec::new();
    while let Some(marker) = reader.rest.first()
        && *marker != AMF3
    {
        values.push(reader.value(0)?);
    }
    Ok(values)
}

const AMF3: u8 = 0x11;
/// Ends an object, behind an empty name.
const END: u8 = 0x09;

struct Reader<'a> {
    rest: &'a [u8],
    kept: usize,
}

impl<'a> Reader<'a> {
    /// One value. Each takes a byte at least, so that there are as many steps as bytes at most.
    fn value(&mut self, depth: usize) -> Result<Value, AmfError> {
        if depth > DEEPEST {
            return Err(AmfError::Deep);
        }
        self.kept += 1;
        if self.kept > MOST_VALUES {
            return Err(AmfError::Many);
        }
        Ok(match self.take::<1>()?[0] {
            0x00 => Value::Number(f64::from_be_bytes(self.take()?)),
            0x01 => Value::Boolean(self.take::<1>()? != [0]),
            0x02 => {
                let length = self.short()?;
                Value::Text(self.text(length)?)
            }
            0x03 => Value::Fields(self.fields(None, depth)?),
            0x08 => {
                // How many there are is a hint: the marker at the end counts.
                let hint = self.long()?;
                Value::Fields(self.fields(Some(hint), depth)?)
            }
            0x0a => {
                let count = self.long()?;
                self.list(count, depth)?
            }
            0x0c => {
                let length = self.long()?;
                Value::Text(self.text(length)?)
            }
            0x0f => {
                let length = self.long()?;
                self.skip(length).map(|_| Value::Other)?
            }
            // Of a class, whose name is of no interest.
            0x10 => {
                let length = self.short()?;
                self.skip(length)?;
                Value::Fields(self.fields(None, depth)?)
            }
            0x07 => self.skip(2).map(|_| Value::Other)?,
            0x0b => self.skip(10).map(|_| Value::Other)?,
            0x05 | 0x06 | 0x0d => Value::Other,
            _ => return Err(AmfError::Unknown),
        })
    }

    /// Names and values, up to an empty name and the end marker. An ECMA array may leave these away at the end of a message,
    /// once it has as many values as it said.
    fn fields(&mut self, hint: Option<usize>, depth: usize) -> Result<Vec<(String, Value)>, AmfError> {
        let mut fields = Vec::new();
        loop {
            if self.rest.is_empty() && hint == Some(fields.len()) {
                return Ok(fields);
            }
            let length = self.short()?;
            let name = self.text(length)?;
            if name.is_empty() && self.rest.first() == Some(&END) {
                self.skip(1)?;
                return Ok(fields);
            }
            fields.push((name, self.value(depth + 1)?));
        }
    }

    /// A list is gone through and not kept.
    fn list(&mut self, count: usize, depth: usize) -> Result<Value, AmfError> {
        if count > self.rest.len() {
            return Err(AmfError::Cut);
        }
        for _ in 0..count {
            let kept = self.kept;
            self.value(depth + 1)?;
            self.kept = kept;
        }
        Ok(Value::Other)
    }

    fn text(&mut self, length: usize) -> Result<String, AmfError> {
        Ok(String::from_utf8_lossy(self.skip(length)?).into_owned())
    }

    fn short(&mut self) -> Result<usize, AmfError> {
        Ok(usize::from(u16::from_be_bytes(self.take()?)))
    }

    fn long(&mut self) -> Result<usize, AmfError> {
        usize::try_from(u32::from_be_bytes(self.take()?)).map_err(|_| AmfError::Cut)
    }

    fn take<const N: usize>(&mut self) -> Result<[u8; N], AmfError> {
        let (taken, rest) = self.rest.split_first_chunk().ok_or(AmfError::Cut)?;
        self.rest = rest;
        Ok(*taken)
    }

    fn skip(&mut self, length: usize) -> Result<&'a [u8], AmfError> {
        let (skipped, rest) = self.rest.split_at_checked(length).ok_or(AmfError::Cut)?;
        self.rest = rest;
        Ok(skipped)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use scuffle_amf0::encoder::Amf0Encoder;
    use scuffle_amf0::{Amf0Object, Amf0Value};

    use super::*;

    fn text(text: &str) -> Value {
        Value::Text(text.to_owned())
    }

    #[test]
    fn what_encoders_send_is_read() {
        let fields: Amf0Object = [("app".into(), Amf0Value::String("live".into()))].into_iter().collect();
        let mut message = Vec::new();
        let mut encoder = Amf0Encoder::new(&mut message);
        encoder.encode_string("connect").unwrap();
        encoder.encode_number(1.0).unwrap();
        encoder.encode_object(&fields).unwrap();
        encoder.encode_boolean(true).unwrap();
        encoder.encode_null().unwrap();
        let object = Value::Fields(vec![("app".to_owned(), text("live"))]);
        let all = vec![text("connect"), Value::Number(1.0), object, Value::Boolean(true), Value::Other];
        assert_eq!(values(&message), Ok(all));
    }

    /// An ECMA array has names and values, whatever it says of their number.
    #[test]
    fn an_ecma_array_ends_where_it_ends() {
        let array = |count: u32, end: &[u8]| {
            [&[0x08][..], &count.to_be_bytes(), b"\0\x01a\0\x40\x59\0\0\0\0\0\0\0\x01b\x05", end].concat()
        };
        let fields = vec![("a".to_owned(), Value::Number(100.0)), ("b".to_owned(), Value::Other)];
        for count in [0, 2, 3, u32::MAX] {
            let message = [array(count, b"\0\0\x09"), b"\x05".to_vec()].concat();
            assert_eq!(values(&message), Ok(vec![Value::Fields(fields.clone()), Value::Other]), "{count}");
        }
        // Without its end.
        assert_eq!(values(&array(2, b"")), Ok(vec![Value::Fields(fields)]));
        assert_eq!(values(&array(3, b"")), Err(AmfError::Cut));
        assert_eq!(values(&array(1, b"")), Err(AmfError::Cut));
    }

    /// Case A1 of the field, and the same in other places: five bytes that asked for 800 GB.
    #[test]
    fn what_is_claimed_and_not_there_is_cut() {
        let claims: [&[u8]; 8] = [
            b"\x08\xff\xff\xff\xff",
            b"\x0a\xff\xff\xff\xff",
            b"\x0c\xff\xff\xff\xff",
            b"\x0f\xff\xff\xff\xff",
            b"\x02\xff\xff",
            b"\x10\xff\xff",
            b"\x0a\x7f\xff\xff\xff\x05\x05",
            b"\x0a\0\0\0\x02\x05",
        ];
        for claim in claims {
            for before in
                [&b""[..], b"\x02\0\x01x", b"\x03\0\x01a", b"\x08\0\0\0\x01\0\x01a", b"\x0a\0\0\0\x01"]
            {
                assert_eq!(values(&[before, claim].concat()), Err(AmfError::Cut), "{before:x?} {claim:x?}");
            }
        }
        // Behind AMF3 nothing is read.
        assert_eq!(values(b"\x05\x11\x09\xff\xff\xff\xff"), Ok(vec![Value::Other]));
        assert_eq!(values(b"\x55"), Err(AmfError::Unknown));
    }

    #[test]
    fn depth_and_number_have_bounds() {
        for level in [&b"\x03\0\0"[..], b"\x0a\0\0\0\x01", b"\x08\0\0\0\x01\0\0", b"\x10\0\0\0\0"] {
            assert_eq!(values(&level.repeat(20_000)), Err(AmfError::Deep), "{level:x?}");
        }
        assert_eq!(values(&vec![0x05; MOST_VALUES]).map(|values| values.len()), Ok(MOST_VALUES));
        assert_eq!(values(&vec![0x05; MOST_VALUES + 1]), Err(AmfError::Many));
        // What is not kept is not counted: the index of keyframes of a recording.
        let list = [&[0x0a, 0, 0, 0x4e, 0x20][..], &[0x05; 20_000]].concat();
        assert_eq!(values(&list), Ok(vec![Value::Other]));
    }

    #[test]
    fn fields_are_found_by_name() {
        let object = Value::Fields(vec![("a".to_owned(), Value::Number(1.0)), ("b".to_owned(), text("x"))]);
        assert_eq!(object.field("a").and_then(Value::number), Some(1.0));
        assert_eq!(object.field("b").and_then(Value::text), Some("x"));
        assert_eq!((object.field("c"), text("a").field("a"), object.text()), (None, None, None));
    }

    proptest! {
        #[test]
        fn noise_harms_nobody(bytes in prop::collection::vec(0u8..=0x12, 0..300)) {
            if let Ok(values) = values(&bytes) {
                prop_assert!(values.len() <= bytes.len());
            }
        }
    }
}
