//! Novelty of the shape: how far the newest stretch of a series is from the nearest of a bounded
//! memory of stretches seen before.
//!
//! The memory grows and forgets as in adaptive resonance (Carpenter and Grossberg 1987; for time
//! series Hampton 2022, "ARTime"): a stretch that resembles a stored one moves it a little, one
//! that does not takes the place of the least used. Only stretches that ended a whole length ago
//! are stored, so nothing matches itself.

use serde::{Deserialize, Serialize};

use super::packed;

/// Values in a stretch.
pub(super) const LENGTH: usize = 16;
/// Stored stretches.
const PATTERNS: usize = 32;

/// The memory and the newest values.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct Shape {
    /// By place in the stretch, then by pattern: distances to all patterns are summed side by side.
    #[serde(with = "packed::rows")]
    places: [[u8; PATTERNS]; LENGTH],
    #[serde(with = "packed")]
    uses: [u8; PATTERNS],
    /// The newest two lengths, oldest first.
    #[serde(with = "packed")]
    recent: [u8; 2 * LENGTH],
    filled: u8,
    stored: u8,
    fade: u8,
    skipped: u8,
}

impl Default for Shape {
    fn default() -> Self {
        Self {
            places: [[0; PATTERNS]; LENGTH],
            uses: [0; PATTERNS],
            recent: [0; 2 * LENGTH],
            filled: 0,
            stored: 0,
            fade: 0,
            skipped: 0,
        }
    }
}

impl Shape {
    /// Takes in a value (−128 to 127 units) and gives the mean distance of the newest stretch to
    /// its nearest neighbour in units; `None` while too little is known.
    pub(super) fn push(&mut self, value: f32, vigilance: f32, stride: u8) -> Option<f32> {
        self.recent.rotate_left(1);
        self.recent[2 * LENGTH - 1] = (value.round() + 128.0).clamp(0.0, 255.0) as u8;
        if usize::from(self.filled) < 2 * LENGTH {
            self.filled += 1;
            return None;
        }
        let (old, new) = self.recent.split_at(LENGTH);
        let mut newest = [0; LENGTH];
        newest.copy_from_slice(new);
        let mut older = [0; LENGTH];
        older.copy_from_slice(old);
        let distance =
            (self.stored >= 4).then(|| f32::from(least(&self.distances(&newest))) / LENGTH as f32);
        self.skipped += 1;
        if self.skipped >= stride {
            self.skipped = 0;
            self.learn(&older, vigilance);
        }
        distance
    }

    /// Sums of absolute differences to all patterns; those not yet stored are farthest.
    fn distances(&self, stretch: &[u8; LENGTH]) -> [i16; PATTERNS] {
        let mut sums = [0_i16; PATTERNS];
        // Sixteen at a time: their sums stay in registers.
        for (block, sums) in sums.as_chunks_mut::<16>().0.iter_mut().enumerate() {
            let mut here = [0_i16; 16];
            for (place, x) in self.places.iter().zip(stretch) {
                let known = &place.as_chunks::<16>().0[block];
                for i in 0..16 {
                    here[i] += i16::from(known[i].abs_diff(*x));
                }
            }
            *sums = here;
        }
        for sum in &mut sums[usize::from(self.stored)..] {
            *sum = i16::MAX;
        }
        sums
    }

    fn learn(&mut self, stretch: &[u8; LENGTH], vigilance: f32) {
        let distances = self.distances(stretch);
        let distance = least(&distances);
        if self.stored > 0 && f32::from(distance) / LENGTH as f32 <= vigilance {
            let near = distances.iter().position(|d| *d == distance).unwrap_or(0);
            for (place, s) in self.places.iter_mut().zip(stretch) {
                let p = &mut place[near];
                // An eighth of the way, rounded away from zero so that small gaps close.
                let gap = i16::from(*s) - i16::from(*p);
                *p = (i16::from(*p) + (gap + 7 * gap.signum()) / 8) as u8;
            }
            self.uses[near] = self.uses[near].saturating_add(1);
            if self.uses[near] == u8::MAX {
                for n in &mut self.uses {
                    *n /= 2;
                }
            }
            return;
        }
        let at = if usize::from(self.stored) < PATTERNS {
            self.stored += 1;
            usize::from(self.stored) - 1
        } else {
            // The least used since the last fading gives way.
            self.fade = (self.fade + 1) % PATTERNS as u8;
            let from = usize::from(self.fade);
            (0..PATTERNS).map(|i| (i + from) % PATTERNS).min_by_key(|i| self.uses[*i]).unwrap_or(0)
        };
        for (place, s) in self.places.iter_mut().zip(stretch) {
            place[at] = *s;
        }
        self.uses[at] = 1;
    }
}

fn least(distances: &[i16; PATTERNS]) -> i16 {
    distances.iter().fold(i16::MAX, |least, d| least.min(*d))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_known_shape_is_near_and_a_new_one_is_far() {
        let mut shape = Shape::default();
        let wave = |i: usize| if i % 8 < 4 { 40.0 } else { -40.0 };
        let mut last = None;
        for i in 0..400 {
            last = shape.push(wave(i), 1.0, 1);
        }
        assert_eq!(last, Some(0.0));
        for _ in 0..8 {
            last = shape.push(0.0, 1.0, 1);
        }
        assert!(last.is_some_and(|d| d > 10.0), "{last:?}");
    }
}
