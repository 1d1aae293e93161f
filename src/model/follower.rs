//! Who may follow if an incident goes on: how likely, when, and what backs it.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::{EntityRef, Time};

/// What a chance to follow rests on.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum FollowBasis {
    /// How often it followed in earlier incidents.
    History,
    /// Which share of its requests go there, and what becomes of them now.
    Calls,
    /// Nothing: no chance is told.
    #[default]
    Unknown,
}

/// Where the time rests on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum LagBasis {
    /// How long after the other it followed in earlier incidents.
    History,
    /// How fast this incident spread from one to the next so far.
    Spread,
    /// How fast earlier incidents spread from one to the next here.
    Site,
}

/// How long after the other it follows, if it follows.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct FollowLag {
    /// Half of the times it was sooner (ms).
    pub median_ms: i64,
    /// One time in ten it is sooner (ms).
    pub low_ms: i64,
    /// One time in ten it is later (ms).
    pub high_ms: i64,
    /// Lags that were seen.
    pub n: u32,
    /// Where they were seen.
    pub basis: LagBasis,
}

/// A mean with the bounds of its 80 % interval.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Expected {
    /// The mean.
    pub mean: f64,
    /// Lower bound.
    pub low: f64,
    /// Upper bound.
    pub high: f64,
}

/// A service that depends on the likely cause and shows no trouble yet.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Follower {
    /// Which.
    pub entity: EntityRef,
    /// Whom it would follow: what it depends on, or the likely cause itself.
    pub through: EntityRef,
    /// Hops from what is in trouble by now, 1 for what depends on it directly.
    pub n_hops: u32,
    /// The chance that it follows if it goes on, 0 to 1, with its 80 % interval; `None`: not known.
    pub chance: Option<Expected>,
    /// The chance before it counts that it did not follow until now.
    pub chance_at_first: Option<f64>,
    /// What the chance rests on.
    pub basis: FollowBasis,
    /// Earlier incidents in which it followed …
    pub n_followed: u32,
    /// … of those in which the other was in trouble for long enough.
    pub n_times: u32,
    /// Share of its requests that call the other, 0 to 1, where spans tell.
    pub call_ratio: Option<f64>,
    /// Share of these calls that fail more often or take longer than before, 0 to 1.
    pub hurt_ratio: Option<f64>,
    /// How long after the other it follows; `None`: not claimed.
    pub lag: Option<FollowLag>,
    /// When the other's trouble began, where it did.
    pub since: Option<Time>,
    /// When it follows, if it does: half of the times sooner, given that it did not yet.
    pub expected_at: Option<Time>,
    /// One time in ten sooner, and one time in ten later, given the same.
    pub expected_between: Option<(Time, Time)>,
    /// Whether it would nearly always have followed by now if it did.
    pub overdue: bool,
    /// Requests a second of users that it answers, times the chance.
    pub requests: Option<Expected>,
    /// What backs chance and time, in a few words.
    #[serde(default)]
    pub because: String,
    /// All of it in one sentence.
    pub text: String,
}
