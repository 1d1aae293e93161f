//! Times as they stand in CSV files.

use jiff::civil::Time as Clock;
use jiff::fmt::temporal::{DateTimeParser, PiecesOffset};
use jiff::tz::Offset;

/// Reads ISO dates and times.
static ISO: DateTimeParser = DateTimeParser::new();
/// Magnitudes from which a number counts milliseconds, microseconds, nanoseconds: as seconds they
/// would lie beyond the year 5000, as the finer unit they lie after 1973.
const UNITS: [(f64, f64); 3] = [(1e17, 1e-6), (1e14, 1e-3), (1e11, 1.0)];
/// Unix milliseconds of the years 0 and 10000: what lies beyond is no time.
const RANGE: std::ops::RangeInclusive<f64> = -62_167_219_200_000.0..=253_402_300_800_000.0;

/// Unix milliseconds of a time as written: unix seconds or milliseconds, also with a fraction, or an
/// ISO date with or without a time of day and an offset; without an offset it is UTC. `None` when it
/// is neither.
pub(super) fn parse(text: &str) -> Option<i64> {
    let text = text.trim();
    if let Ok(number) = text.parse::<f64>() {
        let factor = UNITS.iter().find(|(from, _)| number.abs() >= *from).map_or(1e3, |u| u.1);
        let ms = (number * factor).round();
        return RANGE.contains(&ms).then_some(ms as i64);
    }
    let text = text.strip_suffix("UTC").or_else(|| text.strip_suffix("GMT")).unwrap_or(text).trim();
    let pieces = ISO.parse_pieces(text).ok()?;
    let clock = pieces.time().unwrap_or(Clock::midnight());
    let offset = match pieces.offset() {
        Some(PiecesOffset::Numeric(offset)) => offset.offset(),
        _ => Offset::UTC,
    };
    let ms = offset.to_timestamp(pieces.date().to_datetime(clock)).ok()?.as_millisecond();
    RANGE.contains(&(ms as f64)).then_some(ms)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_read_in_all_forms() {
        for (text, ms) in [
            ("0", Some(0)),
            ("1530626400", Some(1_530_626_400_000)),
            ("1530626400.25", Some(1_530_626_400_250)),
            ("1.5306264e9", Some(1_530_626_400_000)),
            ("1530626400123", Some(1_530_626_400_123)),
            ("1530626400123.0", Some(1_530_626_400_123)),
            ("1530626400123456", Some(1_530_626_400_123)),
            ("1530626400123456789", Some(1_530_626_400_123)),
            ("-60", Some(-60_000)),
            ("1970-01-02", Some(86_400_000)),
            ("2014-04-01 00:05:00", Some(1_396_310_700_000)),
            (" 2014-04-01 00:05 ", Some(1_396_310_700_000)),
            ("2014-04-01T02:05:00+02:00", Some(1_396_310_700_000)),
            ("2014-04-01 02:05:00+0200", Some(1_396_310_700_000)),
            ("2014-04-01 02:05:00+02", Some(1_396_310_700_000)),
            ("2014-04-01t00:05:00.000z", Some(1_396_310_700_000)),
            ("2014-04-01T00:05:00.0009999Z", Some(1_396_310_700_000)),
            ("2014-04-01 00:05:00 UTC", Some(1_396_310_700_000)),
            ("2014-13-01", None),
            ("yesterday", None),
            ("", None),
            ("nan", None),
            ("-inf", None),
            ("1e300", None),
        ] {
            assert_eq!(parse(text), ms, "{text}");
        }
    }
}
