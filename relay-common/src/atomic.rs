//! Words that two CPUs may write at once. The compiler for BPF knows no atomic operations, the kernel does (5.12, BPF_ATOMIC); outside
//! the kernel whoever calls has the word for itself.

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
pub fn read(word: &u32) -> u32 {
    // SAFETY: a reference; volatile, so that it is read once, and here.
    let value = unsafe { (word as *const u32).read_volatile() };
    #[cfg(target_arch = "bpf")]
    // SAFETY: no instruction; the compiler takes it for one that may change memory.
    unsafe {
        core::arch::asm!("", options(nostack));
    }
    value
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

/// Adds to the word. Gives what it was; what is written after this is seen after this.
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
#[inline(always)]
pub fn publish(word: &mut u64, new: u64) {
    #[cfg(target_arch = "bpf")]
    // SAFETY: as in `exchange`.
    unsafe {
        core::arch::asm!(
            "{new} = xchg_64({word} + 0, {new})",
            word = in(reg) word as *mut u64,
            new = inout(reg) new => _,
            options(nostack),
        );
    }
    #[cfg(not(target_arch = "bpf"))]
    {
        *word = new;
    }
}

/// Writes the word where the processor keeps stores in order (x86): it is `publish` without waiting until all that was written before
/// has reached the cache. A string copy is one of these stores, too: what is written after it is seen after it.
#[inline(always)]
pub fn publish_in_order(word: &mut u64, new: u64) {
    #[cfg(target_arch = "bpf")]
    // SAFETY: as in `exchange`. The compiler moves no store across it.
    unsafe {
        core::arch::asm!(
            "*(u64 *)({word} + 0) = {new}",
            word = in(reg) word as *mut u64,
            new = in(reg) new,
            options(nostack),
        );
    }
    #[cfg(not(target_arch = "bpf"))]
    {
        *word = new;
    }
}
