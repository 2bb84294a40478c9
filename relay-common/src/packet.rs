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

    /// Where the span in reach begins.
    #[inline(always)]
    pub fn start(&self) -> usize {
        self.start
    }

    /// Where it ends.
    #[inline(always)]
    pub fn end(&self) -> usize {
        self.end
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

/// The four bytes from `AT` on, as they stand in memory, wherever that is.
///
/// What may be misaligned, the compiler for BPF would take byte by byte. The CPUs that the relay runs on do not mind, and
/// their kernels allow it in packets and maps; only assembly says so to the compiler.
#[inline(always)]
pub fn word32<const AT: usize>(bytes: &[u8]) -> u32 {
    assert!(AT + 4 <= bytes.len());
    #[cfg(target_arch = "bpf")]
    {
        let word: u32;
        // SAFETY: inside the slice, checked above; reads only.
        unsafe {
            core::arch::asm!(
                "{word} = *(u32 *)({at} + {offset})",
                word = out(wreg) word,
                at = in(reg) bytes.as_ptr(),
                offset = const AT,
                options(nostack, readonly, preserves_flags),
            );
        }
        word
    }
    #[cfg(not(target_arch = "bpf"))]
    u32::from_ne_bytes([bytes[AT], bytes[AT + 1], bytes[AT + 2], bytes[AT + 3]])
}

/// The eight bytes from `AT` on, like [`word32`].
#[inline(always)]
pub fn word64<const AT: usize>(bytes: &[u8]) -> u64 {
    assert!(AT + 8 <= bytes.len());
    #[cfg(target_arch = "bpf")]
    {
        let word: u64;
        // SAFETY: as in `word32`.
        unsafe {
            core::arch::asm!(
                "{word} = *(u64 *)({at} + {offset})",
                word = out(reg) word,
                at = in(reg) bytes.as_ptr(),
                offset = const AT,
                options(nostack, readonly, preserves_flags),
            );
        }
        word
    }
    #[cfg(not(target_arch = "bpf"))]
    {
        let (low, high) = (word32::<AT>(bytes), word32::<AT>(&bytes[4..]));
        if cfg!(target_endian = "big") {
            (low as u64) << 32 | high as u64
        } else {
            (high as u64) << 32 | low as u64
        }
    }
}

/// Writes the four bytes from `AT` on, like [`word32`].
#[inline(always)]
pub fn set_word32<const AT: usize>(bytes: &mut [u8], word: u32) {
    assert!(AT + 4 <= bytes.len());
    #[cfg(target_arch = "bpf")]
    // SAFETY: inside the slice, checked above.
    unsafe {
        core::arch::asm!(
            "*(u32 *)({at} + {offset}) = {word}",
            word = in(wreg) word,
            at = in(reg) bytes.as_mut_ptr(),
            offset = const AT,
            options(nostack, preserves_flags),
        );
    }
    #[cfg(not(target_arch = "bpf"))]
    bytes[AT..AT + 4].copy_from_slice(&word.to_ne_bytes());
}

/// Writes the eight bytes from `AT` on, like [`word32`].
#[inline(always)]
pub fn set_word64<const AT: usize>(bytes: &mut [u8], word: u64) {
    assert!(AT + 8 <= bytes.len());
    #[cfg(target_arch = "bpf")]
    // SAFETY: inside the slice, checked above.
    unsafe {
        core::arch::asm!(
            "*(u64 *)({at} + {offset}) = {word}",
            word = in(reg) word,
            at = in(reg) bytes.as_mut_ptr(),
            offset = const AT,
            options(nostack, preserves_flags),
        );
    }
    #[cfg(not(target_arch = "bpf"))]
    bytes[AT..AT + 8].copy_from_slice(&word.to_ne_bytes());
}

/// True when these are the same MAC.
#[inline(always)]
pub fn same_mac(one: &[u8; 6], other: &[u8; 6]) -> bool {
    word32::<0>(one) == word32::<0>(other) && word(one, 4) == word(other, 4)
}

/// A big-endian 16-bit number at an even position of a fixed header.
#[inline(always)]
pub fn be16<const N: usize>(header: &[u8; N], at: usize) -> u16 {
    u16::from_be(word(header, at))
}

/// A big-endian 32-bit number of a fixed header.
#[inline(always)]
pub fn be32<const AT: usize>(header: &[u8]) -> u32 {
    u32::from_be(word32::<AT>(header))
}
