//! Counts and confidences as people read them (values with units are `model::figure`).

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

/// A confidence in words and figure: `likely (72 %)`.
#[must_use]
pub fn confidence_text(confidence: f64) -> String {
    let word = match confidence {
        c if c >= 0.85 => "very likely",
        c if c >= 0.6 => "likely",
        c if c >= 0.35 => "possible",
        _ => "unlikely",
    };
    format!("{word} ({:.0} %)", confidence * 100.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn figures_read_as_people_write_them() {
        assert_eq!(count_text(1_234_567), "1,234,567");
        assert_eq!(n_of(1, "alert"), "1 alert");
        assert_eq!(confidence_text(0.72), "likely (72 %)");
    }
}
