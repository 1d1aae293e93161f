//! What texts of alerts say of where they belong: a text that names what is faulty, and phrases or
//! codes that it shares with what the root says.
//!
//! Both are log likelihood ratios, `ln (S / p + 1 - S)`: under the fault a text says it with the
//! chance S, and otherwise as often as it would by itself, p. What counts is p: how often alerts of
//! that rule have said it. What a rule always says (its boilerplate, a runbook, the usual suspects)
//! has a p near one and tells nothing, and a rule that was heard little is taken to say everything
//! always to a good part. Where the root's alert is of the very same rule, all that it says is taken
//! for the rule's until enough alerts of that rule have not said it: one rule at two places says the
//! same of two faults. Of all that is shared only the strongest counts, since the words of one
//! phrase are one witness, and no text counts for more than [`MOST`].

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::names::Names;
use super::score::{At, Cascade, Standing};
use super::{Fit, Sign};

#[cfg(test)]
mod tests;

/// All that a text says is worth this much at most (nats, a factor of 20): one place that has
/// spoken in the known way, and no more, for people copy and misread texts.
pub(super) const MOST: f64 = 3.0;
/// What it shares with the root's text is worth this much at most (a factor of 7.4): it says what
/// broke, and not where.
const MOST_WORDS: f64 = 2.0;
/// Share of the alerts of a fault that name its root, or something that feels it, where any texts
/// are told; and that quote what the root says.
const NAMES: f64 = 0.3;
const QUOTES: f64 = 0.5;
/// For so many alerts of a rule it stands what its text is taken to say before.
const PRIOR: f64 = 4.0;
/// Least chance that a rule of which little was heard says a phrase; names a thing whose name is a
/// word like any other; names a thing with a name of several parts.
const SAYS: f64 = 0.25;
const NAMES_WORD: f64 = 0.1;
const NAMES_THING: f64 = 0.03;
/// Phrases of one text that may tell something.
const MOST_TELLING: usize = 8;
/// Less (nats) tells nothing.
const LEAST: f64 = 0.05;
/// Phrases, and phrases by rule, that are kept; between two rounds of forgetting twice as many.
const MOST_PHRASES: usize = 8_000;
const MOST_PAIRS: usize = 32_000;
/// The same over a restart, and rules.
const KEPT: usize = 2_000;

/// What is kept of a sign's text.
#[derive(Debug, Default)]
pub(super) struct Text {
    /// Whose rule.
    rule: u32,
    /// All its phrases, to be counted once it is settled.
    phrases: Vec<u32>,
    /// Those that may tell something.
    telling: Vec<Telling>,
    /// Places that it names, and how often it would by itself; in order.
    named: Vec<(u32, f64)>,
}

impl Text {
    /// What is kept of it once it is counted: what it tells, if anything.
    pub(super) fn settled(&self) -> Option<Arc<Self>> {
        let (telling, named) = (self.telling.clone(), self.named.clone());
        let tells = !telling.is_empty() || !named.is_empty();
        tells.then(|| Arc::new(Self { rule: self.rule, phrases: Vec::new(), telling, named }))
    }

    /// Places that it names.
    pub(super) fn named(&self) -> impl Iterator<Item = u32> + '_ {
        self.named.iter().map(|(place, _)| *place)
    }
}

#[derive(Clone, Copy, Debug)]
struct Telling {
    phrase: u32,
    /// What it is worth (nats) to share it with another rule's alert, and with one of the same rule.
    other: f64,
    same: f64,
}

/// What the root of a fault says.
#[derive(Debug, Default)]
pub(super) struct Voice {
    root: u32,
    /// Phrases with the rules that said them, in order.
    phrases: Vec<(u32, u32)>,
    /// What it names, and how often it would by itself.
    named: Vec<(u32, f64)>,
    /// Who else feels the fault and has spoken, in order.
    felt: Vec<u32>,
}

/// The strongest of what a text says for a fault.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Hint {
    /// It names this place, which is the root or feels the fault.
    Names(u32),
    /// What the root says names the sign's place.
    NamedByRoot,
    /// It shares this phrase with what the root says.
    Shares(u32),
}

/// The same with words.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Saying<'a> {
    /// It names a place, which is the root, or feels the fault.
    Names(&'a str, bool),
    /// What the root says names the sign's place.
    NamedByRoot,
    /// It shares a phrase, which so many of so many alerts said.
    Shares(&'a str, u64, u64),
}

/// How often alerts of a rule were heard.
#[derive(Clone, Copy, Debug, Default)]
struct Rule {
    n: u32,
    /// How often at another place than before.
    n_places: u32,
    last: Option<u32>,
}

/// What texts have said until now.
#[derive(Clone, Debug, Default)]
pub(super) struct Texts {
    phrases: Names,
    /// How many texts said a phrase.
    n: Vec<u32>,
    /// The same of a rule; of what names a place, only where it is another place than before.
    by_rule: BTreeMap<(u32, u32), u32>,
    rules: BTreeMap<u32, Rule>,
    n_said: u64,
    /// Whether a sign that may move names something.
    any_named: bool,
}

/// What is kept of texts over a restart.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub(super) struct Kept {
    phrases: Vec<(String, u32)>,
    /// By rule and phrase.
    said: Vec<(String, String, u32)>,
    /// How many alerts, and at how many places one after the other.
    rules: Vec<(String, u32, u32)>,
    n_said: u64,
}

/// How much likelier (nats) a text says something under a fault under which a `share` of all do.
fn told(share: f64, by_itself: f64) -> f64 {
    (share / by_itself + 1.0 - share).ln().max(0.0)
}

impl Texts {
    fn phrase(&mut self, text: &str) -> Option<u32> {
        if self.phrases.len() >= 2 * MOST_PHRASES && !self.phrases.ids.contains_key(text) {
            return None;
        }
        let id = self.phrases.id(text);
        if self.n.len() <= id as usize {
            self.n.resize(id as usize + 1, 0);
        }
        Some(id)
    }

    /// How often alerts of a rule were heard with a phrase, by number.
    fn said(&self, rule: u32, phrase: u32) -> f64 {
        f64::from(self.by_rule.get(&(rule, phrase)).copied().unwrap_or(0))
    }

    /// What it is worth to share a phrase.
    fn telling(&self, rule: u32, phrase: u32) -> Option<Telling> {
        let heard = self.rules.get(&rule).map_or(0.0, |r| f64::from(r.n));
        let said = self.said(rule, phrase);
        // Before anything was heard all is taken for what everybody says.
        let all = (f64::from(self.n[phrase as usize]) + 10.0) / (self.n_said as f64 + 10.0);
        let worth =
            |first: f64| told(QUOTES, (said + PRIOR * first) / (heard + PRIOR)).min(MOST_WORDS);
        let (other, same) = (worth(all.clamp(SAYS, 1.0)), worth(1.0));
        (other >= LEAST).then_some(Telling { phrase, other, same })
    }

    /// How often an alert of a rule names a place by itself.
    fn names(&self, rule: u32, phrase: u32, name: &str) -> f64 {
        let heard = self.rules.get(&rule).map_or(0.0, |r| f64::from(r.n_places));
        let is_word = !name.contains(['-', '_', '.', '/', ':'])
            && !name.contains(|c: char| c.is_ascii_digit());
        let least = if is_word { NAMES_WORD } else { NAMES_THING };
        let all = (f64::from(self.n[phrase as usize]) + 1.0) / (self.n_said as f64 + 20.0);
        (self.said(rule, phrase) + PRIOR * all.clamp(least, 1.0)) / (heard + PRIOR)
    }

    /// Counts what the alert of a rule at a place has said.
    pub(super) fn count(&mut self, text: &Text, place: u32) {
        self.n_said += 1;
        let rule = self.rules.entry(text.rule).or_default();
        rule.n += 1;
        let elsewhere = rule.last.replace(place) != Some(place);
        rule.n_places += u32::from(elsewhere);
        for phrase in &text.phrases {
            let n = &mut self.n[*phrase as usize];
            *n = n.saturating_add(1);
            let key = (text.rule, *phrase);
            let names = self.phrases.by_id[*phrase as usize].starts_with('@');
            let room = self.by_rule.len() < 2 * MOST_PAIRS || self.by_rule.contains_key(&key);
            if room && (elsewhere || !names) {
                *self.by_rule.entry(key).or_default() += 1;
            }
        }
    }

    /// Forgets what was not heard for longest, but what these signs' texts say.
    pub(super) fn forget<'a>(&mut self, used: impl Iterator<Item = &'a Text>) {
        let said = |t: &'a Text| t.phrases.iter().copied();
        let telling = |t: &'a Text| t.telling.iter().map(|told| told.phrase);
        let used: BTreeSet<u32> = used.flat_map(|t| said(t).chain(telling(t))).collect();
        for id in self.phrases.keep_latest(used, MOST_PHRASES) {
            self.n[id as usize] = 0;
        }
        let phrases = &self.phrases.by_id;
        let mut least = 0;
        self.by_rule.retain(|(_, phrase), _| !phrases[*phrase as usize].is_empty());
        while self.by_rule.len() > MOST_PAIRS {
            least += 1;
            self.by_rule.retain(|_, n| *n > least);
        }
    }

    /// Forgets a rule: the next to get its number is another.
    pub(super) fn forget_rule(&mut self, rule: u32) {
        self.rules.remove(&rule);
        let gone: Vec<(u32, u32)> =
            self.by_rule.range((rule, 0)..=(rule, u32::MAX)).map(|(key, _)| *key).collect();
        for key in gone {
            self.by_rule.remove(&key);
        }
    }

    pub(super) fn kept(&self, rules: &Names) -> Kept {
        let phrases = self.phrases.latest(KEPT);
        let ids: Vec<u32> = phrases.iter().map(|p| self.phrases.ids[p]).collect();
        let known: BTreeSet<u32> = ids.iter().copied().collect();
        let mut heard: Vec<(u32, Rule)> = self.rules.iter().map(|(id, r)| (*id, *r)).collect();
        heard.sort_by_key(|(id, r)| (std::cmp::Reverse(r.n), *id));
        heard.truncate(KEPT);
        let said = self.by_rule.iter().filter(|((_, phrase), _)| known.contains(phrase));
        let mut said: Vec<_> = said.map(|((rule, phrase), n)| (*rule, *phrase, *n)).collect();
        said.sort_by_key(|(rule, phrase, n)| (std::cmp::Reverse(*n), *rule, *phrase));
        said.truncate(2 * KEPT);
        let rule = |id: u32| rules.by_id[id as usize].clone();
        Kept {
            said: said
                .into_iter()
                .map(|(of, phrase, n)| (rule(of), self.phrases.by_id[phrase as usize].clone(), n))
                .collect(),
            phrases: phrases.into_iter().zip(ids).map(|(p, id)| (p, self.n[id as usize])).collect(),
            rules: heard.into_iter().map(|(id, r)| (rule(id), r.n, r.n_places)).collect(),
            n_said: self.n_said,
        }
    }
}

impl Fit {
    /// Whether anything is to be told of a sign's text still: of a repeat nothing is, it goes where
    /// the first is.
    pub(crate) fn wants_text(&self, sign: u32) -> bool {
        self.signs
            .get(sign)
            .is_some_and(|s| s.text.is_none() && s.before.is_none() && s.settled.is_none())
    }

    /// Whether a place of this name is known.
    pub(crate) fn knows(&self, place: &str) -> bool {
        self.places.ids.contains_key(place)
    }

    /// Takes in what the text of a sign says: phrases, and places that it names.
    pub(crate) fn says(&mut self, sign: u32, phrases: &[String], named: &[String]) {
        let rule = self.signs[sign as usize].name;
        let mut text = Text { rule, ..Text::default() };
        for said in phrases {
            let Some(id) = self.texts.phrase(said) else { continue };
            text.phrases.push(id);
            text.telling.extend(self.texts.telling(rule, id));
        }
        text.telling.sort_by(|a, b| b.other.total_cmp(&a.other).then(a.phrase.cmp(&b.phrase)));
        text.telling.truncate(MOST_TELLING);
        for name in named {
            let Some(id) = self.texts.phrase(&format!("@{name}")) else { continue };
            text.phrases.push(id);
            let bare = name.split_once('=').map_or(name.as_str(), |(_, bare)| bare);
            text.named.push((self.named_place(name), self.texts.names(rule, id, bare)));
        }
        text.named.sort_by_key(|(place, _)| *place);
        if !text.phrases.is_empty() {
            self.signs[sign as usize].text = Some(Arc::new(text));
        }
    }

    /// Notes whether texts name anything now.
    pub(super) fn hear_texts(&mut self) {
        let texts = self.open.iter().filter_map(|id| self.signs[*id as usize].text.as_ref());
        self.texts.any_named = texts.into_iter().any(|t| !t.named.is_empty());
    }

    /// What the root of a fault says, in one scope, from shortly before the fault's beginning until
    /// shortly after.
    pub(super) fn voice(&self, at: At, c: &Cascade) -> Option<Arc<Voice>> {
        let mut voice = Voice { root: at.root, ..Voice::default() };
        let signs = self.by_place.at(at.scope, at.root).iter().map(|id| &self.signs[*id as usize]);
        let near = |s: &&Sign| (-30_000..=120_000).contains(&(s.at - at.since));
        for text in signs.filter(near).filter_map(|s| s.text.as_ref()) {
            voice.phrases.extend(text.telling.iter().map(|t| (t.phrase, text.rule)));
            voice.named.extend(&text.named);
        }
        if self.texts.any_named {
            voice.felt.extend(c.spoken().filter(|place| *place != at.root));
        } else if voice.phrases.is_empty() && voice.named.is_empty() {
            return None;
        }
        // What many alerts at the root say counts once.
        voice.phrases.sort_unstable();
        voice.phrases.dedup();
        voice.named.sort_by(|a, b| a.0.cmp(&b.0).then(b.1.total_cmp(&a.1)));
        voice.named.dedup_by_key(|(place, _)| *place);
        Some(Arc::new(voice))
    }

    /// What the text of a sign says for a fault (nats), and the strongest of it. What the root says
    /// of itself says nothing.
    pub(super) fn text(sign: &Sign, place: &Standing) -> (f64, Option<Hint>) {
        let Some(voice) = place.voice.as_deref() else { return (0.0, None) };
        let mut best = (0.0, None);
        let mut may = |worth: f64, hint: Hint| {
            if worth > best.0 && worth >= LEAST {
                best = (worth, Some(hint));
            }
        };
        if let Ok(at) = voice.named.binary_search_by_key(&sign.place, |(place, _)| *place) {
            may(told(NAMES, voice.named[at].1), Hint::NamedByRoot);
        }
        let Some(text) = sign.text.as_deref() else { return (best.0.min(MOST), best.1) };
        for (named, by_itself) in &text.named {
            if *named == voice.root {
                may(told(NAMES, *by_itself), Hint::Names(*named));
            } else if voice.felt.binary_search(named).is_ok() {
                // Any of those may be named.
                let share = NAMES / voice.felt.len() as f64;
                may(told(share, *by_itself), Hint::Names(*named));
            }
        }
        let named = best;
        let mut words = (0.0, None);
        for telling in &text.telling {
            let from = voice.phrases.partition_point(|(phrase, _)| *phrase < telling.phrase);
            let said = voice.phrases[from..].iter().take_while(|(p, _)| *p == telling.phrase);
            let worth =
                said.map(|(_, rule)| if *rule == text.rule { telling.same } else { telling.other });
            let worth = worth.fold(0.0, f64::max);
            if worth > words.0 && worth >= LEAST {
                words = (worth, Some(Hint::Shares(telling.phrase)));
            }
        }
        let all = (named.0 + words.0).min(MOST);
        (all, if words.0 > named.0 { words.1 } else { named.1 })
    }

    /// A hint in words.
    pub(super) fn saying(&self, hint: Hint, root: u32) -> Saying<'_> {
        match hint {
            Hint::Names(place) => Saying::Names(&self.places.by_id[place as usize], place == root),
            Hint::NamedByRoot => Saying::NamedByRoot,
            Hint::Shares(phrase) => Saying::Shares(
                &self.texts.phrases.by_id[phrase as usize],
                u64::from(self.texts.n[phrase as usize]),
                self.texts.n_said,
            ),
        }
    }

    /// Takes over what was kept of texts before a start.
    pub(super) fn restore_texts(&mut self, kept: &Kept) {
        for (phrase, n) in &kept.phrases {
            if let Some(id) = self.texts.phrase(phrase) {
                let at = &mut self.texts.n[id as usize];
                *at = at.saturating_add(*n);
            }
        }
        let mut rules: BTreeMap<&str, u32> = BTreeMap::new();
        for (name, n, n_places) in &kept.rules {
            let id = self.names.id(name);
            self.words.name(id, name);
            rules.insert(name, id);
            let rule = self.texts.rules.entry(id).or_default();
            rule.n = rule.n.saturating_add(*n);
            rule.n_places = rule.n_places.saturating_add(*n_places);
        }
        for (rule, phrase, n) in &kept.said {
            let phrase = self.texts.phrases.ids.get(phrase).copied();
            if let (Some(rule), Some(phrase)) = (rules.get(rule.as_str()), phrase) {
                let at = self.texts.by_rule.entry((*rule, phrase)).or_default();
                *at = at.saturating_add(*n);
            }
        }
        self.texts.n_said = self.texts.n_said.saturating_add(kept.n_said);
    }
}
