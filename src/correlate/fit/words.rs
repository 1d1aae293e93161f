//! What an alert's name says: a cause, a symptom that spreads, housekeeping; by its words at first,
//! by how alerts of that name have been grouped later on.

use std::collections::BTreeSet;

/// What kind of condition a name speaks of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Class {
    /// Something is used up or broken right here.
    Cause,
    /// What users and callers feel; it spreads along callers.
    Symptom,
    /// Less arrives than usual: whoever is called by what broke sees that.
    Idle,
    /// Slow matters that concern nobody else: certificates, backups, jobs, disks that fill.
    Chore,
    /// The words say nothing.
    Plain,
}

const CHORES: [&str; 22] = [
    "cert",
    "certificate",
    "expir",
    "expiring",
    "expiry",
    "backup",
    "cron",
    "cronjob",
    "job",
    "image",
    "pull",
    "quota",
    "licen",
    "deprecated",
    "filling",
    "fillingup",
    "predict",
    "watchdog",
    "drift",
    "stale",
    "outdated",
    "rotation",
];
const IDLE: [&str; 7] =
    ["traffic", "throughput", "idle", "nodata", "norequests", "starved", "lowrate"];
const CAUSES: [&str; 41] = [
    "oom",
    "oomkilled",
    "killed",
    "memory",
    "cpu",
    "throttling",
    "disk",
    "full",
    "inode",
    "iops",
    "replication",
    "lag",
    "deadlock",
    "deadlocks",
    "lock",
    "locks",
    "connections",
    "packet",
    "loss",
    "dns",
    "probe",
    "target",
    "down",
    "node",
    "kernel",
    "restart",
    "restarts",
    "restarting",
    "crash",
    "crashloop",
    "crashlooping",
    "crashloopbackoff",
    "hpa",
    "network",
    "interface",
    "write",
    "slow",
    "evicted",
    "leader",
    "quorum",
    "unreachable",
];
const SYMPTOMS: [&str; 31] = [
    "latency",
    "p99",
    "p95",
    "error",
    "errors",
    "5xx",
    "timeout",
    "timeouts",
    "queue",
    "depth",
    "pool",
    "thread",
    "threads",
    "circuit",
    "breaker",
    "slo",
    "burn",
    "apdex",
    "availability",
    "ready",
    "notready",
    "failure",
    "failures",
    "failing",
    "rate",
    "upstream",
    "saturation",
    "saturated",
    "retries",
    "retry",
    "backlog",
];

/// The words of a name: cut where a capital follows a small letter, before the last capital of a
/// run (`CPUThrottling` is `cpu throttling`), and at anything that is neither letter nor digit.
fn words_of(name: &str) -> Vec<String> {
    let chars: Vec<char> = name.chars().collect();
    let mut words = vec![String::new()];
    for (i, c) in chars.iter().enumerate() {
        let before = i.checked_sub(1).map(|b| chars[b]);
        let starts = c.is_uppercase()
            && (before.is_some_and(|b| !b.is_uppercase())
                || chars.get(i + 1).is_some_and(|n| n.is_lowercase()));
        if starts || !c.is_alphanumeric() {
            words.push(String::new());
        }
        if c.is_alphanumeric()
            && let Some(word) = words.last_mut()
        {
            word.extend(c.to_lowercase());
        }
    }
    words.retain(|w| !w.is_empty());
    words
}

/// Classifies by words.
pub(super) fn class_of(name: &str) -> Class {
    let words = words_of(name);
    let any = |list: &[&str]| words.iter().filter(|w| list.contains(&w.as_str())).count();
    if any(&CHORES) > 0 {
        return Class::Chore;
    }
    let low = any(&["low", "no", "drop", "dropped", "zero", "missing"]) > 0;
    if any(&IDLE) > 0 || (low && any(&["requests", "rate", "rps", "messages"]) > 0) {
        return Class::Idle;
    }
    let (cause, symptom) = (any(&CAUSES), any(&SYMPTOMS));
    match cause.cmp(&symptom) {
        std::cmp::Ordering::Greater => Class::Cause,
        std::cmp::Ordering::Less => Class::Symptom,
        std::cmp::Ordering::Equal if cause > 0 => Class::Cause,
        std::cmp::Ordering::Equal => Class::Plain,
    }
}

/// What kind of cause a name speaks of: one fault shows one kind at its root.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Family {
    /// Not reached, or packets are lost.
    Network,
    /// Not enough processor.
    Compute,
    /// Not enough memory.
    Memory,
    /// Not enough room or speed on disk.
    Disk,
    /// Locks, replication, connections of a database.
    Data,
}

const FAMILIES: [(Family, &[&str]); 5] = [
    (Family::Network, &["packet", "loss", "probe", "dns", "unreachable", "network", "interface"]),
    (Family::Compute, &["cpu", "throttling", "hpa", "load"]),
    (Family::Memory, &["oom", "oomkilled", "memory", "heap", "gc"]),
    (Family::Disk, &["disk", "full", "write", "iops", "inode", "volume", "filesystem"]),
    (Family::Data, &["replication", "deadlock", "deadlocks", "lock", "locks", "connections", "db"]),
];

/// The kind of cause that most words speak of; `None` when none does, or two do alike.
pub(super) fn family_of(name: &str) -> Option<Family> {
    let words = words_of(name);
    let n = |list: &[&str]| words.iter().filter(|w| list.contains(&w.as_str())).count();
    let counted = FAMILIES.map(|(family, list)| (n(list), family));
    let most = counted.iter().map(|(n, _)| *n).max().filter(|n| *n > 0)?;
    let mut best = counted.iter().filter(|(n, _)| *n == most);
    best.next().filter(|_| best.next().is_none()).map(|(_, family)| *family)
}

/// Where an alert stands to a fault.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Stand {
    /// At the root.
    Root,
    /// Above it, along callers.
    Above,
    /// Below it, or nowhere known.
    Beside,
}

/// Counts of one name.
#[derive(Clone, Copy, Debug, Default)]
struct Seen {
    root: f64,
    above: f64,
    alone: f64,
}

impl Seen {
    fn add(&mut self, [root, above, alone]: [f64; 3]) {
        self.root += root;
        self.above += above;
        self.alone += alone;
    }
}

/// What is known of names.
#[derive(Clone, Debug, Default)]
pub(super) struct Words {
    classes: Vec<Class>,
    families: Vec<Option<Family>>,
    seen: Vec<Seen>,
    /// Numbers of names that were forgotten.
    vacant: BTreeSet<u32>,
    total: Seen,
    /// Weights as last worked out, at the root, above it, beside it.
    weights: Vec<[f64; 3]>,
}

/// Weight of the words against what was counted, in alerts.
const PRIOR: f64 = 4.0;

impl Words {
    /// Takes in the name with this number (numbers come in order).
    pub(super) fn name(&mut self, id: u32, name: &str) {
        let is_next = self.classes.len() == id as usize;
        if !is_next && !self.vacant.remove(&id) {
            return;
        }
        let class = class_of(name);
        let family = family_of(name).filter(|_| class == Class::Cause);
        if is_next {
            self.classes.push(class);
            self.families.push(family);
            self.seen.push(Seen::default());
        } else {
            (self.classes[id as usize], self.families[id as usize]) = (class, family);
        }
    }

    /// Forgets a name and what was counted of it. The next to get its number is another.
    pub(super) fn forget(&mut self, id: u32) {
        let Some(seen) = self.seen.get_mut(id as usize) else { return };
        let gone = std::mem::take(seen);
        self.total.add([-gone.root, -gone.above, -gone.alone]);
        self.weights.clear();
        self.vacant.insert(id);
    }

    pub(super) fn class(&self, name: u32) -> Class {
        self.classes[name as usize]
    }

    pub(super) fn family(&self, name: u32) -> Option<Family> {
        self.families[name as usize]
    }

    /// Counts how one alert ended up; `None`: by itself.
    pub(super) fn count(&mut self, name: u32, stand: Option<Stand>) {
        for seen in [&mut self.seen[name as usize], &mut self.total] {
            match stand {
                None => seen.alone += 1.0,
                Some(Stand::Root) => seen.root += 1.0,
                Some(_) => seen.above += 1.0,
            }
        }
    }

    /// How often a name was at a root, above it, by itself.
    pub(super) fn seen(&self, name: u32) -> [f64; 3] {
        self.seen.get(name as usize).map_or([0.0; 3], |s| [s.root, s.above, s.alone])
    }

    /// The same of all names.
    pub(super) fn seen_in_all(&self) -> [f64; 3] {
        [self.total.root, self.total.above, self.total.alone]
    }

    /// Takes over counts of a name of before.
    pub(super) fn recall(&mut self, name: u32, more: [f64; 3]) {
        if let Some(seen) = self.seen.get_mut(name as usize) {
            seen.add(more);
        }
    }

    /// The same of all names.
    pub(super) fn recall_all(&mut self, more: [f64; 3]) {
        self.total.add(more);
    }

    /// Works out the weights of all names from what was counted.
    pub(super) fn weigh(&mut self) {
        let stands = [Stand::Root, Stand::Above, Stand::Beside];
        self.weights =
            (0..self.seen.len() as u32).map(|n| stands.map(|s| self.weight_now(n, s))).collect();
    }

    /// Log of how much likelier the name is in a fault, at that place, than by itself.
    pub(super) fn weight(&self, name: u32, stand: Stand) -> f64 {
        match self.weights.get(name as usize) {
            Some(weights) => weights[stand as usize],
            None => self.weight_now(name, stand),
        }
    }

    fn weight_now(&self, name: u32, stand: Stand) -> f64 {
        let first = match (self.class(name), stand) {
            (Class::Chore, _) => -5.0,
            (Class::Cause, Stand::Root) => 0.8,
            (Class::Cause, Stand::Above) => -2.2,
            (Class::Cause, Stand::Beside) => -2.0,
            (Class::Symptom, Stand::Root) => 0.2,
            (Class::Symptom, Stand::Above) => 0.5,
            (Class::Symptom | Class::Idle, Stand::Beside) => 0.3,
            (Class::Idle, _) => -0.3,
            (Class::Plain, Stand::Beside) => -0.5,
            (Class::Plain, _) => 0.0,
        };
        let seen = self.seen[name as usize];
        let (here, all) = match stand {
            Stand::Root => (seen.root, self.total.root),
            _ => (seen.above, self.total.above),
        };
        // Rates per hundred, so that many faults and few lone alerts weigh alike.
        let share = |n: f64, all: f64| if all > 0.0 { n * (100.0 / all).min(1.0) } else { 0.0 };
        let half = f64::exp(first / 2.0);
        let told = share(here, all) + PRIOR * half;
        let alone = share(seen.alone, self.total.alone) + PRIOR / half;
        (told / alone).ln()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_forgotten_name_leaves_nothing_to_the_next_with_its_number() {
        let mut words = Words::default();
        words.name(0, "HighErrorRate");
        words.name(1, "CertExpiring");
        words.count(1, None);
        words.count(0, None);
        words.forget(1);
        assert_eq!((words.seen(1), words.seen_in_all()), ([0.0; 3], [0.0, 0.0, 1.0]));
        words.name(1, "PodOOMKilled");
        assert_eq!((words.class(1), words.family(1)), (Class::Cause, Some(Family::Memory)));
    }

    #[test]
    fn names_are_cut_into_words() {
        assert_eq!(words_of("CPUThrottlingHigh"), ["cpu", "throttling", "high"]);
        assert_eq!(words_of("HighLatencyP99"), ["high", "latency", "p99"]);
        assert_eq!(words_of("kube_pod-crash looping"), ["kube", "pod", "crash", "looping"]);
    }
}
