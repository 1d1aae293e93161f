//! A profile in a snapshot: as it is written now, and as it was written with four bytes a number.

use serde::{Deserialize, Serialize};

use crate::stats::narrow::narrow;

use super::week::{CELLS, Cell, Packed, Week};
use super::{Profile, VISIT_CAPACITY, Visit};

/// How it is written.
#[derive(Serialize, Deserialize)]
pub(super) struct Written {
    week: Packed,
    typical_sigma: f32,
    hour: i64,
    stride: u16,
    skipped: u16,
    /// The first value of the running hour; an older form has all of them.
    running: Vec<f32>,
    doubtful: bool,
    is_whole: bool,
    resting: Vec<Visit>,
    /// How far from the first each is.
    #[serde(default)]
    apart: Vec<u16>,
}

/// How it was written before; read so that nobody's past is forgotten.
#[derive(Deserialize)]
pub(super) struct Wide {
    low: Vec<f32>,
    mid: Vec<f32>,
    high: Vec<f32>,
    visits: Vec<u8>,
    typical_sigma: f32,
    hour: i64,
    stride: u16,
    skipped: u16,
    running: Vec<f32>,
    doubtful: bool,
    #[serde(default)]
    resting: Vec<Visit>,
}

/// What is read.
#[derive(Deserialize)]
#[serde(untagged)]
pub(super) enum Read {
    Now(Written),
    Before(Wide),
}

impl From<Profile> for Written {
    fn from(profile: Profile) -> Self {
        Self {
            running: Some(profile.base).filter(|_| profile.n_running > 0).into_iter().collect(),
            apart: profile.running[..usize::from(profile.n_running)].to_vec(),
            week: profile.week.into(),
            typical_sigma: profile.typical_sigma,
            hour: profile.hour,
            stride: profile.stride,
            skipped: profile.skipped,
            doubtful: profile.doubtful,
            is_whole: profile.is_whole,
            resting: profile.resting.to_vec(),
        }
    }
}

impl TryFrom<Read> for Profile {
    type Error = String;
    fn try_from(read: Read) -> Result<Self, String> {
        match read {
            Read::Now(written) => {
                let (n_running, base, running) = match written.apart.as_slice() {
                    [] => running_of(&written.running),
                    apart => {
                        let base = written.running.first().copied().unwrap_or(0.0);
                        let (n, running) = filled(apart);
                        (n, base, running)
                    }
                };
                Ok(Self {
                    base,
                    week: written.week.try_into()?,
                    typical_sigma: written.typical_sigma,
                    hour: written.hour,
                    doubtful: written.doubtful,
                    is_whole: written.is_whole,
                    n_running,
                    stride: written.stride.max(1),
                    skipped: written.skipped,
                    running,
                    resting: written.resting.into(),
                })
            }
            Read::Before(wide) => Ok(wide.narrowed()),
        }
    }
}

impl Wide {
    fn narrowed(self) -> Profile {
        let mut week = Week::new();
        let middles = self.low.iter().zip(&self.mid).zip(&self.high).zip(&self.visits);
        for (hour, (((low, mid), high), visits)) in middles.enumerate().take(CELLS) {
            if *visits > 0 {
                let cell = Cell { low: (*low).into(), mid: (*mid).into(), high: (*high).into() };
                week.set(hour, cell);
                week.set_visits(hour, *visits);
            }
        }
        let (n_running, base, running) = running_of(&self.running);
        let mut profile = Profile {
            base,
            week,
            typical_sigma: self.typical_sigma,
            hour: self.hour,
            doubtful: self.doubtful,
            is_whole: false,
            n_running,
            stride: self.stride.max(1),
            skipped: self.skipped,
            running,
            resting: self.resting.into(),
        };
        profile.week.centre();
        profile.note_whole();
        profile
    }
}

/// The running hour of an older form, which kept the values themselves, and more of them.
fn running_of(values: &[f32]) -> (u8, f32, [u16; VISIT_CAPACITY]) {
    let newest = &values[values.len().saturating_sub(VISIT_CAPACITY - 1)..];
    let base = newest.first().copied().unwrap_or(0.0);
    let apart: Vec<u16> = newest.iter().map(|v| narrow(v - base)).collect();
    let (n, running) = filled(&apart);
    (n, base, running)
}

fn filled(values: &[u16]) -> (u8, [u16; VISIT_CAPACITY]) {
    let mut running = [0; VISIT_CAPACITY];
    let n = values.len().min(VISIT_CAPACITY - 1);
    running[..n].copy_from_slice(&values[..n]);
    (n as u8, running)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Time;
    use crate::model::time::{HOUR_MS, MINUTE_MS};

    /// As an older program wrote it.
    #[derive(Serialize)]
    struct Before {
        low: Vec<f32>,
        mid: Vec<f32>,
        high: Vec<f32>,
        visits: Vec<u8>,
        typical_sigma: f32,
        hour: i64,
        stride: u16,
        skipped: u16,
        running: Vec<f32>,
        doubtful: bool,
        resting: Vec<Visit>,
    }

    #[test]
    fn a_profile_of_an_older_program_goes_on() {
        let hour = 497_952;
        let before = Before {
            low: (0..CELLS).map(|h| h as f32).collect(),
            mid: (0..CELLS).map(|h| h as f32 + 2.0).collect(),
            high: (0..CELLS).map(|h| h as f32 + 4.0).collect(),
            visits: vec![2; CELLS],
            typical_sigma: 1.0,
            hour,
            stride: 2,
            skipped: 1,
            running: (0..47).map(|v| v as f32).collect(),
            doubtful: true,
            resting: vec![Visit { hour: hour - 3, low: 1.0, mid: 2.0, high: 3.0 }],
        };
        let bytes = rmp_serde::to_vec(&before).expect("packs");
        let mut profile: Profile = rmp_serde::from_slice(&bytes).expect("reads");
        assert!(profile.is_whole() && profile.n_mature() == CELLS);
        let at = Time::from_ms(hour * HOUR_MS + 30 * MINUTE_MS);
        let e = profile.expected(at).expect("is known");
        let mid = at.hour_of_week() as f64 + 2.0;
        assert!((e.mid - mid).abs() < 0.7 && (e.high - e.mid - 2.0).abs() < 0.2, "{e:?}");
        profile.push(at, 5.0);
        let packed = rmp_serde::to_vec(&profile).expect("packs");
        let again: Profile = rmp_serde::from_slice(&packed).expect("reads");
        assert_eq!(rmp_serde::to_vec(&again).expect("packs"), packed);
        assert!(rmp_serde::from_slice::<Profile>(&[0x93, 1, 2, 3]).is_err());
    }
}
