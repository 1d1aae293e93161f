//! Confidences as people read them (values with units and counts are `model::figure`).

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
        assert_eq!(confidence_text(0.72), "likely (72 %)");
    }
}
