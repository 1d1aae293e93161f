//! A forecast in words: when, how sure, from what.

use super::outlook::Outlook;
use crate::model::time::{HOUR_MS, duration_text};
use crate::model::{Series, figure};

/// `68 h (±4 h), 94 %`: hours until the limit with the interval that holds it in nine of ten cases,
/// and the chance that it is reached within the horizon.
pub(in crate::detect) fn span(outlook: &Outlook) -> String {
    let chance = format!("{:.0} %", (outlook.chance * 100.0).min(99.0));
    let Some(expected) = outlook.expected_h else { return format!("not soon, {chance}") };
    let early = outlook.earliest_h.unwrap_or(expected);
    let Some(late) = outlook.latest_h else {
        return format!("{} (from {} on), {chance}", hours(expected), hours(early));
    };
    let (down, up) = (expected - early, late - expected);
    let even = up.max(down) <= 1.5 * up.min(down) + 0.25;
    if even {
        format!("{} (±{}), {chance}", hours(expected), hours(up.max(down).max(0.1)))
    } else {
        format!("{} ({} to {}), {chance}", hours(expected), hours(early), hours(late))
    }
}

fn hours(h: f64) -> String {
    if h >= 10.0 {
        format!("{h:.0} h")
    } else if h >= 1.0 {
        format!("{h:.1} h")
    } else {
        format!("{:.0} min", h * 60.0)
    }
}

/// One sentence on a series that heads for its limit.
pub(in crate::detect) fn sentence(
    series: &Series,
    value: f64,
    limit: f64,
    outlook: &Outlook,
) -> String {
    let show = |v| figure(v, &series.unit);
    let refills = match outlook.n_refills {
        0 => String::new(),
        1 => " It fell once on the way and rose again.".to_owned(),
        n => format!(" It fell {n} times on the way and rose again."),
    };
    if value >= limit {
        return format!(
            "{} is {} and has reached its limit of {}; it rose by {} an hour beyond its rhythm, \
             judged from the last {}.{refills}",
            series.metric,
            show(value),
            show(limit),
            show(outlook.slope_h),
            duration_text((outlook.hours * HOUR_MS as f64) as i64),
        );
    }
    format!(
        "{} is {} and rises by {} an hour beyond its rhythm; it reaches its limit of {} in {} \
         within the horizon, judged from the last {}.{refills}",
        series.metric,
        show(value),
        show(outlook.slope_h),
        show(limit),
        span(outlook),
        duration_text((outlook.hours * HOUR_MS as f64) as i64),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_told_with_their_interval_and_chance() {
        let outlook = |e: f64, x: f64, l: Option<f64>, chance: f64| Outlook {
            chance,
            earliest_h: Some(e),
            expected_h: Some(x),
            latest_h: l,
            slope_h: 1.0,
            rises: 1.0,
            hours: 300.0,
            n_refills: 0,
        };
        for (o, text) in [
            (outlook(64.0, 68.0, Some(72.0), 0.94), "68 h (±4.0 h), 94 %"),
            (outlook(20.0, 30.0, Some(60.0), 0.97), "30 h (20 h to 60 h), 97 %"),
            (outlook(20.0, 50.0, None, 0.8), "50 h (from 20 h on), 80 %"),
            (outlook(0.5, 0.75, Some(1.0), 1.0), "45 min (±15 min), 99 %"),
        ] {
            assert_eq!(span(&o), text);
        }
    }
}
