//! One series as a story: ten code lengths of what it does.

use serde::{Deserialize, Serialize};

use super::code::{Contexts, Grid, LEVELS, Moved, Plain, power};
use super::count::Sample;
use super::packed;
use super::row::{Chance, fetch, nats};
use super::season::When;
use super::sketch::{faded, log2};

/// Number of parts: the value given that of 4 rows ago; means of 16 and of 48 rows given those
/// before; the step given that of 2 rows ago; the change of the mean of 48 rows given the change
/// before (both of 48 rows at every second row); the value given the hour; the mean step of 16 rows given their mean; the mean of 16
/// rows on a logarithmic scale given that before; the mean step on that scale, itself on a
/// logarithmic one, given the mean of 16 rows; for how many rows the value has stood still.
pub(super) const PARTS: usize = 10;
/// Hours of a day.
const BINS: usize = 24;
/// Rows that are remembered: two long means.
const RING: usize = 96;
/// Rows of the means.
const SHORT: usize = 16;
const LONG: usize = 48;
/// Rows that are remembered one by one; older ones are by two.
const NEWEST: usize = 20;
/// Pairs of rows in a long mean, and all that are remembered.
const LONG_PAIRS: usize = LONG / 2;
const PAIRS: usize = RING / 2;
/// `log2` of the units in a step of the values' grid that sums of pairs are kept in: no row is
/// further than its twelve steps from the origin, so that a pair fits.
const PAIR_UNITS: i16 = 10;
/// Steps of the logarithmic scale in its unit.
const SCALED: f32 = 1_024.0;
/// Smallest mean step on a logarithmic scale that is told from none, in spreads.
const CALM: f32 = 0.01;
/// The trend's place among the parts, and the share of a row in the mean of its code lengths.
const TREND: usize = 4;
const TREND_SHARE: f32 = 1.0 / 3.0;
/// Rows after which it is asked whether the grids are far too wide, and how far that is: a glitch
/// must not make a series look constant for good.
const EPOCH: u16 = 8_192;
const TOO_WIDE: f64 = 48.0;

/// The levels of the last `2 N` rows, two a byte.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct Past<const N: usize>(#[serde(with = "packed")] [u8; N]);

impl<const N: usize> Default for Past<N> {
    fn default() -> Self {
        Self([0; N])
    }
}

impl<const N: usize> Past<N> {
    const ROWS: usize = 2 * N;

    /// The level `2 N` rows ago, in whose place the newest comes.
    #[inline]
    fn swap(&mut self, row: usize, level: u8) -> u8 {
        let at = row % Self::ROWS;
        let (byte, shift) = (&mut self.0[at / 2], 4 * (at % 2));
        let before = (*byte >> shift) & 15;
        *byte ^= (before ^ level) << shift;
        before
    }

    fn follow(&mut self, moved: &Moved) {
        for two in &mut self.0 {
            let [low, high] = [*two & 15, *two >> 4].map(|level| usize::from(level) % LEVELS);
            *two = moved[low] | moved[high] << 4;
        }
    }
}

/// A level coded by what it was `2 N` rows ago. Where the levels are those of values or of their means,
/// rare ones are kept in mind (`KEPT`): what a series was at is told from what it never was at for
/// much longer than how it moved.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
struct Chain<const N: usize, const KEPT: bool = true> {
    grid: Grid,
    plain: Plain,
    past: Past<N>,
    contexts: Contexts<LEVELS>,
}

impl<const N: usize, const KEPT: bool> Chain<N, KEPT> {
    /// `at` is the row's place in the ring, whose length is a multiple of `2 N`. Gives the
    /// level and its chance; `others` follow when levels move.
    #[inline]
    fn push(
        &mut self,
        row: usize,
        at: usize,
        value: f64,
        sample: Sample,
        others: impl FnOnce(&Moved),
    ) -> (u8, Chance) {
        let (level, before) = self.place(at, value, others);
        let chance = if row >= Past::<N>::ROWS {
            self.plain.push_in(level, self.contexts.row(before), sample, KEPT.then_some(row))
        } else {
            self.plain.push(level, sample).into()
        };
        (level, chance)
    }

    /// The level, and that of `2 N` rows ago.
    #[inline]
    fn place(&mut self, at: usize, value: f64, others: impl FnOnce(&Moved)) -> (u8, u8) {
        let Self { grid, plain, past, contexts } = self;
        let level = grid.place(value, |moved| {
            plain.follow(moved);
            past.follow(moved);
            contexts.follow_levels(moved);
            contexts.follow_contexts(moved);
            others(moved);
        });
        (level, past.swap(at, level))
    }
}

/// A level coded by the level of something else at the same row.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
struct Pair {
    grid: Grid,
    plain: Plain,
    contexts: Contexts<LEVELS>,
}

impl Pair {
    #[inline]
    fn push(&mut self, value: f64, context: u8, sample: Sample) -> Chance {
        let Self { grid, plain, contexts } = self;
        let level = grid.place(value, |moved| {
            plain.follow(moved);
            contexts.follow_levels(moved);
        });
        plain.push_in(level, contexts.row(context), sample, None)
    }
}

/// State of a series: constant in size.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct Story {
    n: u32,
    epoch: u16,
    trend_nats: f32,
    /// Lowest and highest value of the epoch.
    recent: [f64; 2],
    /// What the ring is kept relative to, for precision.
    origin: f64,
    /// Sum of the newest 16 rows.
    sum: f64,
    /// Sums of the newest 24 pairs of rows and of the 24 before those.
    pair_sums: [i32; 2],
    /// `log2` of their unit; of no matter while all are zero.
    pair_unit: i16,
    /// Sum of the newest 16 absolute steps.
    unrest_sum: f64,
    /// The newest rows, and sums of an odd row and the even one after it.
    #[serde(with = "packed")]
    newest: [f32; NEWEST],
    #[serde(with = "packed")]
    pairs: [i16; PAIRS],
    value: Chain<2>,
    short: Chain<8>,
    long: Chain<12>,
    step: Chain<1, false>,
    trend: Chain<12, false>,
    /// The ratios of the long mean and the trend, which are taken at every second row: they change
    /// slowly.
    held: [f32; 2],
    hours: Contexts<BINS>,
    unrest: Pair,
    scaled: Chain<8>,
    #[serde(with = "packed")]
    scaled_ring: [i16; SHORT],
    calm: Pair,
    /// Rows since the value changed, and how often it stood still for 1, 2, 4, … rows.
    still: u16,
    stills: Plain,
}

impl Default for Story {
    fn default() -> Self {
        Self {
            n: 0,
            epoch: 0,
            trend_nats: 0.0,
            recent: [f64::INFINITY, f64::NEG_INFINITY],
            origin: 0.0,
            sum: 0.0,
            pair_sums: [0; 2],
            pair_unit: 0,
            unrest_sum: 0.0,
            newest: [0.0; NEWEST],
            pairs: [0; PAIRS],
            value: Chain::default(),
            short: Chain::default(),
            long: Chain::default(),
            step: Chain::default(),
            trend: Chain::default(),
            held: [1.0; 2],
            hours: Contexts::default(),
            unrest: Pair::default(),
            scaled: Chain::default(),
            scaled_ring: [0; SHORT],
            calm: Pair::default(),
            still: 0,
            stills: Plain::default(),
        }
    }
}

impl Story {
    /// Nats of each part for a finite value within ±1e30, which is learned, its distance from a
    /// robust level on a logarithmic scale, and whether it is that of the row before. A code length
    /// is small while little is known, so a young series needs no warm-up.
    pub(super) fn push(
        &mut self,
        when: When,
        sample: Sample,
        value: f64,
        scaled: f32,
        is_still: bool,
    ) -> [f32; PARTS] {
        let i = self.n as usize;
        if i == 0 {
            self.origin = value;
        }
        // Both are whole turns of the ring and of all that is remembered by row.
        self.n = if self.n == 960_000_000 { 480_000_001 } else { self.n + 1 };
        self.outlive_glitches(value);

        let x = f64::from((value - self.origin) as f32);
        // What came before the first row is as the first row: 0, from which the rings start.
        let newest = &self.newest;
        let place = i % NEWEST;
        let ago = |rows: usize| {
            let from = place + NEWEST - rows;
            f64::from(newest[if from >= NEWEST { from - NEWEST } else { from }])
        };
        let at = i % RING;
        self.sum += x - ago(SHORT);
        if i > 0 {
            self.unrest_sum += (x - ago(1)).abs();
        }
        if i > SHORT {
            self.unrest_sum -= (ago(SHORT) - ago(SHORT + 1)).abs();
        }
        let mean = |sum: f64, rows: usize| {
            if i < rows { sum / (i + 1) as f64 } else { sum * (1.0 / rows as f64) }
        };
        let pair = mean(x + ago(1), 2);
        let pair_before = match i {
            0 => x,
            1 | 2 => f64::from(newest[0]),
            _ => f64::midpoint(ago(2), ago(3)),
        };
        let both = x + ago(1);
        let short = mean(self.sum, SHORT);
        let unrest = mean(self.unrest_sum.max(0.0), SHORT);
        self.newest[place] = x as f32;
        if at == RING - 1 {
            self.sum_anew(place);
        }

        // Differences that are rounding errors are none.
        let unit = 1e-6 * (value.abs().max(self.origin.abs()));
        let clean = |d: f64| if d.abs() <= unit { 0.0 } else { d };
        let o = self.origin;
        let hours = &mut self.hours;
        let (level, before) = self.value.place(at, value, |moved| hours.follow_levels(moved));
        let plain = self.value.plain.push(level, sample);
        let chance = if i >= Past::<2>::ROWS {
            self.value.contexts.push(before, level, plain, Some(i))
        } else {
            plain.into()
        };
        if i.is_multiple_of(2) {
            self.pair(at / 2, both);
        }
        let (unrest_of, calm_of) = (&mut self.unrest.contexts, &mut self.calm.contexts);
        let (short_level, short) = self.short.push(i, at, short + o, sample, |moved| {
            unrest_of.follow_contexts(moved);
            calm_of.follow_contexts(moved);
        });
        let (_, step) = self.step.push(i, at, clean(pair - pair_before), sample, |_| ());
        if i.is_multiple_of(2) {
            let [long, before] = self.pair_sums.map(|sum| f64::from(sum) * power(self.pair_unit));
            let long = mean(long, LONG);
            let before = if i >= RING {
                before * (1.0 / LONG as f64)
            } else {
                before / (i + 1).saturating_sub(LONG).max(1) as f64
            };
            let change = clean(long - before);
            let (_, long) = self.long.push(i / 2, at / 2, long + o, sample, |_| ());
            let (_, trend) = self.trend.push(i / 2, at / 2, change, sample, |_| ());
            self.held = [long, trend].map(Chance::ratio);
        }
        let hour = self.hours.push_circular(when.hour(), level, plain);
        let unrest = self.unrest.push(clean(unrest), short_level, sample);
        let (sum, scaled_step) = self.scaled_sums(at, (scaled * SCALED) as i16);
        let (_, scaled) = self.scaled.push(i, at, mean(f64::from(sum), SHORT), sample, |_| ());
        let calm = log2(scaled_step + CALM) * std::f32::consts::LN_2;
        let calm = self.calm.push(f64::from(calm), short_level, sample);
        self.still = if is_still { (self.still + 1).min(1 << LEVELS) } else { 0 };
        let length = self.still + 1;
        let still = if length.is_power_of_two() && length < 1 << LEVELS {
            self.stills.push_from_below(length.ilog2() as u8, sample).into()
        } else {
            Chance::of(1.0)
        };

        let [long, trend] = self.held.map(Chance::of);
        let none = Chance::of(1.0);
        let [mut parts @ .., _, _] =
            nats([chance, short, long, step, trend, hour, unrest, scaled, calm, still, none, none]);
        self.trend_nats = faded(self.trend_nats + TREND_SHARE * (parts[TREND] - self.trend_nats));
        parts[TREND] = self.trend_nats;
        parts
    }

    /// Asks for the memory of what a row needs; see [`fetch`].
    pub(super) fn fetch(&self) {
        fetch(&self.newest);
        fetch(&self.pairs);
        self.value.contexts.fetch();
        self.short.contexts.fetch();
        self.long.contexts.fetch();
        self.step.contexts.fetch();
        self.trend.contexts.fetch();
        self.hours.fetch();
        self.unrest.contexts.fetch();
        self.scaled.contexts.fetch();
        self.calm.contexts.fetch();
    }

    /// Takes in a row on the logarithmic scale. Gives the sum of the newest 16, and their mean
    /// absolute step.
    #[inline]
    fn scaled_sums(&mut self, at: usize, newest: i16) -> (f32, f32) {
        // Sums of what was, less what leaves: the newest is not waited for.
        let ring = &mut self.scaled_ring;
        let (was, around) = (sum_of(ring), steps_around(ring));
        let [before, here, after] = [SHORT - 1, 0, 1].map(|k| i32::from(ring[(at + k) % SHORT]));
        ring[at % SHORT] = newest;
        let newest = i32::from(newest);
        let sum = was - here + newest;
        let steps = around - (here - before).abs() - (after - here).abs() + (newest - before).abs();
        (sum as f32 * (1.0 / SCALED), steps as f32 * (1.0 / (SCALED * (SHORT - 1) as f32)))
    }

    /// Takes in the sum of a pair of rows in its place.
    #[inline]
    fn pair(&mut self, here: usize, both: f64) {
        if let Some(exponent) = self.value.grid.exponent()
            && exponent - PAIR_UNITS != self.pair_unit
        {
            self.rescale(exponent - PAIR_UNITS, here);
        }
        let units = both * power(-self.pair_unit);
        // The cast cuts off what is beyond.
        let units = (units + 0.5_f64.copysign(units)) as i16;
        let entering = i32::from(self.pairs[(here + LONG_PAIRS) % PAIRS]);
        let leaving = i32::from(std::mem::replace(&mut self.pairs[here], units));
        self.pair_sums[0] += i32::from(units) - entering;
        self.pair_sums[1] += entering - leaving;
    }

    /// Keeps pairs in another unit. A grid begins with a finer one only when all of them are zero.
    #[cold]
    fn rescale(&mut self, unit: i16, here: usize) {
        let coarser = (unit - self.pair_unit).clamp(0, 15);
        self.pair_unit = unit;
        for pair in &mut self.pairs {
            *pair >>= coarser;
        }
        // The next to be overwritten is the oldest.
        let sum = |from: usize| -> i32 {
            (from..from + LONG_PAIRS).map(|k| i32::from(self.pairs[(here + k) % PAIRS])).sum()
        };
        self.pair_sums = [sum(LONG_PAIRS), sum(0)];
    }

    /// Makes the sums anew, lest errors of rounding add up; `place` is that of the newest row.
    #[cold]
    fn sum_anew(&mut self, place: usize) {
        let ago = |rows: usize| f64::from(self.newest[(place + NEWEST - rows) % NEWEST]);
        self.sum = (0..SHORT).map(ago).sum();
        self.unrest_sum = (0..SHORT).map(|rows| (ago(rows) - ago(rows + 1)).abs()).sum();
    }

    /// Starts anew when the range of a whole epoch was a small part of the grid: what came before
    /// is as if it had been the newest value.
    #[inline]
    fn outlive_glitches(&mut self, value: f64) {
        self.recent = [self.recent[0].min(value), self.recent[1].max(value)];
        self.epoch += 1;
        if self.epoch < EPOCH {
            return;
        }
        let width = self.recent[1] - self.recent[0];
        if width > 0.0 && width * TOO_WIDE < self.value.grid.range() {
            let Self { n, scaled_ring, still, .. } = *self;
            *self = Self { n, scaled_ring, still, origin: value, ..Self::default() };
        }
        (self.epoch, self.recent) = (0, [value, value]);
    }
}

/// The sum of a ring: by itself, as below, for only so does the compiler sum side by side.
#[inline(never)]
fn sum_of(ring: &[i16; SHORT]) -> i32 {
    ring.iter().map(|x| i32::from(*x)).sum()
}

/// The sum of the absolute steps of a ring, that from its end to its start among them.
#[inline(never)]
fn steps_around(ring: &[i16; SHORT]) -> i32 {
    let wrap = (i32::from(ring[0]) - i32::from(ring[SHORT - 1])).abs();
    let steps = ring.windows(2).map(|two| (i32::from(two[1]) - i32::from(two[0])).abs());
    wrap + steps.sum::<i32>()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn push(story: &mut Story, at_ms: i64, value: f64, is_still: bool) -> [f32; PARTS] {
        story.push(When::new(at_ms), Sample::new(story.n), value, 0.0, is_still)
    }

    fn sum(parts: [f32; PARTS]) -> f32 {
        parts.iter().sum()
    }

    #[test]
    fn what_is_usual_costs_little_and_what_is_new_costs_much() {
        let mut story = Story::default();
        let mut last = 0.0;
        for i in 0..4_000_i64 {
            let value = [1.0, 2.0, 8.0, 2.0][i as usize % 4];
            last = sum(push(&mut story, i * 60_000, value, false));
        }
        assert!(last < 1.0, "{last}");
        // Values seen before in an order that was not.
        let mut most = 0.0_f32;
        for i in 4_000..4_008_i64 {
            most = most.max(sum(push(&mut story, i * 60_000, 8.0, false)));
        }
        assert!(most > 20.0, "{most}");
    }

    #[test]
    fn a_constant_series_is_quiet_and_any_values_are_finite() {
        let mut story = Story::default();
        for i in 0..1_000_i64 {
            let nats = sum(push(&mut story, i * 1_000, 0.1, i > 0));
            assert!(nats < if i < 50 { 30.0 } else { 3.0 }, "{i}: {nats}");
        }
        for (i, value) in [1e30, -1e30, 1e-300, 0.0, -0.0, 5e-324, 1e30, 7.0].iter().enumerate() {
            for j in 0..200 {
                let nats = sum(push(&mut story, i as i64 * 1_000_000 + j, *value, j > 0));
                assert!(nats.is_finite() && nats >= 0.0, "{value}: {nats}");
            }
        }
    }

    #[test]
    fn standing_still_is_news_only_where_it_is_new() {
        let noise = |i: u32| f64::from(i.reverse_bits() >> 24);
        for (usual, news) in [(1, true), (40, false)] {
            let (mut story, mut most) = (Story::default(), 0.0_f32);
            // The value changes at every `usual`th row; then it stands still.
            for i in 0..6_000_u32 {
                let from = if i < 5_960 { i / usual } else { 5_960 / usual };
                let is_still = i > 0 && (i >= 5_960 || i % usual > 0);
                let parts = push(&mut story, i64::from(i) * 60_000, noise(from), is_still);
                if i >= 5_960 {
                    most = most.max(parts[PARTS - 1]);
                }
            }
            assert_eq!(most > 6.0, news, "{usual}: {most}");
        }
    }

    #[test]
    fn one_glitch_does_not_blind_for_good() {
        let mut story = Story::default();
        let at = |i: u32| f64::from(i.reverse_bits() >> 24);
        for i in 0..30_000_u32 {
            push(&mut story, i64::from(i) * 60_000, if i == 100 { 1e9 } else { at(i) }, false);
        }
        let nats = sum(push(&mut story, 30_000 * 60_000, 900.0, false));
        assert!(nats > 25.0, "{nats}");
    }
}
