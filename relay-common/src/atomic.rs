//! Words that two CPUs may write at once. The compiler for BPF knows no atomic operations, the kernel does (5.12, BPF_ATOMIC); outside
//! the kernel whoever calls has the word for itself.
//!
//! One object serves every processor, and they differ: x86 keeps loads in order, and stores; on others only an atomic operation that
//! gives something back is a barrier, and it waits for all stores before it. So the loader says which of both it is (`IN_ORDER`)
//! before the verifier looks, which leaves out what is never run.

#[cfg(target_arch = "bpf")]
use core::mem::MaybeUninit;

/// 1: this machine's processors keep loads in order, and stores. In the form that loaders look for, as `aya_ebpf::Global`.
#[cfg(target_arch = "bpf")]
#[unsafe(no_mangle)]
static IN_ORDER: MaybeUninit<u8> = MaybeUninit::new(0);

#[cfg(target_arch = "bpf")]
#[inline(always)]
fn in_order() -> bool {
    // SAFETY: it has a value; volatile, since that may be another one by the time that this runs.
    unsafe { IN_ORDER.as_ptr().read_volatile() != 0 }
}

/// Writes `new` if the word is `known`. Gives what it was.
#[inline(always)]
pub fn exchange(word: &mut u64, known: u64, new: u64) -> u64 {
    #[cfg(target_arch = "bpf")]
    {
        let found;
        // SAFETY: the word is aligned, and whoever else writes it does so by one instruction, too.
        unsafe {
            core::arch::asm!(
                "r0 = cmpxchg_64({word} + 0, r0, {new})",
                word = in(reg) word as *mut u64,
                new = in(reg) new,
                inout("r0") known => found,
                options(nostack),
            );
        }
        found
    }
    #[cfg(not(target_arch = "bpf"))]
    {
        let found = *word;
        if found == known {
            *word = new;
        }
        found
    }
}

/// Reads a word that another CPU may write. What is read after this is as new as this, or newer.
#[inline(always)]
pub fn read(word: &mut u32) -> u32 {
    #[cfg(target_arch = "bpf")]
    if !in_order() {
        let value;
        // SAFETY: as in `exchange`. Adds nothing.
        unsafe {
            core::arch::asm!(
                "{nothing} = atomic_fetch_add((u32 *)({word} + 0), {nothing})",
                word = in(reg) word as *mut u32,
                nothing = inout(wreg) 0_u32 => value,
                options(nostack),
            );
        }
        return value;
    }
    // SAFETY: a reference; volatile, so that it is read once, and here.
    let value = unsafe { (word as *const u32).read_volatile() };
    compiled_in_order();
    value
}

/// The same of 64 bits.
#[inline(always)]
pub fn read_long(word: &mut u64) -> u64 {
    #[cfg(target_arch = "bpf")]
    if !in_order() {
        return take_and_add(word, 0);
    }
    // SAFETY: as in `read`.
    let value = unsafe { (word as *const u64).read_volatile() };
    compiled_in_order();
    value
}

/// The compiler moves no access to memory across it.
#[inline(always)]
fn compiled_in_order() {
    #[cfg(target_arch = "bpf")]
    // SAFETY: no instruction; the compiler takes it for one that may change memory.
    unsafe {
        core::arch::asm!("", options(nostack));
    }
}

/// Adds to the word.
#[inline(always)]
pub fn add(word: &mut u64, more: u64) {
    #[cfg(target_arch = "bpf")]
    // SAFETY: as in `exchange`.
    unsafe {
        core::arch::asm!(
            "lock *(u64 *)({word} + 0) += {more}",
            word = in(reg) word as *mut u64,
            more = in(reg) more,
            options(nostack),
        );
    }
    #[cfg(not(target_arch = "bpf"))]
    {
        *word = word.wrapping_add(more);
    }
}

/// Adds to the word. Gives what it was. What was written before this is seen before this, and what is written after this after it.
#[inline(always)]
pub fn take_and_add(word: &mut u64, more: u64) -> u64 {
    #[cfg(target_arch = "bpf")]
    {
        let before;
        // SAFETY: as in `exchange`.
        unsafe {
            core::arch::asm!(
                "{more} = atomic_fetch_add((u64 *)({word} + 0), {more})",
                word = in(reg) word as *mut u64,
                more = inout(reg) more => before,
                options(nostack),
            );
        }
        before
    }
    #[cfg(not(target_arch = "bpf"))]
    {
        let before = *word;
        *word = before.wrapping_add(more);
        before
    }
}

/// Writes the word. What was written before this is seen before this.
///
/// Where the processor keeps stores in order this is one of them, and nobody waits until all that was written before has reached the
/// cache. A string copy is such a store, too: what is written after it is seen after it.
#[inline(always)]
pub fn publish(word: &mut u64, new: u64) {
    #[cfg(target_arch = "bpf")]
    if in_order() {
        // SAFETY: as in `exchange`. The compiler moves no store across it.
        unsafe {
            core::arch::asm!(
                "*(u64 *)({word} + 0) = {new}",
                word = in(reg) word as *mut u64,
                new = in(reg) new,
                options(nostack),
            );
        }
    } else {
        // SAFETY: as above.
        unsafe {
            core::arch::asm!(
                "{new} = xchg_64({word} + 0, {new})",
                word = in(reg) word as *mut u64,
                new = inout(reg) new => _,
                options(nostack),
            );
        }
    }
    #[cfg(not(target_arch = "bpf"))]
    {
        *word = new;
    }
}
