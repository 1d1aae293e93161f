//! A series in a snapshot, where places count: what stands together in memory is written apart, as it
//! always was.

use std::num::NonZeroU64;

use serde::{Deserialize, Serialize, Serializer};

use super::rare::Slots;
use super::{
    Beside, Entity, Episode, Expiring, Flatline, Forecast, Rhythm, Rolling, Seasonal, Series,
    SeriesState, configured,
};
use crate::detect::apart::{Former, anew};
use crate::detect::calendar::Day;
use crate::detect::habit::Habit;
use crate::detect::usual::Usual;
use crate::model::Time;

/// How it is written.
#[derive(Serialize)]
struct Written<'a> {
    series: &'a Series,
    last: Time,
    n_live: u32,
    step_ms: i64,
    seasonal: &'a Seasonal,
    rolling: &'a Rolling,
    flatline: &'a Flatline,
    forecast: &'a Option<Box<Forecast>>,
    departure: &'a Option<Box<Episode>>,
    still: &'a Option<Box<Episode>>,
    filling: &'a Option<Box<Episode>>,
    heard_at: Time,
    expiring: &'a Option<Box<Expiring>>,
    #[serde(serialize_with = "anew::serialize")]
    ensemble: &'a Entity,
    n_known: Former,
    group: Option<NonZeroU64>,
    usual: &'a Option<Box<Usual>>,
    last_value: f64,
    onset: (Time, f32),
    beside: &'a Beside,
    rhythm: Rhythm,
    habit: &'a Option<Box<Habit>>,
}

/// What is read.
#[derive(Deserialize)]
pub(super) struct Read {
    series: Series,
    last: Time,
    n_live: u32,
    step_ms: i64,
    seasonal: Seasonal,
    rolling: Rolling,
    flatline: Flatline,
    forecast: Option<Box<Forecast>>,
    departure: Option<Box<Episode>>,
    still: Option<Box<Episode>>,
    filling: Option<Box<Episode>>,
    #[serde(default)]
    heard_at: Time,
    #[serde(default)]
    expiring: Option<Box<Expiring>>,
    #[serde(default, deserialize_with = "anew::deserialize")]
    ensemble: Entity,
    /// Points that the ensemble has learned: it counts them.
    #[serde(default, rename = "n_known")]
    _n_known: Former,
    #[serde(default)]
    group: Option<NonZeroU64>,
    #[serde(default)]
    usual: Option<Box<Usual>>,
    #[serde(default)]
    last_value: f64,
    #[serde(default)]
    onset: (Time, f32),
    #[serde(default)]
    beside: Beside,
    #[serde(default)]
    rhythm: Rhythm,
    #[serde(default)]
    habit: Option<Box<Habit>>,
}

impl Serialize for SeriesState {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        let Slots { departure, still, filling, expiring, usual, habit } = &*self.rare;
        Written {
            series: &self.series,
            last: self.last,
            n_live: self.n_live,
            step_ms: self.step_ms,
            seasonal: &self.seasonal,
            rolling: &self.rolling,
            flatline: &self.flatline,
            forecast: &self.forecast,
            departure,
            still,
            filling,
            heard_at: self.heard_at,
            expiring,
            ensemble: &self.ensemble,
            n_known: Former,
            group: self.group,
            usual,
            last_value: self.last_value,
            onset: self.onset,
            beside: &self.beside,
            rhythm: self.rhythm,
            habit,
        }
        .serialize(to)
    }
}

impl From<Read> for SeriesState {
    fn from(read: Read) -> Self {
        let Read { departure, still, filling, expiring, usual, habit, .. } = read;
        Self {
            series: read.series,
            last: read.last,
            n_live: read.n_live,
            step_ms: read.step_ms,
            seasonal: read.seasonal,
            rolling: read.rolling,
            flatline: read.flatline,
            forecast: read.forecast,
            heard_at: read.heard_at,
            ensemble: read.ensemble,
            group: read.group,
            last_value: read.last_value,
            onset: read.onset,
            beside: read.beside,
            rhythm: read.rhythm,
            rare: Slots { departure, still, filling, expiring, usual, habit }.into(),
            day: Day::default(),
            unheeded: false,
            bar: configured(),
        }
    }
}
