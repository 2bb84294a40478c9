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

/// The 16-bit word at `at`, as it stands in memory; `at` is even.
///
/// A BPF program fetches byte by byte what may lie anywhere. Headers lie at even addresses there: every driver gives a
/// packet an even start, and Ethernet, VLAN, IP and UDP headers have even lengths.
#[inline(always)]
pub fn word<const N: usize>(bytes: &[u8; N], at: usize) -> u16 {
    #[cfg(target_arch = "bpf")]
    {
        assert!(at + 2 <= N);
        // SAFETY: inside the array, checked above; even, as said above.
        unsafe { bytes.as_ptr().add(at).cast::<u16>().read() }
    }
    #[cfg(not(target_arch = "bpf"))]
    u16::from_ne_bytes([bytes[at], bytes[at + 1]])
}

/// Writes the 16-bit word at `at`, like [`word`].
#[inline(always)]
pub fn set_word<const N: usize>(bytes: &mut [u8; N], at: usize, value: u16) {
    #[cfg(target_arch = "bpf")]
    {
        assert!(at + 2 <= N);
        // SAFETY: as in `word`.
        unsafe { bytes.as_mut_ptr().add(at).cast::<u16>().write(value) }
    }
    #[cfg(not(target_arch = "bpf"))]
    bytes[at..at + 2].copy_from_slice(&value.to_ne_bytes());
}

/// Copies `length` bytes, an even number, between even positions.
#[inline(always)]
pub fn copy_words<const N: usize, const M: usize>(
    to: &mut [u8; N],
    to_at: usize,
    from: &[u8; M],
    from_at: usize,
    length: usize,
) {
    let mut at = 0;
    while at < length {
        set_word(to, to_at + at, word(from, from_at + at));
        at += 2;
    }
}

/// True when `length` bytes, an even number, at even positions are the same.
#[inline(always)]
pub fn same_words<const N: usize, const M: usize>(
    one: &[u8; N],
    one_at: usize,
    other: &[u8; M],
    other_at: usize,
    length: usize,
) -> bool {
    let mut difference = 0;
    let mut at = 0;
    while at < length {
        difference |= word(one, one_at + at) ^ word(other, other_at + at);
        at += 2;
    }
    difference == 0
}

/// A big-endian 16-bit number at an even position of a fixed header.
#[inline(always)]
pub fn be16<const N: usize>(header: &[u8; N], at: usize) -> u16 {
    u16::from_be(word(header, at))
}

/// A big-endian 32-bit number at an even position of a fixed header.
#[inline(always)]
pub fn be32<const N: usize>(header: &[u8; N], at: usize) -> u32 {
    (be16(header, at) as u32) << 16 | be16(header, at + 2) as u32
}
