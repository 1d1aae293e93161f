//! History at the pace of life: points of many series into batches as they would have come.

use crate::model::time::{HOUR_MS, MINUTE_MS, SECOND_MS};
use crate::model::{Batch, Samples, Time};

/// Ticks come at least and at most this often (ms): live, one comes every 15 s, and a source that
/// was not heard of for two minutes counts as our own silence.
const FASTEST_MS: i64 = 15 * SECOND_MS;
const SLOWEST_MS: i64 = MINUTE_MS;
/// What is only learned from comes in stretches of this length (ms).
const TEACH_MS: i64 = 6 * HOUR_MS;
/// Ticks stop when nothing has come for this long (ms): what silence has to tell is told within a
/// day.
const SILENT_MS: i64 = 30 * HOUR_MS;

/// Plays stretches of history, one after the other.
#[derive(Clone, Debug)]
pub struct Pace {
    source: String,
    tick_ms: i64,
    /// Everything up to here has been played.
    at: Time,
    /// The newest point played.
    heard_at: Time,
    /// What lies before this only teaches.
    teach_until: Time,
}

impl Pace {
    /// Begins at `since`; what lies before `teach_until` raises nothing. `step_ms` is the usual
    /// distance between points.
    #[must_use]
    pub fn new(source: &str, since: Time, teach_until: Time, step_ms: i64) -> Self {
        let tick_ms = step_ms.clamp(FASTEST_MS, SLOWEST_MS);
        Self {
            source: source.to_owned(),
            tick_ms,
            at: since.plus_ms(-1),
            heard_at: Time::MIN,
            teach_until,
        }
    }

    /// Plays what lies after the last stretch up to `until`: `tracks` are points in order of time.
    pub fn play(&mut self, tracks: &[Samples], until: Time, mut each: impl FnMut(&Batch)) {
        let at = self.at;
        let mut next: Vec<usize> =
            tracks.iter().map(|t| t.points.partition_point(|p| p.at <= at)).collect();
        while self.at < until {
            // Points at the very end of the lesson are judged.
            let lesson = self.teach_until.plus_ms(-1);
            let teaches = self.at < lesson;
            let step_ms = if teaches { TEACH_MS } else { self.tick_ms };
            let mut to = self.at.floor_to(step_ms).plus_ms(step_ms);
            if teaches {
                to = to.min(lesson);
            } else if self.at.ms_since(self.heard_at) > SILENT_MS {
                let coming = tracks.iter().zip(&next).filter_map(|(t, n)| t.points.get(*n));
                to = to.max(coming.map(|p| p.at).min().unwrap_or(until));
            }
            let to = to.min(until);
            let mut batch = Batch::new(&self.source, to);
            batch.backfill = teaches;
            for (track, n) in tracks.iter().zip(&mut next) {
                let rest = &track.points[*n..];
                let n_due = rest.partition_point(|p| p.at <= to);
                if n_due > 0 {
                    let points = rest[..n_due].to_vec();
                    batch.metrics.push(Samples { series: track.series.clone(), points });
                    *n += n_due;
                }
            }
            self.at = to;
            if !batch.is_tick() {
                self.heard_at = to;
            }
            if !(teaches && batch.is_tick()) {
                each(&batch);
            }
        }
    }
}
