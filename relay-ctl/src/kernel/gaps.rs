//! What streams have jumped over, as the programs tell it: one entry a gap.

use std::io;
use std::os::fd::{AsRawFd, RawFd};

use aya::maps::{MapData, RingBuf};
use relay_common::layout::Gap;
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;

/// Most gaps that are taken at a time.
const MOST: usize = 1024;

/// The ring that gaps are told by. There is one for each load of the programs.
pub struct GapRing(RingBuf<MapData>);

impl GapRing {
    pub(super) fn new(ring: RingBuf<MapData>) -> GapRing {
        GapRing(ring)
    }

    /// What has been told and not been taken yet, the first of it: at most 1,024.
    pub fn take(&mut self) -> Vec<Gap> {
        let mut gaps = Vec::new();
        while gaps.len() < MOST
            && let Some(entry) = self.0.next()
        {
            if let Some(bytes) = entry.first_chunk::<{ size_of::<Gap>() }>() {
                // SAFETY: as many bytes, of which any are a value: numbers only.
                gaps.push(unsafe { bytes.as_ptr().cast::<Gap>().read_unaligned() });
            }
        }
        gaps
    }
}

impl AsRawFd for GapRing {
    fn as_raw_fd(&self) -> RawFd {
        self.0.as_raw_fd()
    }
}

/// The same, for who waits.
pub struct Gaps(AsyncFd<GapRing>);

impl Gaps {
    /// Within a runtime.
    ///
    /// # Errors
    /// The ring cannot be waited for.
    pub fn new(ring: GapRing) -> io::Result<Gaps> {
        // SAFETY: the ring owns its file descriptor and keeps it open for as long as it lives.
        unsafe { AsyncFd::register_with_interest(ring, Interest::READABLE) }.map(Gaps).map_err(Into::into)
    }

    /// Waits until there are gaps, and takes them: at least one, at most 1,024. What is not waited for to its end is not lost.
    ///
    /// # Errors
    /// The ring cannot be waited for any more.
    pub async fn take(&mut self) -> io::Result<Vec<Gap>> {
        loop {
            let mut guard = self.0.readable_mut().await?;
            let gaps = guard.get_inner_mut().take();
            if gaps.len() < MOST {
                guard.clear_ready();
            }
            if !gaps.is_empty() {
                return Ok(gaps);
            }
        }
    }
}
