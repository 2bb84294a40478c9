//! A test card for people: over the colour bars a box with the broadcast's name and the time of day in UTC, and below them a
//! mark that crosses the box once a second, so that a picture that stands still is seen to stand still.

use std::time::Duration;

use font8x8::legacy::BASIC_LEGACY;

const WHITE: u8 = 235;
const BLACK: u8 = 16;
/// Chroma without colour.
const GREY: u8 = 128;
/// Pixels of a glyph.
const GLYPH: usize = 8;
/// Least pixels around what is written.
const MARGIN: usize = 12;
/// Height of the line that the mark runs along.
const TRACK: usize = 16;

/// The planes of an I420 picture whose width is a multiple of 8 and whose height is even.
pub struct Picture<'buffer> {
    pub planes: &'buffer mut [u8],
    pub width: usize,
    pub height: usize,
}

/// Least size that has room for the time and a short name.
pub const LEAST_SIZE: (usize, usize) = (320, 180);

/// Writes name and time into the picture; `now` counts from the Unix epoch.
pub fn paint(picture: &mut Picture<'_>, name: &str, now: Duration) {
    let clock = clock(now);
    let letters = clock.len().max(name.chars().count());
    let scale = (picture.width * 2 / 3 / (letters * GLYPH)).clamp(1, picture.height / (5 * GLYPH));
    let (line, width) = (GLYPH * scale, letters * GLYPH * scale + 2 * MARGIN);
    let height = 2 * line + TRACK + 4 * MARGIN;
    // Even, since chroma has half the pixels.
    let width = width.min(picture.width) & !1;
    let centred = |all: usize, part: usize| (all.saturating_sub(part) / 2) & !1;
    let (left, top) = (centred(picture.width, width), centred(picture.height, height));
    picture.fill(left, top, width, height & !1, BLACK);
    for (row, text) in [name, &clock].into_iter().enumerate() {
        let start = picture.width.saturating_sub(text.chars().count() * line) / 2;
        picture.write(start, top + MARGIN + row * (line + MARGIN), scale, text);
    }
    let run = width - 2 * MARGIN - TRACK;
    let at = run * now.subsec_millis() as usize / 1000;
    picture.fill((left + MARGIN + at) & !1, (top + 2 * line + 3 * MARGIN) & !1, TRACK, TRACK, WHITE);
}

/// `20:15:42.3`.
fn clock(now: Duration) -> String {
    let seconds = now.as_secs() % 86_400;
    let (hours, minutes) = (seconds / 3600, seconds / 60 % 60);
    format!("{hours:02}:{minutes:02}:{:02}.{}", seconds % 60, now.subsec_millis() / 100)
}

impl Picture<'_> {
    /// A rectangle without colour; all numbers are even. What is outside of the picture is left out.
    fn fill(&mut self, left: usize, top: usize, width: usize, height: usize, shade: u8) {
        let luma = self.width * self.height;
        let planes = [
            (0, self.width, 1, shade),
            (luma, self.width / 2, 2, GREY),
            (luma * 5 / 4, self.width / 2, 2, GREY),
        ];
        for (start, stride, part, value) in planes {
            for row in top / part..(top + height).min(self.height) / part {
                let from = start + row * stride + left / part;
                if let Some(pixels) = self.planes.get_mut(from..from + width / part) {
                    pixels.fill(value);
                }
            }
        }
    }

    /// Text from there to the right; what the font does not have is left blank.
    fn write(&mut self, left: usize, top: usize, scale: usize, text: &str) {
        for (column, letter) in text.chars().enumerate() {
            let glyph = BASIC_LEGACY.get(letter as usize).copied().unwrap_or_default();
            for (y, bits) in glyph.iter().enumerate() {
                for x in (0..GLYPH).filter(|x| bits >> x & 1 == 1) {
                    let from = left + (column * GLYPH + x) * scale;
                    for row in (0..scale).map(|row| top + y * scale + row).filter(|row| *row < self.height) {
                        if let Some(pixels) =
                            self.planes[row * self.width..][..self.width].get_mut(from..from + scale)
                        {
                            pixels.fill(WHITE);
                        }
                    }
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SIZE: (usize, usize) = (640, 360);

    fn painted(name: &str, ms: u64, (width, height): (usize, usize)) -> Vec<u8> {
        let mut planes = vec![90; width * height * 3 / 2];
        paint(&mut Picture { planes: &mut planes, width, height }, name, Duration::from_millis(ms));
        planes
    }

    #[test]
    fn the_time_of_day_is_written_out() {
        assert_eq!(
            clock(Duration::from_millis(86_400_000 * 3 + 20 * 3_600_000 + 15 * 60_000 + 42_350)),
            "20:15:42.3"
        );
    }

    #[test]
    fn another_time_and_another_name_are_other_pictures() {
        let picture = painted("demo", 1_000, SIZE);
        assert_ne!(picture, painted("demo", 1_040, SIZE), "the mark has moved");
        assert_ne!(picture, painted("demo", 2_000, SIZE), "the clock has moved");
        assert_ne!(picture, painted("gala", 1_000, SIZE));
    }

    #[test]
    fn the_corner_with_the_time_for_measuring_is_left_alone() {
        let (width, height) = crate::stamp::LEAST_SIZE;
        let picture = painted("demo", 0, SIZE);
        assert!((0..height).all(|row| picture[row * SIZE.0..][..width].iter().all(|pixel| *pixel == 90)));
    }

    #[test]
    fn whatever_it_is_called_it_fits() {
        for name in [
            "",
            "d",
            &"a broadcast with a name that is far too long for any picture".repeat(3),
            "Überraschung",
        ] {
            for size in [LEAST_SIZE, SIZE, (1280, 720)] {
                painted(name, 999, size);
            }
        }
    }
}
