//! The only way to look at packet bytes: every access is checked against the packet's end.

use core::marker::PhantomData;

/// A packet as the span between two addresses, the form in which XDP and tc hand it over.
#[derive(Clone, Copy)]
pub struct Packet<'a> {
    start: usize,
    end: usize,
    length: usize,
    bytes: PhantomData<&'a [u8]>,
}

impl<'a> Packet<'a> {
    /// A packet held in ordinary memory.
    pub fn new(bytes: &'a [u8]) -> Self {
        let start = bytes.as_ptr().expose_provenance();
        Packet { start, end: start + bytes.len(), length: bytes.len(), bytes: PhantomData }
    }

    /// A packet between the `data` and `data_end` of a BPF context.
    ///
    /// # Safety
    /// `start..end` must be readable for `'a`.
    #[inline(always)]
    pub unsafe fn from_span(start: usize, end: usize) -> Self {
        Packet { start, end, length: end - start, bytes: PhantomData }
    }

    /// The same packet, of which only the span is in reach: a socket buffer may go on in other pages.
    #[inline(always)]
    pub fn of_length(self, length: usize) -> Self {
        Packet { length, ..self }
    }

    /// `N` bytes at `offset`, or `None` when the packet ends before them.
    #[inline(always)]
    pub fn bytes<const N: usize>(&self, offset: usize) -> Option<&'a [u8; N]> {
        // The verifier wants exactly this form: pointer plus constant, compared with the end.
        if self.start + offset + N > self.end {
            return None;
        }
        // SAFETY: the N bytes lie within the span, which the constructor promised to be readable for 'a.
        Some(unsafe { &*core::ptr::with_exposed_provenance::<[u8; N]>(self.start + offset) })
    }

    /// Length in bytes, whether in reach or not.
    #[inline(always)]
    pub fn len(&self) -> usize {
        self.length
    }

    /// True for a packet of no bytes.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

/// A big-endian 16-bit number at `at` of a fixed header.
#[inline(always)]
pub fn be16<const N: usize>(header: &[u8; N], at: usize) -> u16 {
    u16::from_be_bytes([header[at], header[at + 1]])
}

/// A big-endian 32-bit number at `at` of a fixed header.
#[inline(always)]
pub fn be32<const N: usize>(header: &[u8; N], at: usize) -> u32 {
    u32::from_be_bytes([header[at], header[at + 1], header[at + 2], header[at + 3]])
}
