//! Which words take many values: counts, for each template with one word left out, the words seen
//! in that place.

use serde::{Deserialize, Serialize};

use super::cache::{ByHash, generation};
use super::lex::{Kind, VAR_HASH, mix};
use super::pattern::Part;
use super::slots::Slots;

/// Values from which a word in a sentence varies. Fewer may be the kinds of one statement: states,
/// directions, begin and end.
const MANY: usize = 8;
/// Lines from which a template comes often.
const OFTEN: u64 = 8;
/// The same for a word after a preposition.
const MANY_PREPOSITION: usize = 3;
/// The same for the leading word, which names the statement.
const MANY_LEADING: usize = 16;
/// The same for a name, wherever it stands.
const MANY_NAMES: usize = 8;
/// Words from which a sentence is long: its leading word alone does not name it.
const LONG: usize = 6;
/// Words that a template must have besides the one that varies.
const FEWEST_WORDS: usize = 2;
/// Words of templates that are also counted with two places left out, in which both words vary.
const PAIR_WORDS: std::ops::RangeInclusive<usize> = 5..=8;
/// Templates from which both vary, when each of the two has taken half as many values.
const MANY_PAIRS: usize = 12;

/// The templates seen with one place left out: their slots and ids.
type Seen = Vec<(u32, u32)>;

/// See the module; bounded by two generations.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Holes {
    generation: usize,
    young: ByHash<Seen>,
    old: ByHash<Seen>,
}

impl Holes {
    pub(super) fn new(capacity: u32) -> Self {
        let (young, old) = (ByHash::default(), ByHash::default());
        Self { generation: generation(capacity), young, old }
    }

    /// Counts the template's words. The places that now have taken many values, and the other
    /// templates (slots) that differ from this one there only, if any.
    pub(super) fn count(&mut self, slots: &Slots, slot: u32) -> Option<(Vec<usize>, Vec<u32>)> {
        let pattern = slots.pattern(slot);
        let parts = &pattern.parts;
        let is_word = |p: &Part| matches!(p.kind, Kind::Word | Kind::Name);
        let words = parts.iter().filter(|p| is_word(p) || p.kind == Kind::Key).count();
        if words <= FEWEST_WORDS {
            return None;
        }
        // Exclusive or of a term for each place, so that leaving one out is one step.
        let term = |place: usize, hash: u64| mix(hash, place as u64 + 1);
        let whole = parts.iter().enumerate().fold(0, |all, (i, p)| all ^ term(i, p.hash));
        let without = |all: u64, i: usize| all ^ term(i, parts[i].hash) ^ term(i, VAR_HASH);
        for place in (0..parts.len()).filter(|i| is_word(&parts[*i])) {
            let many = match place {
                _ if parts[place].kind == Kind::Name => MANY_NAMES,
                0 if words < LONG => MANY_LEADING,
                _ if pattern.is_after_preposition(place) => MANY_PREPOSITION,
                _ => MANY,
            };
            let seen = self.note(slots, without(whole, place), slot);
            // Kinds of one statement come often each; values come and go.
            let often = seen.iter().filter(|s| slots.lines(s.0) > OFTEN).count();
            let many = if many == MANY && 2 * often > seen.len() { 3 * many } else { many };
            if seen.len() >= many {
                return Some((vec![place], others(seen, slot)));
            }
        }
        if !PAIR_WORDS.contains(&words) {
            return None;
        }
        for a in (1..parts.len()).filter(|i| is_word(&parts[*i])) {
            for b in (a + 1..parts.len()).filter(|i| is_word(&parts[*i])) {
                let seen = self.note(slots, without(without(whole, a), b), slot);
                if seen.len() < MANY_PAIRS {
                    continue;
                }
                let both = [a, b].iter().all(|&place| {
                    let hash = |s: &(u32, u32)| slots.pattern(s.0).parts.get(place).map(|p| p.hash);
                    let mut values: Vec<_> = seen.iter().map(hash).collect();
                    values.sort_unstable();
                    values.dedup();
                    values.len() >= MANY_PAIRS / 2
                });
                if both {
                    return Some((vec![a, b], others(seen, slot)));
                }
                // Enough to judge by; the oldest makes room.
                seen.remove(0);
            }
        }
        None
    }

    /// Notes that the template has this key; gives all that have it.
    fn note(&mut self, slots: &Slots, key: u64, slot: u32) -> &mut Seen {
        let id = slots.id(slot);
        let seen = self.entry(key);
        seen.retain(|&(s, i)| i != id && slots.holds(s, i));
        seen.push((slot, id));
        seen
    }

    fn entry(&mut self, key: u64) -> &mut Seen {
        if self.young.0.len() >= self.generation {
            self.old = std::mem::take(&mut self.young);
        }
        let old = &mut self.old;
        self.young.0.entry(key).or_insert_with(|| old.0.remove(&key).unwrap_or_default())
    }
}

/// Empties the list but for the template itself; gives the others' slots.
fn others(seen: &mut Seen, slot: u32) -> Vec<u32> {
    std::mem::take(seen).into_iter().map(|s| s.0).filter(|s| *s != slot).collect()
}
