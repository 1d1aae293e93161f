//! A proposed change in words.

use super::rule::Way;
use crate::model::BarScope;

/// What a change means: `durations of orders: 1.5 times the band, and 1 in 31,600 rather than …`.
pub(super) fn title(scope: &BarScope, (from, to): (f64, f64), unusual_p: f64) -> String {
    let rather = |factor: f64| format!("1 in {}", one_in(unusual_p.powf(factor)));
    let verb = if to > from { "Raise" } else { "Lower" };
    format!(
        "{verb} the bar for {scope}: a departure is called beyond {to} times the configured band \
         (now {from}), at a chance of {} rather than {}.",
        rather(to),
        rather(from)
    )
}

/// What it follows from.
pub(super) fn because(way: Way, numbers: &[u64], n_confirmed: usize) -> String {
    let list = numbers.iter().map(|n| format!("#{n}")).collect::<Vec<_>>().join(", ");
    let n = numbers.len();
    match way {
        Way::Raise => {
            let confirmed = match n_confirmed {
                0 => "none that it told was confirmed".to_owned(),
                1 => "1 that it told was confirmed and stays".to_owned(),
                n => format!("{n} that it told were confirmed and stay"),
            };
            format!("{n} incidents that it told were called no incident ({list}); {confirmed}.")
        }
        Way::Lower => format!(
            "{n} confirmed incidents were told by others and by none of these series ({list})."
        ),
    }
}

/// The inverse of a chance to three digits, with thousands apart.
fn one_in(chance: f64) -> String {
    let n = 1.0 / chance.clamp(1e-12, 1.0);
    let step = 10_f64.powi((n.log10().floor() as i32 - 2).max(0));
    let digits = format!("{:.0}", (n / step).round() * step);
    let mut text = String::new();
    for (i, digit) in digits.chars().enumerate() {
        if i > 0 && (digits.len() - i).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{EntityRef, Indicator};

    #[test]
    fn a_change_is_told_with_its_figures() {
        let scope = BarScope::indicator(EntityRef::service("orders"), Indicator::Duration);
        insta::assert_snapshot!(title(&scope, (1.0, 1.5), 0.001), @"Raise the bar for durations of orders: a departure is called beyond 1.5 times the configured band (now 1), at a chance of 1 in 31,600 rather than 1 in 1,000.");
        insta::assert_snapshot!(title(&scope, (1.0, 0.8), 0.001), @"Lower the bar for durations of orders: a departure is called beyond 0.8 times the configured band (now 1), at a chance of 1 in 251 rather than 1 in 1,000.");
        insta::assert_snapshot!(because(Way::Raise, &[4, 5, 9], 1), @"3 incidents that it told were called no incident (#4, #5, #9); 1 that it told was confirmed and stays.");
    }
}
