//! The detector as a whole: what it finds, and what it survives.

mod parts;
mod promises;

use super::entity::Entity;

/// Deterministic noise between −0.5 and 0.5 (xorshift64, Marsaglia 2003).
fn noise(state: &mut u64) -> f64 {
    *state ^= *state << 13;
    *state ^= *state >> 7;
    *state ^= *state << 17;
    (*state >> 11) as f64 / (1_u64 << 53) as f64 - 0.5
}

fn scores(values: impl IntoIterator<Item = f64>) -> Vec<f64> {
    let mut entity = Entity::new(1);
    let at = |i: usize| 1_700_000_000_000 + i as i64 * 300_000;
    let row = |(i, v)| entity.push(at(i), &[v]).map_or(0.0, |v| v.score);
    values.into_iter().enumerate().map(row).collect()
}

#[test]
fn a_spike_a_step_and_a_burst_are_found_at_their_onset() {
    for kind in 0..3 {
        let mut state = 42;
        let found = scores((0..4_000).map(|i| {
            let n = noise(&mut state);
            match kind {
                0 if i == 3_000 => 50.0,
                1 if i >= 3_000 => 8.0 + n,
                2 if i >= 3_000 => 12.0 * n,
                _ => n,
            }
        }));
        let most = (100..4_000).max_by(|a, b| found[*a].total_cmp(&found[*b]));
        assert!(most.is_some_and(|i| (3_000..3_030).contains(&i)), "{kind}: {most:?}");
    }
}

#[test]
fn a_constant_series_is_silent_and_scale_does_not_matter() {
    assert!(scores((0..3_000).map(|_| 7.0)).iter().all(|s| *s < 0.01));
    let values = |by: f64| {
        let mut state = 7;
        scores((0..2_000).map(move |_| noise(&mut state) * by))
    };
    for (a, b) in values(1.0).iter().zip(values(1_024.0)) {
        assert!((a - b).abs() < 1e-6, "{a} and {b}");
    }
}

#[test]
fn any_values_and_times_give_finite_scores() {
    let wild = [0.0, -0.0, 1e308, -1e308, 1e-308, f64::NAN, f64::INFINITY, 1.0, 3e38, -5.0];
    let mut entity = Entity::new(2);
    let mut state = 3;
    for i in 0..5_000_usize {
        let pick = |r: f64| wild[((r + 0.5) * 9.99) as usize];
        let row = [pick(noise(&mut state)), pick(noise(&mut state))];
        let at = [i64::MIN, i64::MAX, 0, 1_000 * i as i64][i % 4];
        let score = entity.push(at, &row).map_or(0.0, |v| v.score);
        assert!((0.0..=1.0).contains(&score), "{i}: {row:?} {score}");
    }
}

#[test]
fn a_snapshot_goes_on_exactly_alike() {
    let mut state = 11;
    let mut entity = Entity::new(2);
    let at = |i: i64| 1_700_000_000_000 + i * 60_000;
    for i in 0..3_000 {
        entity.push(at(i), &[noise(&mut state), (i / 7 % 5) as f64]);
    }
    let bytes = rmp_serde::to_vec(&entity).expect("numbers only");
    let mut restored: Entity = rmp_serde::from_slice(&bytes).expect("just written");
    assert_eq!(entity, restored);
    for i in 3_000..4_000 {
        let row = [noise(&mut state), (i / 7 % 5) as f64];
        assert_eq!(entity.push(at(i), &row), restored.push(at(i), &row));
    }
    assert!(rmp_serde::from_slice::<Entity>(&bytes[..bytes.len() / 2]).is_err());
    assert!(bytes.len() < 2 * 4_096, "{}", bytes.len());
}

#[test]
fn the_state_of_one_series_fits_in_four_kibibytes() {
    assert!(size_of::<Entity>() + size_of::<super::track::Track>() <= 4_096);
}
