//! Holidays: days that behave like another weekday, so that they are judged as that one and spoil
//! no profile. They are declared in configuration, or recognised while they run.
//!
//! Recognised is a day by the votes of many series at once. A series votes each quarter of an hour
//! in which its own weekday and the stand-in differ so much that a value can't be usual for both: a
//! Sunday stands in for the days from Monday to Friday, a Wednesday for the weekend. When the votes
//! so far are nearly all for the stand-in, the day is judged as that from then on. An outage does
//! not pass for a holiday: the hours before it have voted for the weekday, and it does not look like
//! a Sunday by each series' own measure. Until the day has shown itself, traffic that looks like
//! the stand-in's day is not called, unless errors, slow answers or a business series are told of.

use jiff::civil::Date;
use serde::{Deserialize, Serialize};

use crate::model::Time;
use crate::model::time::{DAY_MS, HOUR_MS, MINUTE_MS};

/// A series votes once in so long.
pub(super) const VOTE_MS: i64 = 15 * MINUTE_MS;
/// Series that must have voted in one such time, and votes.
const LEAST_SERIES: u32 = 5;
const LEAST_VOTES: u32 = 12;
/// Share of the votes that a stand-in needs, and that settle the day as its own.
const SHARE: f64 = 0.8;
const OWN_SHARE: f64 = 0.5;
/// For so long after something was told of that no holiday brings, nothing waits for the day (ms).
const TROUBLED_MS: i64 = 10 * MINUTE_MS;
/// The name of a day of the week, from Monday.
const NAMES: [&str; 7] =
    ["Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday"];

/// How a day is judged.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum Verdict {
    /// Not enough is known yet.
    #[default]
    Open,
    /// As the day that it is.
    Own,
    /// As the stand-in, because it was declared.
    Declared,
    /// As the stand-in, because of what its series show.
    Recognised,
}

/// What the shard tells its series of a time.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Day {
    /// Days to go on to the day that this one is judged as; 0 as itself.
    pub(super) shift: i8,
    /// Days to go on to the stand-in.
    pub(super) stand_in: i8,
    /// The day of the week, from Monday.
    today: i8,
    /// How it is judged.
    pub(super) verdict: Verdict,
    /// Whether so many series know a difference that the day will show itself.
    pub(super) will_show: bool,
    /// Whether something is told of that no holiday brings.
    pub(super) is_troubled: bool,
}

/// A vote of one series.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Vote {
    /// It looks like the day that it is.
    Own,
    /// It looks like the stand-in.
    StandIn,
    /// It looks like neither.
    Neither,
}

/// The running day.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(super) struct Calendar {
    /// Days since the epoch, of the place.
    day: i64,
    verdict: Verdict,
    n_own: u32,
    n_stand_in: u32,
    n_neither: u32,
    /// The newest quarter of an hour with votes, its votes, and the most in any of the day.
    quarter: i64,
    n_quarter: u32,
    n_series: u32,
    /// The most of the day before.
    n_before: u32,
    /// When something was told of last that no holiday brings.
    #[serde(default)]
    troubled: Time,
}

/// Which days were declared, and where the day begins.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Declared {
    days: Vec<i64>,
    offset_ms: i64,
}

impl Declared {
    /// The declared dates (`YYYY-MM-DD`) of a place whose clocks are `offset_h` ahead of UTC. What
    /// is no date is left out: the configuration was checked.
    pub(super) fn new(dates: &[String], offset_h: f64) -> Self {
        let epoch = Date::constant(1970, 1, 1);
        let mut days: Vec<i64> = dates
            .iter()
            .filter_map(|d| d.parse::<Date>().ok())
            .map(|d| i64::from((d - epoch).get_days()))
            .collect();
        days.sort_unstable();
        Self { days, offset_ms: (offset_h * HOUR_MS as f64) as i64 }
    }

    /// How a time of history is judged: only declared days are known of it.
    pub(super) fn of_history(&self, at: Time) -> Day {
        let day = self.day_of(at);
        if self.days.is_empty() || self.days.binary_search(&day).is_err() {
            return Day { verdict: Verdict::Own, ..Day::default() };
        }
        let stand_in = stand_in(weekday(day)) as i8;
        let today = weekday(day) as i8;
        let verdict = Verdict::Declared;
        Day { shift: stand_in, stand_in, today, verdict, will_show: true, is_troubled: false }
    }

    fn day_of(&self, at: Time) -> i64 {
        at.ms().saturating_add(self.offset_ms).div_euclid(DAY_MS)
    }
}

/// The day of the week, from Monday: the epoch was a Thursday.
fn weekday(day: i64) -> i64 {
    (day + 3).rem_euclid(7)
}

/// Days from a day of the week to the one that stands in for it.
fn stand_in(weekday: i64) -> i64 {
    match weekday {
        5 => -3,
        6 => -4,
        working => 6 - working,
    }
}

impl Calendar {
    /// The day of a time; a new one begins open, or as it was declared.
    pub(super) fn day(&mut self, declared: &Declared, at: Time) -> Day {
        let day = declared.day_of(at);
        if day > self.day {
            let is_declared = declared.days.binary_search(&day).is_ok();
            let verdict = if is_declared { Verdict::Declared } else { Verdict::Open };
            let (n_before, troubled) = (self.n_series, self.troubled);
            *self = Self { day, verdict, n_before, troubled, ..Self::default() };
        }
        // What comes late for another day is judged as the day that it is of.
        if day < self.day {
            return Day { verdict: Verdict::Own, ..Day::default() };
        }
        let stand_in = stand_in(weekday(day)) as i8;
        let as_stand_in = matches!(self.verdict, Verdict::Declared | Verdict::Recognised);
        Day {
            shift: if as_stand_in { stand_in } else { 0 },
            stand_in,
            today: weekday(day) as i8,
            verdict: self.verdict,
            will_show: self.n_before.max(self.n_series) >= LEAST_SERIES,
            is_troubled: at.ms_since(self.troubled) < TROUBLED_MS,
        }
    }

    /// Something is told of that no holiday brings.
    pub(super) fn trouble(&mut self, at: Time) {
        self.troubled = self.troubled.max(at);
    }

    /// Counts the votes of a batch.
    pub(super) fn count(&mut self, at: Time, votes: &[Vote]) {
        if votes.is_empty() || matches!(self.verdict, Verdict::Declared) {
            return;
        }
        let quarter = at.ms().div_euclid(VOTE_MS);
        if quarter > self.quarter {
            (self.quarter, self.n_quarter) = (quarter, 0);
        }
        self.n_quarter += votes.len() as u32;
        self.n_series = self.n_series.max(self.n_quarter);
        for vote in votes {
            match vote {
                Vote::Own => self.n_own += 1,
                Vote::StandIn => self.n_stand_in += 1,
                Vote::Neither => self.n_neither += 1,
            }
        }
        let n = self.n_own + self.n_stand_in + self.n_neither;
        if n < LEAST_VOTES || self.n_series < LEAST_SERIES {
            return;
        }
        let share = |part: u32| f64::from(part) / f64::from(n);
        match self.verdict {
            Verdict::Open if share(self.n_stand_in) >= SHARE => {
                self.verdict = Verdict::Recognised;
            }
            // A day that no longer looks like it is its own again.
            Verdict::Open | Verdict::Recognised if share(self.n_own) >= OWN_SHARE => {
                self.verdict = Verdict::Own;
            }
            _ => {}
        }
    }
}

impl Day {
    /// Why it is judged as another day, for the reason of an anomaly.
    pub(super) fn words(self) -> Option<String> {
        let today = i64::from(self.today);
        let name = |day: i64| NAMES[day.rem_euclid(7) as usize];
        let because = match self.verdict {
            Verdict::Declared => "it is declared a holiday".to_owned(),
            Verdict::Recognised => {
                format!(
                    "most series of this place that know a difference are like on a {}",
                    name(today + i64::from(self.stand_in))
                )
            }
            Verdict::Open | Verdict::Own => return None,
        };
        Some(format!(
            "This {} is judged as a {} because {because}.",
            name(today),
            name(today + i64::from(self.shift))
        ))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A Thursday, 06:00 UTC.
    fn thursday() -> Time {
        Time::parse("2026-11-19T06:00:00Z").expect("valid")
    }

    fn voted(calendar: &mut Calendar, from: Time, quarters: i64, vote: Vote) {
        for quarter in 0..quarters {
            let at = from.plus_ms(quarter * VOTE_MS);
            calendar.day(&Declared::default(), at);
            calendar.count(at, &[vote; 6]);
        }
    }

    #[test]
    fn a_day_that_all_series_take_for_a_sunday_is_one_and_an_outage_is_none() {
        let (none, at) = (Declared::default(), thursday());
        let mut calendar = Calendar::default();
        assert_eq!(calendar.day(&none, at).verdict, Verdict::Open);
        voted(&mut calendar, at, 1, Vote::StandIn);
        assert_eq!(calendar.day(&none, at).shift, 0);
        let mut holiday = calendar.clone();
        voted(&mut holiday, at.plus_ms(HOUR_MS), 2, Vote::StandIn);
        let day = holiday.day(&none, at.plus_ms(2 * HOUR_MS));
        assert_eq!((day.shift, day.verdict), (3, Verdict::Recognised));
        insta::assert_snapshot!(day.words().expect("said"), @"This Thursday is judged as a Sunday because most series of this place that know a difference are like on a Sunday.");
        // The next day begins anew.
        assert_eq!(holiday.day(&none, at.plus_ms(DAY_MS)).verdict, Verdict::Open);
        // An ordinary morning, then an outage that looks like a Sunday.
        let mut calendar = Calendar::default();
        voted(&mut calendar, at, 4, Vote::Own);
        voted(&mut calendar, at.plus_ms(HOUR_MS), 12, Vote::StandIn);
        assert_eq!(calendar.day(&none, at.plus_ms(5 * HOUR_MS)).verdict, Verdict::Own);
    }

    #[test]
    fn what_no_holiday_brings_is_remembered_for_a_while_and_over_midnight() {
        let (none, mut calendar) = (Declared::default(), Calendar::default());
        let midnight = thursday().plus_ms(18 * HOUR_MS);
        assert!(!calendar.day(&none, midnight.plus_ms(-MINUTE_MS)).is_troubled);
        calendar.trouble(midnight.plus_ms(-MINUTE_MS));
        assert!(calendar.day(&none, midnight.plus_ms(MINUTE_MS)).is_troubled);
        assert!(!calendar.day(&none, midnight.plus_ms(10 * MINUTE_MS)).is_troubled);
    }

    #[test]
    fn declared_days_begin_at_midnight_of_the_place() {
        let dates = ["2026-11-19".to_owned(), "2026-12-26".to_owned(), "soon".to_owned()];
        let declared = Declared::new(&dates, 5.5);
        let mut calendar = Calendar::default();
        let begin = Time::parse("2026-11-18T18:30:00Z").expect("valid");
        assert_eq!(calendar.day(&declared, begin.plus_ms(-1)).shift, 0);
        assert_eq!(calendar.day(&declared, begin).shift, 3);
        assert_eq!(calendar.day(&declared, begin.plus_ms(-1)).verdict, Verdict::Own);
        assert_eq!(calendar.day(&declared, begin.plus_ms(DAY_MS)).shift, 0);
        // A Saturday is judged as a Wednesday.
        let saturday = Time::parse("2026-12-26T12:00:00Z").expect("valid");
        assert_eq!(calendar.day(&declared, saturday).shift, -3);
    }
}
