//! The hours of a week in 714 bytes: per hour a middle in two bytes, how far its band reaches below
//! and above in one each, and how often it was visited in two bits.

use serde::{Deserialize, Serialize};

use crate::stats::narrow::{Unit, narrow, widen};

/// Hours in a week: one cell each.
pub(super) const CELLS: usize = 168;
/// Visits are counted up to this.
pub(super) const MOST_VISITS: u8 = 3;
/// Bytes of the visits.
const VISIT_BYTES: usize = CELLS / 4;
/// Bytes of all cells in a snapshot.
const BYTES: usize = 4 * CELLS + VISIT_BYTES;
/// The origin moves when all cells are further from it than this many times their range: what is
/// kept is the distance from it, to 1 in 512.
const FAR: f64 = 4.0;

/// What one hour usually shows.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Cell {
    pub(super) low: f64,
    pub(super) mid: f64,
    pub(super) high: f64,
}

/// All hours.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Week {
    /// What middles are kept relative to.
    origin: f64,
    /// What widths are kept in multiples of.
    unit: Unit,
    mid: [u16; CELLS],
    down: [u8; CELLS],
    up: [u8; CELLS],
    visits: [u8; VISIT_BYTES],
}

impl Week {
    pub(super) const fn new() -> Self {
        Self {
            origin: 0.0,
            unit: Unit(i16::MIN),
            mid: [0; CELLS],
            down: [0; CELLS],
            up: [0; CELLS],
            visits: [0; VISIT_BYTES],
        }
    }

    /// How often an hour was visited, up to [`MOST_VISITS`].
    #[inline]
    pub(super) fn visits(&self, hour: usize) -> u8 {
        (self.visits[hour / 4] >> (2 * (hour % 4))) & 3
    }

    /// Sets how often an hour was visited.
    pub(super) fn set_visits(&mut self, hour: usize, n: u8) {
        let shift = 2 * (hour % 4);
        let byte = &mut self.visits[hour / 4];
        *byte = (*byte & !(3 << shift)) | (n.min(MOST_VISITS) << shift);
    }

    /// What an hour shows; meaningless where it was never visited.
    #[inline]
    pub(super) fn cell(&self, hour: usize) -> Cell {
        let mid = self.origin + f64::from(widen(self.mid[hour]));
        let low = mid - f64::from(self.unit.width(self.down[hour]));
        let high = mid + f64::from(self.unit.width(self.up[hour]));
        Cell { low, mid, high }
    }

    /// Sets what an hour shows; `low` and `high` are at most and at least `mid`.
    pub(super) fn set(&mut self, hour: usize, cell: Cell) {
        if self.visits.iter().all(|n| *n == 0) {
            self.origin = cell.mid;
        }
        let widths = [cell.mid - cell.low, cell.high - cell.mid].map(|w| w as f32);
        let wider = widths[0].max(widths[1]);
        if wider > 0.0 {
            self.fit(wider);
        }
        self.mid[hour] = narrow((cell.mid - self.origin) as f32);
        (self.down[hour], self.up[hour]) = (self.unit.code(widths[0]), self.unit.code(widths[1]));
    }

    /// Changes the unit where a width is beyond its upper range, or is the first.
    fn fit(&mut self, width: f32) {
        let new = Unit::of(width);
        if self.unit.0 == i16::MIN {
            self.unit = new;
        }
        // Two octaves below the end, so that it is not done for each new record.
        if new.0 > self.unit.0 + 13 {
            let to = Unit(new.0 - 6);
            for code in self.down.iter_mut().chain(&mut self.up) {
                *code = self.unit.moved(*code, to);
            }
            self.unit = to;
        }
    }

    /// Puts the origin amid the cells when all are far from it.
    pub(super) fn centre(&mut self) {
        let seen = (0..CELLS).filter(|h| self.visits(*h) > 0).map(|h| self.cell(h).mid);
        let (low, high) =
            seen.fold((f64::INFINITY, f64::NEG_INFINITY), |(l, h), m| (l.min(m), h.max(m)));
        let to = f64::midpoint(low, high);
        let range = high - low;
        if to.is_finite() && (to - self.origin).abs() > FAR * range && to != self.origin {
            let from = std::mem::replace(&mut self.origin, to);
            for mid in &mut self.mid {
                *mid = narrow((from + f64::from(widen(*mid)) - to) as f32);
            }
        }
    }

    fn to_bytes(&self) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(BYTES);
        bytes.extend(self.mid.iter().flat_map(|m| m.to_le_bytes()));
        for part in [self.down.as_slice(), &self.up, &self.visits] {
            bytes.extend_from_slice(part);
        }
        bytes
    }
}

/// As it stands in a snapshot.
#[derive(Serialize, Deserialize)]
pub(super) struct Packed {
    origin: f64,
    unit: i16,
    #[serde(with = "blob")]
    cells: Vec<u8>,
}

impl From<Week> for Packed {
    fn from(week: Week) -> Self {
        Self { origin: week.origin, unit: week.unit.0, cells: week.to_bytes() }
    }
}

impl TryFrom<Packed> for Week {
    type Error = String;
    fn try_from(packed: Packed) -> Result<Self, String> {
        let mut week = Self::new();
        if packed.cells.len() != BYTES {
            return Err(format!("{} bytes of hours instead of {BYTES}", packed.cells.len()));
        }
        (week.origin, week.unit) = (packed.origin, Unit(packed.unit));
        let (mids, rest) = packed.cells.split_at(2 * CELLS);
        for (mid, pair) in week.mid.iter_mut().zip(mids.chunks_exact(2)) {
            *mid = u16::from_le_bytes([pair[0], pair[1]]);
        }
        week.down.copy_from_slice(&rest[..CELLS]);
        week.up.copy_from_slice(&rest[CELLS..2 * CELLS]);
        week.visits.copy_from_slice(&rest[2 * CELLS..]);
        Ok(week)
    }
}

/// Bytes as one piece instead of a list of numbers.
mod blob {
    use std::fmt;

    use serde::de::{Error, SeqAccess, Visitor};
    use serde::{Deserializer, Serializer};

    pub(super) fn serialize<S: Serializer>(bytes: &[u8], to: S) -> Result<S::Ok, S::Error> {
        to.serialize_bytes(bytes)
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Vec<u8>, D::Error> {
        from.deserialize_bytes(Blob)
    }

    struct Blob;

    impl<'de> Visitor<'de> for Blob {
        type Value = Vec<u8>;

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("bytes")
        }

        fn visit_bytes<E: Error>(self, bytes: &[u8]) -> Result<Vec<u8>, E> {
            Ok(bytes.to_vec())
        }

        fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Vec<u8>, A::Error> {
            let mut bytes = Vec::new();
            while let Some(byte) = seq.next_element()? {
                bytes.push(byte);
            }
            Ok(bytes)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cell(low: f64, mid: f64, high: f64) -> Cell {
        Cell { low, mid, high }
    }

    #[test]
    fn an_hour_is_kept_nearly_as_it_was() {
        let mut week = Week::new();
        for hour in 0..CELLS {
            let mid = 1e9 + 2e7 * (hour as f64 / 20.0).sin();
            week.set(hour, cell(mid - 1e6, mid, mid + 3e6));
            week.set_visits(hour, 1 + (hour % 3) as u8);
        }
        for hour in 0..CELLS {
            let mid = 1e9 + 2e7 * (hour as f64 / 20.0).sin();
            let kept = week.cell(hour);
            assert!((kept.mid - mid).abs() < 1.6e5, "{kept:?} for {mid}");
            assert!((kept.high - kept.mid - 3e6).abs() < 1.5e5, "{kept:?}");
            assert_eq!(week.visits(hour), 1 + (hour % 3) as u8);
        }
        let packed = Packed::from(week.clone());
        assert_eq!(Week::try_from(packed), Ok(week));
    }

    #[test]
    fn a_batch_hour_takes_no_precision_from_the_others() {
        let mut week = Week::new();
        week.set(0, cell(29.0, 30.0, 31.0));
        week.set_visits(0, 2);
        week.set(1, cell(30.0, 9e5, 9.1e5));
        week.set_visits(1, 2);
        week.set(2, cell(29.2, 30.2, 31.2));
        let kept = [0, 2].map(|h| week.cell(h));
        assert!((kept[0].mid - 30.0).abs() < 1e-9 && (kept[1].mid - 30.2).abs() < 1e-3, "{kept:?}");
        assert!((kept[1].high - 31.2).abs() < 0.05, "{kept:?}");
    }

    #[test]
    fn the_origin_follows_a_level_that_has_gone_far() {
        let mut week = Week::new();
        week.set(0, cell(1.0, 1.0, 1.0));
        for hour in 0..CELLS {
            week.set_visits(hour, 1);
            week.set(hour, cell(1e6, 1e6 + hour as f64, 1e6 + 200.0));
        }
        week.centre();
        week.set(3, cell(1e6, 1e6 + 3.0, 1e6 + 200.0));
        assert!((week.cell(3).mid - 1e6 - 3.0).abs() < 3.0, "{:?}", week.cell(3));
    }
}
