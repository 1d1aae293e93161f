//! What alerts say about faults: each alert's beginning is put to the search for faults, and what
//! it finds tells which alerts are of one kin.

use std::collections::BTreeMap;

use super::config::Config;
use super::fit::{Fit, Kin, Knobs, Learned, Onset, Saying, Via};
use super::text::said;
use crate::model::alert::{Condition, LOOKS_BACK};
use crate::model::time::{HOUR_MS, MINUTE_MS, SECOND_MS};
use crate::model::{
    Alert, AlertId, AlertSource, Change, EntityRef, Graph, Indicator, Labels, Time,
};

/// Labels whose values begin with the name of what an alert is about, when nothing names it.
const NAMED_BY: [&str; 8] =
    ["service", "job", "app", "deployment", "container", "pod", "pod_name", "instance"];
/// Labels that name the node, and the zone, that an alert's pod or process runs on.
const NODES: [&str; 7] =
    ["node", "nodename", "host", "host_name", "host.name", "k8s_node_name", "kubernetes_node"];
const ZONES: [&str; 6] = [
    "zone",
    "availability_zone",
    "availability-zone",
    "cloud_availability_zone",
    "topology_kubernetes_io_zone",
    "failure_domain_beta_kubernetes_io_zone",
];
/// So many open signs are looked at again each second; with more, it is done less often.
const A_SECOND: usize = 20;
/// The same while an alert waits that would open an incident at once: somebody waits for it, and a
/// look at so many signs takes a small part of a second.
const A_SECOND_URGENT: usize = 400;
/// At least so often (ms) it is done all the same.
const SELDOM_MS: i64 = 15 * SECOND_MS;
/// What may move is looked at so often (ms) even if nothing came: time alone settles it.
const IDLE_MS: i64 = 60 * SECOND_MS;
/// Systems that begin to tell of a signal within so long (ms) of each other tell of one thing: rules
/// look back over a quarter of an hour at most, as a rule, and wait before they fire.
const WITNESS_MS: i64 = 20 * MINUTE_MS;
/// Words on one signal that are kept, the newest.
const MOST_SPOKEN: usize = 32;
/// What happened before a start is gone through in steps of this (ms).
const STEP_MS: i64 = 15 * SECOND_MS;

/// The signs of all alerts, and the faults that explain them.
#[derive(Clone, Debug)]
pub(super) struct Evidence {
    fit: Fit,
    /// Asked for every alert of every incident at each revision.
    signs: BTreeMap<AlertId, u32>,
    /// Who spoke of which signal of what, for the sign that stands for it.
    spoken: BTreeMap<(EntityRef, Indicator), Vec<Spoke>>,
    /// Entities of the graph by name, for alerts that name only a pod or an address.
    known: BTreeMap<String, EntityRef>,
    scope_labels: Vec<String>,
    /// Which labels make a condition.
    same: Condition,
    /// Alerts of before a start that are to be gone through.
    past: Vec<Alert>,
    /// Something came or was learned since the last look.
    unseen: bool,
    /// Until when faults were looked for.
    looked: Time,
    forgot: Time,
    n_forgets: u64,
}

/// A system's word on a signal.
#[derive(Clone, Debug)]
struct Spoke {
    /// Which; `None` is ours.
    system: Option<String>,
    /// Since when it holds.
    since: Time,
    /// In which copy of the system.
    scope: String,
    sign: u32,
}

impl Default for Evidence {
    fn default() -> Self {
        Self::new(&Config::default())
    }
}

impl Evidence {
    pub(super) fn new(config: &Config) -> Self {
        Self {
            fit: Fit::new(Knobs::default()),
            signs: BTreeMap::new(),
            spoken: BTreeMap::new(),
            known: BTreeMap::new(),
            scope_labels: config.scope_labels.clone(),
            same: config.condition(),
            past: Vec::new(),
            unseen: false,
            looked: Time::MIN,
            forgot: Time::MIN,
            n_forgets: 0,
        }
    }

    /// Takes over the graph, if it is another, and the changes of late.
    pub(super) fn learn(&mut self, graph: Option<&Graph>, changes: &[Change]) {
        let mut news = false;
        for (graph, entity) in graph.into_iter().flat_map(|g| g.entities().map(move |e| (g, e))) {
            self.known.entry(entity.name().to_owned()).or_insert_with(|| entity.clone());
            for (below, _) in graph.dependencies(entity) {
                news |= self.fit.depends(&entity.to_string(), &below.to_string());
            }
        }
        self.fit.clear_changes();
        for change in changes {
            let scope = self.scope_of(&change.attributes);
            let scope = Some(scope.as_str()).filter(|s| !s.is_empty());
            self.fit.changed(&change.entity.to_string(), scope, change.at.ms(), false);
            for named in change.names().filter_map(|name| self.known.get(name)) {
                self.fit.changed(&named.to_string(), scope, change.at.ms(), true);
            }
        }
        if news {
            self.fit.doubt();
            self.unseen = true;
        }
    }

    /// What the search has learned.
    pub(super) fn learned(&self) -> Learned {
        self.fit.learned()
    }

    /// Takes over what was learned before a start.
    pub(super) fn restore(&mut self, learned: &Learned) {
        self.fit.restore(learned);
    }

    /// Takes in an alert that was not seen before.
    pub(super) fn begin(&mut self, alert: &Alert) {
        if self.signs.contains_key(&alert.id) {
            return;
        }
        let (scope, place) = (self.scope_of(&alert.labels), self.place_of(alert));
        let sign = self.witnessed(alert, &scope).unwrap_or_else(|| {
            self.fit.begin(&Onset {
                condition: self.condition_of(alert),
                scope: &scope,
                place: &place.to_string(),
                name: alert.name(),
                on: &self.on_of(alert),
                at_ms: alert.starts_at.ms(),
            })
        });
        if self.fit.wants_text(sign) {
            let said = said(alert, &place.to_string(), &|name| self.known_as(name));
            self.fit.says(sign, &said.phrases, &said.named);
        }
        self.signs.insert(alert.id, sign);
        self.speaks(alert, scope, sign);
        self.unseen = true;
    }

    /// What a text means by a name: an entity of the graph, or a node that alerts name.
    fn known_as(&self, name: &str) -> Option<String> {
        if let Some(entity) = self.known.get(name) {
            return Some(entity.to_string());
        }
        let is_node = name.contains(['-', '.']) || name.contains(|c: char| c.is_ascii_digit());
        let node = is_node.then(|| format!("host.name={name}"))?;
        self.fit.knows(&node).then_some(node)
    }

    /// The sign of what another system said of the same signal at about the same time: what two say
    /// of one thing is one sign, under whatever names. Of one system each alert is a sign of its
    /// own, and so is what concerns nobody else.
    fn witnessed(&self, alert: &Alert, scope: &str) -> Option<u32> {
        let said = self.spoken.get(&signal_of(alert)?)?;
        let system = system_of(alert);
        let may = |s: &&Spoke| {
            let near = s.since.ms_since(alert.starts_at).abs() <= WITNESS_MS;
            // Who does not say which copy may speak of any.
            let one_copy = s.scope == scope || s.scope.is_empty() || scope.is_empty();
            // Each system has one word on a sign.
            let alone = || said.iter().all(|o| o.sign != s.sign || o.system != system);
            let stands = || self.fit.is_kept(s.sign) && !self.fit.is_chore(s.sign);
            s.system != system && near && one_copy && alone() && stands()
        };
        said.iter()
            .filter(may)
            .min_by_key(|s| s.since.ms_since(alert.starts_at).abs())
            .map(|s| s.sign)
    }

    fn speaks(&mut self, alert: &Alert, scope: String, sign: u32) {
        let Some(signal) = signal_of(alert) else { return };
        let said = self.spoken.entry(signal).or_default();
        let since = alert.starts_at;
        // A word that is heard late drops none of those that are newer.
        let newest = said.iter().map(|s| s.since).max().map_or(since, |at| at.max(since));
        said.retain(|s| newest.ms_since(s.since) <= WITNESS_MS);
        said.push(Spoke { system: system_of(alert), since, scope, sign });
        if said.len() > MOST_SPOKEN {
            said.remove(0);
        }
    }

    /// Takes in an alert of before a start: at the next look all of these are gone through in the
    /// order of their beginnings, so that faults that go on are known for what they are.
    pub(super) fn recall(&mut self, alert: &Alert) {
        if !self.signs.contains_key(&alert.id) {
            self.past.push(alert.clone());
        }
    }

    fn go_through_the_past(&mut self) {
        let mut past = std::mem::take(&mut self.past);
        past.sort_by_key(|a| (a.starts_at, a.id));
        let Some(mut clock) = past.first().map(|a| a.starts_at) else { return };
        for alert in &past {
            if alert.starts_at.ms_since(clock) >= STEP_MS {
                clock = alert.starts_at;
                self.fit.revise(clock.ms());
            }
            self.begin(alert);
        }
    }

    /// How long (ms) to wait between two looks.
    fn pause_ms(&self, urgent: bool) -> i64 {
        let a_second = if urgent { A_SECOND_URGENT } else { A_SECOND };
        ((1 + self.fit.n_open() / a_second) as i64 * SECOND_MS).min(SELDOM_MS)
    }

    /// When it is time for the next look while something urgent waits for it.
    pub(super) fn next_look(&self) -> Time {
        self.looked.plus_ms(self.pause_ms(true))
    }

    /// Looks for faults anew if something came and it is time; sooner where something `urgent`
    /// waits. Says whether it did.
    pub(super) fn look(&mut self, now: Time, urgent: bool) -> bool {
        self.go_through_the_past();
        let n_open = self.fit.n_open();
        let passed_ms = now.ms_since(self.looked);
        let news = self.unseen && passed_ms >= self.pause_ms(urgent);
        if !news && (n_open == 0 || passed_ms < IDLE_MS) {
            return false;
        }
        self.fit.revise(now.ms());
        (self.unseen, self.looked) = (false, now);
        if now.ms_since(self.forgot) > HOUR_MS {
            self.forgot = now;
            self.fit.forget(now.ms());
            let fit = &self.fit;
            self.n_forgets += 1;
            self.signs.retain(|_, sign| fit.is_kept(*sign));
            self.spoken.retain(|_, said| {
                said.retain(|s| fit.is_kept(s.sign));
                !said.is_empty()
            });
        }
        true
    }

    /// Of which kin an alert is; `None` while nobody looked at it.
    pub(super) fn kin(&self, alert: AlertId) -> Option<Kin> {
        let sign = *self.signs.get(&alert)?;
        self.fit.is_judged(sign).then(|| self.fit.kin(sign))
    }

    /// The sign of an alert: it stays the same until some are forgotten.
    pub(super) fn sign(&self, alert: AlertId) -> Option<u32> {
        self.signs.get(&alert).copied()
    }

    /// How often signs were forgotten.
    pub(super) fn n_forgets(&self) -> u64 {
        self.n_forgets
    }

    /// Of which kin the alert of a sign is, and whether that may change still.
    pub(super) fn kin_that_may_move(&self, sign: u32) -> Option<(Kin, bool)> {
        self.fit.is_judged(sign).then(|| (self.fit.kin(sign), !self.fit.is_settled(sign)))
    }

    /// Whether an alert is in line to be looked at.
    pub(super) fn is_due(&self, alert: AlertId) -> bool {
        self.signs.get(&alert).is_some_and(|s| !self.fit.is_judged(*s))
    }

    /// Whether an alert's kin may change still.
    pub(super) fn may_move(&self, alert: AlertId) -> bool {
        self.sign(alert).is_some_and(|sign| self.sign_may_move(sign))
    }

    /// Whether the kin of a sign may change still.
    pub(super) fn sign_may_move(&self, sign: u32) -> bool {
        !self.fit.is_settled(sign)
    }

    /// Whether an alert stands by itself or at the root of its fault.
    pub(super) fn leads(&self, alert: AlertId) -> bool {
        self.signs.get(&alert).is_some_and(|s| self.fit.leads(*s))
    }

    /// Whether an alert speaks of a matter that concerns nobody else.
    pub(super) fn is_chore(&self, alert: AlertId) -> bool {
        self.signs.get(&alert).is_some_and(|s| self.fit.is_chore(*s))
    }

    /// In words: where the fault is taken to be and since when.
    pub(super) fn said(&self, kin: Kin) -> Option<String> {
        let (root, since) = self.fit.root(kin)?;
        Some(format!(
            "a fault of {} since {} UTC explains it best",
            name_of(root),
            Time::from_ms(since).clock_text()
        ))
    }

    /// In words: by which path its fault came to an alert, and how many times likelier that makes
    /// it than that the alert began by itself, in parts.
    pub(super) fn accounted(&self, alert: AlertId) -> Option<String> {
        let account = self.fit.account(*self.signs.get(&alert)?)?;
        let clock = |ms: i64| Time::from_ms(ms).clock_text();
        let via = match account.via {
            Via::None => "near in time, by no known path".to_owned(),
            Via::Root => "at its root".to_owned(),
            Via::Place(since) => format!("where it is felt since {}", clock(since)),
            Via::Below(place, since) => {
                let name = name_of(place);
                format!(
                    "behind {name}, which it depends on and which feels it since {}",
                    clock(since)
                )
            }
            Via::Called => "called by its root".to_owned(),
            Via::Repeat(since) => format!("again what began at {}", clock(since)),
        };
        let mut parts = vec![format!("place and time {}", times(account.near))];
        let more = [(account.word, "its name"), (account.less, "said already or of another kind")];
        for (factor, what) in more.into_iter().filter(|(factor, _)| (factor - 1.0).abs() >= 0.05) {
            parts.push(format!("{what} {}", times(factor)));
        }
        if let Some(saying) = account.saying {
            let what = match saying {
                Saying::Names(place, true) => {
                    format!("names {}, which the fault is at", name_of(place))
                }
                Saying::Names(place, false) => {
                    format!("names {}, which feels the fault", name_of(place))
                }
                Saying::NamedByRoot => "is of what the text of its root names".to_owned(),
                Saying::Shares(words, n, of) => format!(
                    "shares the words \"{words}\" with its root, seen in {n} of {of} earlier alerts here"
                ),
            };
            parts.push(format!("its text {what}, {}", times(account.text)));
        }
        if account.share < 0.95 {
            parts.push(format!(
                "one of many said there at once, to the power of {:.2}",
                account.share
            ));
        }
        if account.rests < 0.95 {
            parts.push(format!(
                "what it rests on is better explained by another fault, {}",
                times(account.rests)
            ));
        }
        let all = times(account.all());
        let parts = match &parts[..] {
            [_] => String::new(),
            more => format!("{}: ", more.join(", ")),
        };
        Some(format!("{via}; {parts}{all} against beginning by itself"))
    }

    /// The node that an alert's labels name, and the zone: what its place runs on, as far as it says.
    /// What the graph knows under that name, or under its first part, is meant.
    fn on_of(&self, alert: &Alert) -> Vec<String> {
        let named = |labels: &[&str], kind: &str| {
            let value =
                labels.iter().find_map(|l| alert.labels.get(l)).filter(|v| !v.is_empty())?;
            let short = value.split('.').next().unwrap_or(value);
            let known = [value, short].into_iter().filter_map(|name| self.known.get(name));
            let known = known.map(ToString::to_string).find(|e| !e.starts_with("service.name="));
            Some(known.unwrap_or_else(|| format!("{kind}={value}")))
        };
        let (node, zone) = (named(&NODES, "host.name"), named(&ZONES, "cloud.availability_zone"));
        node.into_iter().chain(zone).collect()
    }

    fn scope_of(&self, labels: &Labels) -> String {
        let values = self.scope_labels.iter().filter_map(|name| labels.get(name));
        values.collect::<Vec<_>>().join("/")
    }

    /// Identity of the condition, by the labels that the settings choose.
    fn condition_of(&self, alert: &Alert) -> u64 {
        self.same.of(&alert.labels).0
    }

    /// What an alert is about: its entity, or, where the graph does not know that, the known entity
    /// that its labels begin with (`cart-6f9c-x2x7p` is a pod of `cart`).
    fn place_of(&self, alert: &Alert) -> EntityRef {
        if self.known.is_empty() || self.known.contains_key(alert.entity.name()) {
            return self.known.get(alert.entity.name()).unwrap_or(&alert.entity).clone();
        }
        for name in NAMED_BY {
            let Some(mut text) = alert.labels.get(name) else { continue };
            loop {
                if let Some(entity) = self.known.get(text) {
                    return entity.clone();
                }
                match text.rfind(['-', '.', ':', '/']) {
                    Some(cut) => text = &text[..cut],
                    None => break,
                }
            }
        }
        alert.entity.clone()
    }
}

/// Which signal of what an alert tells of. What looks back over hours tells of more than now.
fn signal_of(alert: &Alert) -> Option<(EntityRef, Indicator)> {
    let indicator = alert.indicator.filter(|_| alert.annotations.get(LOOKS_BACK).is_none())?;
    Some((alert.entity.clone(), indicator))
}

fn system_of(alert: &Alert) -> Option<String> {
    match &alert.source {
        AlertSource::External { system } => Some(system.clone()),
        AlertSource::Detector { .. } => None,
    }
}

/// The name of a place, which the search knows as an entity.
fn name_of(place: &str) -> String {
    place.parse::<EntityRef>().map_or_else(|_| place.to_owned(), |e| e.name().into())
}

/// A factor for people: what is far beyond doubt needs no figure.
fn times(factor: f64) -> String {
    match factor {
        f if f >= 10_000.0 => "×10,000 and more".to_owned(),
        f if f >= 9.95 => format!("×{f:.0}"),
        f if f >= 0.095 => format!("×{f:.1}"),
        f => format!("×{f:.3}"),
    }
}
