//! The time in the picture: what a viewer decodes says when its frame was made, whatever lies between.
//!
//! 32 bits of milliseconds and 16 that check them, as black and white blocks in the upper left corner. Both ends read
//! the same clock, CLOCK_MONOTONIC of one machine.

/// Side of a block; large enough to outlive the encoder at any bitrate.
const BLOCK: usize = 16;
const COLUMNS: usize = 16;
const BITS: usize = 48;
const WHITE: u8 = 235;
const BLACK: u8 = 16;

/// Least size of a picture that can hold it.
pub const LEAST_SIZE: (usize, usize) = (COLUMNS * BLOCK, BITS / COLUMNS * BLOCK);

/// Writes a time into the luma plane.
pub fn paint(luma: &mut [u8], stride: usize, ms: u32) {
    let bits = word(ms);
    for bit in 0..BITS {
        let value = if bits >> bit & 1 == 1 { WHITE } else { BLACK };
        let (x, y) = place(bit);
        for row in y..y + BLOCK {
            luma[row * stride + x..][..BLOCK].fill(value);
        }
    }
}

/// Reads it again; `None` when it is not one.
pub fn read(luma: &[u8], stride: usize) -> Option<u32> {
    let mut bits = 0;
    for bit in 0..BITS {
        let (x, y) = place(bit);
        let centre = luma.get((y + BLOCK / 2) * stride + x + BLOCK / 2)?;
        bits |= u64::from(*centre > (WHITE + BLACK) / 2) << bit;
    }
    let ms = bits as u32;
    (word(ms) == bits).then_some(ms)
}

fn word(ms: u32) -> u64 {
    // Not 0 for 0, or a black picture would hold a time.
    let check = !((ms.wrapping_mul(0x9e37_79b1) >> 16) as u16);
    u64::from(check) << 32 | u64::from(ms)
}

fn place(bit: usize) -> (usize, usize) {
    (bit % COLUMNS * BLOCK, bit / COLUMNS * BLOCK)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_painted_is_read() {
        let mut luma = vec![90; 640 * 360];
        for ms in [0, 1, 0xdead_beef, u32::MAX] {
            paint(&mut luma, 640, ms);
            assert_eq!(read(&luma, 640), Some(ms));
        }
    }

    #[test]
    fn noise_is_no_time() {
        for shade in [0, 90, 255] {
            assert_eq!(read(&vec![shade; 640 * 360], 640), None, "{shade}");
        }
        let mut luma = vec![90; 640 * 360];
        paint(&mut luma, 640, 12_345);
        luma[8 * 640 + 8] ^= 0xff;
        assert_eq!(read(&luma, 640), None);
        assert_eq!(read(&luma[..640], 640), None);
    }
}
