//! Figures with their unit, as people read them: `4.2 s`, `310 ms`, `12.5 %`, `1.4 GiB`, `35 /s`.

/// A value in words. `unit` is that of a series (UCUM and OpenTelemetry): `s`, `ms`, `us`, `1`
/// (a ratio, shown in percent), `By`, `{request}/s`, …; an unknown unit stands as it is.
#[must_use]
pub fn figure(value: f64, unit: &str) -> String {
    if !value.is_finite() {
        return "unknown".to_owned();
    }
    match unit {
        "s" => seconds(value),
        "ms" => seconds(value / 1e3),
        "us" => seconds(value / 1e6),
        "ns" => seconds(value / 1e9),
        "1" => format!("{} %", short(value * 100.0)),
        "%" => format!("{} %", short(value)),
        "By" => scaled(value, 1024.0, &["B", "KiB", "MiB", "GiB", "TiB", "PiB"]),
        "By/s" => scaled(value, 1024.0, &["B/s", "KiB/s", "MiB/s", "GiB/s", "TiB/s"]),
        "" => short(value),
        _ => match unannotated(unit) {
            // `{request}/s` is an annotation without a dimension, and a rate.
            Some(bare) if bare.is_empty() || bare == "/" => short(value),
            Some(bare) => figure(value, &bare),
            None => format!("{} {unit}", short(value)),
        },
    }
}

/// A unit without its annotations, which say what is counted and have no dimension (UCUM, § 6);
/// `None` where it has none.
fn unannotated(unit: &str) -> Option<String> {
    let (mut rest, mut bare) = (unit, String::new());
    while let Some((before, after)) = rest.split_once('{') {
        let (_, after) = after.split_once('}')?;
        bare.push_str(before);
        rest = after;
    }
    bare.push_str(rest);
    (bare.len() < unit.len()).then_some(bare)
}

fn seconds(s: f64) -> String {
    match s.abs() {
        0.0 => "0 s".to_owned(),
        x if x < 1e-3 => format!("{} µs", short(s * 1e6)),
        x if x < 1.0 => format!("{} ms", short(s * 1e3)),
        x if x < 120.0 => format!("{} s", short(s)),
        x if x < 7_200.0 => format!("{} min", short(s / 60.0)),
        _ => format!("{} h", short(s / 3_600.0)),
    }
}

fn scaled(mut value: f64, base: f64, names: &[&str]) -> String {
    let mut at = 0;
    while value.abs() >= base && at + 1 < names.len() {
        value /= base;
        at += 1;
    }
    format!("{} {}", short(value), names[at])
}

/// Two or three digits that count, without trailing zeros; thousands as `12.3k`, `4.5M`.
fn short(value: f64) -> String {
    let size = value.abs();
    let text = match size {
        x if x >= 999_500.0 => return format!("{}M", trimmed(value / 1e6, 1)),
        x if x >= 9_999.5 => return format!("{}k", trimmed(value / 1e3, 1)),
        x if x >= 99.5 => trimmed(value, 0),
        x if x >= 0.995 => trimmed(value, 1),
        x if x >= 0.0095 => trimmed(value, 2),
        0.0 => "0".to_owned(),
        _ => trimmed(value, 4),
    };
    if text == "-0" { "0".to_owned() } else { text }
}

fn trimmed(value: f64, digits: usize) -> String {
    let text = format!("{value:.digits$}");
    if text.contains('.') {
        text.trim_end_matches('0').trim_end_matches('.').to_owned()
    } else {
        text
    }
}

/// A count with separators: `1,204`.
#[must_use]
pub fn count_text(n: u64) -> String {
    let digits = n.to_string();
    let mut text = String::with_capacity(digits.len() + digits.len() / 3);
    for (i, digit) in digits.chars().enumerate() {
        if i > 0 && (digits.len() - i).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// A count with its noun: `1 alert`, `1,204 alerts`.
#[must_use]
pub fn n_of(n: u64, noun: &str) -> String {
    format!("{} {noun}{}", count_text(n), if n == 1 { "" } else { "s" })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_read_as_people_write_them() {
        assert_eq!(count_text(1_234_567), "1,234,567");
        assert_eq!((n_of(1, "alert"), n_of(0, "alert")), ("1 alert".into(), "0 alerts".into()));
    }

    #[test]
    fn figures_read_as_people_write_them() {
        for (value, unit, text) in [
            (4.2, "s", "4.2 s"),
            (0.31, "s", "310 ms"),
            (310.4, "ms", "310 ms"),
            (0.0, "s", "0 s"),
            (0.125, "1", "12.5 %"),
            (0.0004, "1", "0.04 %"),
            (1.0, "1", "100 %"),
            (1_503_238_553.6, "By", "1.4 GiB"),
            (35.0, "{request}/s", "35 /s"),
            (7.0, "{thread}", "7"),
            (320.0, "{order}/min", "320 /min"),
            (3.0, "{error}/{request}", "3"),
            (2_048.0, "By{resident}", "2 KiB"),
            (3.0, "{open", "3 {open"),
            (12_345.0, "", "12.3k"),
            (0.0, "By", "0 B"),
            (f64::NAN, "s", "unknown"),
            (-0.00001, "", "0"),
            (21.0, "Cel", "21 Cel"),
        ] {
            assert_eq!(figure(value, unit), text);
        }
    }
}
