//! One entity at one time, in numbers: rates of counters per second and values of gauges.

use std::f64::consts::PI;

use super::rhythm::{self, noise};
use super::{Episode, World};
use crate::demo::scenario::Effect;
use crate::demo::town::{CORES, DATABASES, NODES, SERVICES};
use crate::model::Time;

/// Upper bounds of the latency histograms in seconds (OpenTelemetry's default for HTTP).
pub const BOUNDS: [f64; 14] =
    [0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.25, 0.5, 0.75, 1.0, 2.5, 5.0, 7.5, 10.0];

/// Number of values in a frame.
pub const N_ITEMS: usize = 96;

/// One entity at one time. The positions are the constants of [`item`].
pub type Frame = [f64; N_ITEMS];

/// Positions in a frame. Counters hold their rate per second, gauges their value.
pub mod item {
    /// Requests that succeeded, that were the caller's fault, that failed (per second).
    pub const OK: usize = 0;
    /// See [`OK`].
    pub const REFUSED: usize = 1;
    /// See [`OK`].
    pub const FAILED: usize = 2;
    /// Seconds spent on each of the three, per second.
    pub const OK_SUM: usize = 3;
    /// See [`OK_SUM`].
    pub const REFUSED_SUM: usize = 4;
    /// See [`OK_SUM`].
    pub const FAILED_SUM: usize = 5;
    /// Database queries per second, and seconds spent on them per second.
    pub const QUERIES: usize = 6;
    /// See [`QUERIES`].
    pub const QUERIES_SUM: usize = 7;
    /// CPU cores in use by all instances.
    pub const CPU: usize = 8;
    /// CPU seconds per second for which instances were throttled.
    pub const THROTTLED: usize = 9;
    /// Memory of one instance in bytes.
    pub const MEMORY: usize = 10;
    /// Memory limit of one instance in bytes.
    pub const MEMORY_LIMIT: usize = 11;
    /// Connections of one instance's pool in use, idle, at most, and callers waiting for one.
    pub const POOL_USED: usize = 12;
    /// See [`POOL_USED`].
    pub const POOL_IDLE: usize = 13;
    /// See [`POOL_USED`].
    pub const POOL_MAX: usize = 14;
    /// See [`POOL_USED`].
    pub const POOL_PENDING: usize = 15;
    /// Callers per second that gave up waiting for a connection.
    pub const POOL_TIMEOUTS: usize = 16;
    /// Instances wanted, and available.
    pub const REPLICAS: usize = 17;
    /// See [`REPLICAS`].
    pub const AVAILABLE: usize = 18;
    /// Restarts so far (a count that stands still between restarts).
    pub const RESTARTS: usize = 19;
    /// Constant 1.
    pub const ONE: usize = 20;
    /// Requests being answered (all instances).
    pub const IN_FLIGHT: usize = 21;
    /// Orders placed, and what they are worth in euros (per second); 0 but at the checkout.
    pub const ORDERS: usize = 22;
    /// See [`ORDERS`].
    pub const REVENUE: usize = 23;
    /// Buckets of requests that succeeded, were refused, failed; and of queries.
    pub const OK_BUCKET: usize = 24;
    /// See [`OK_BUCKET`].
    pub const REFUSED_BUCKET: usize = 39;
    /// See [`OK_BUCKET`].
    pub const FAILED_BUCKET: usize = 54;
    /// See [`OK_BUCKET`].
    pub const QUERY_BUCKET: usize = 69;

    /// Nodes: CPU seconds per second and core in each mode.
    pub const IDLE: usize = 0;
    /// See [`IDLE`].
    pub const USER: usize = 1;
    /// See [`IDLE`].
    pub const SYSTEM: usize = 2;
    /// See [`IDLE`].
    pub const IOWAIT: usize = 3;
    /// Nodes: load average of one minute.
    pub const LOAD: usize = 4;
    /// Nodes: bytes of memory in all, and available.
    pub const NODE_MEMORY: usize = 5;
    /// See [`NODE_MEMORY`].
    pub const NODE_AVAILABLE: usize = 6;
    /// Nodes: bytes of the file system, and free.
    pub const DISK: usize = 7;
    /// See [`DISK`].
    pub const DISK_FREE: usize = 8;
    /// Nodes: bytes received per second.
    pub const RECEIVED: usize = 9;

    /// Databases: connections that run a query, that idle, and at most.
    pub const ACTIVE: usize = 0;
    /// See [`ACTIVE`].
    pub const IDLE_CONNECTIONS: usize = 1;
    /// See [`ACTIVE`].
    pub const MAX_CONNECTIONS: usize = 2;
    /// Databases: commits per second.
    pub const COMMITS: usize = 3;
    /// Databases: rows read by sequential scans per second.
    pub const SCANNED: usize = 4;
}

/// What a frame is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Place {
    /// A service by position.
    Service(usize),
    /// A node by position.
    Node(usize),
    /// A database by position.
    Database(usize),
}

/// Mean of a log-logistic distribution with median 1 and shape `k` > 1.
fn mean_factor(k: f64) -> f64 {
    (PI / k) / (PI / k).sin()
}

/// Share of a log-logistic distribution below `bound`.
fn below(bound: f64, median: f64, k: f64) -> f64 {
    1.0 / (1.0 + (median / bound).powf(k))
}

/// Shapes: usual requests, slow ones, failures and queries.
const USUAL: f64 = 4.2;
const SLOW: f64 = 7.0;
const FAILING: f64 = 9.0;
const QUERY: f64 = 3.6;

/// The service where orders are placed.
pub(in crate::demo) const CHECKOUT: &str = "checkout";
/// Share of the checkout's answers that are orders placed; the rest are looked at.
const PLACED: f64 = 0.62;
/// Share of customers who give up when the checkout is slow.
const ABANDONED: f64 = 0.45;
/// What an order is worth on average, in euros.
const BASKET_EUR: f64 = 46.8;

impl World {
    /// The frame of a place at a time; latency buckets only where asked for.
    #[must_use]
    pub fn frame(&self, place: Place, at: Time, with_buckets: bool) -> Frame {
        match place {
            Place::Service(s) => self.service_frame(s, at, with_buckets),
            Place::Node(n) => self.node_frame(n, at),
            Place::Database(d) => self.database_frame(d, at),
        }
    }

    fn service_frame(&self, s: usize, at: Time, with_buckets: bool) -> Frame {
        let plan = &SERVICES[s];
        let mut frame = [0.0; N_ITEMS];
        let stream = (s as u64 + 1) << 16;
        let wobble = |n: u64| noise(self.seed, stream + n, at);
        let traffic = rhythm::traffic(at);
        let batch = rhythm::nightly_batch(at);
        let felt = self.disturbance(s, at);
        let fresh = self.freshly_deployed(s, at);

        let batch_rate = match plan.name {
            "inventory" => 1.0 + 2.2 * batch,
            "notifications" => 1.0 + 1.6 * batch,
            _ => 1.0,
        };
        let rate = plan.rate * traffic * batch_rate * (1.0 + 0.07 * wobble(0)) * felt.rate;
        let query_factor = self.query_factor(s, at);
        let extra_query_s = plan.database.map_or(0.0, |(name, queries, _)| {
            let database = DATABASES.iter().find(|d| d.name == name);
            database.map_or(0.0, |d| d.query_s * queries * (query_factor - 1.0))
        });
        let load = 1.0 + 0.10 * (traffic - 1.0);
        let median =
            (plan.median_s * load * (1.0 + 0.08 * wobble(1)) + extra_query_s) * (1.0 + fresh);
        let errors = plan.errors * (0.6 * wobble(2)).exp() * (1.0 + 2.0 * fresh);
        let (deaths, dying) = self.out_of_memory(s, at);
        let failed = 1.0 - (1.0 - errors) * (1.0 - felt.errors) * (1.0 - 0.3 * dying);
        let refused = 0.008 * (1.0 + 0.3 * wobble(3));
        let error_s = (errors * median + felt.errors * felt.error_s) / (errors + felt.errors);
        let usual_mean = median * mean_factor(USUAL);
        let ok_mean = (1.0 - felt.slow_share) * usual_mean
            + felt.slow_share * (felt.slow_s + median) * mean_factor(SLOW);

        frame[item::FAILED] = rate * failed;
        frame[item::REFUSED] = rate * (1.0 - failed) * refused;
        frame[item::OK] = rate * (1.0 - failed) * (1.0 - refused);
        frame[item::OK_SUM] = frame[item::OK] * ok_mean;
        frame[item::REFUSED_SUM] = frame[item::REFUSED] * 0.5 * usual_mean;
        frame[item::FAILED_SUM] = frame[item::FAILED] * error_s * mean_factor(FAILING);
        frame[item::IN_FLIGHT] =
            frame[item::OK_SUM] + frame[item::REFUSED_SUM] + frame[item::FAILED_SUM];
        frame[item::ONE] = 1.0;
        if plan.name == CHECKOUT {
            let stay = 1.0 - ABANDONED * felt.slow_share;
            frame[item::ORDERS] = frame[item::OK] * PLACED * stay;
            frame[item::REVENUE] = frame[item::ORDERS] * BASKET_EUR * (1.0 + 0.04 * wobble(6));
        }

        let direct = self.direct(plan.name, at);
        let query_median = self.pool((s, at), rate, &direct, query_factor, &mut frame);
        let cpu_factor = direct.iter().fold(1.0, |f, (e, x)| f * (1.0 + (e.cpu - 1.0) * x));
        let replicas = f64::from(self.replicas(s, at));
        frame[item::CPU] = rate * plan.cpu_s * cpu_factor * (1.0 + 0.05 * wobble(4))
            + 0.015 * replicas * (1.0 + fresh);
        frame[item::THROTTLED] = direct.iter().map(|(e, x)| e.starved * x).sum::<f64>()
            * frame[item::CPU]
            + 0.002 * (1.0 + wobble(5));
        frame[item::MEMORY] = self.memory(s, at);
        frame[item::MEMORY_LIMIT] = plan.memory_limit;
        frame[item::REPLICAS] = replicas;
        frame[item::AVAILABLE] = replicas - dying.ceil();
        frame[item::RESTARTS] = deaths;

        if with_buckets {
            for (i, bound) in BOUNDS.iter().enumerate() {
                let usual = below(*bound, median, USUAL);
                let slow = below(*bound, felt.slow_s + median, SLOW);
                let ok = usual + felt.slow_share * (slow - usual);
                frame[item::OK_BUCKET + i] = frame[item::OK] * ok;
                frame[item::REFUSED_BUCKET + i] =
                    frame[item::REFUSED] * below(*bound, 0.5 * median, USUAL);
                frame[item::FAILED_BUCKET + i] =
                    frame[item::FAILED] * below(*bound, error_s, FAILING);
                frame[item::QUERY_BUCKET + i] =
                    frame[item::QUERIES] * below(*bound, query_median, QUERY);
            }
            for (bucket, total) in [
                (item::OK_BUCKET, item::OK),
                (item::REFUSED_BUCKET, item::REFUSED),
                (item::FAILED_BUCKET, item::FAILED),
                (item::QUERY_BUCKET, item::QUERIES),
            ] {
                frame[bucket + BOUNDS.len()] = frame[total];
            }
        }
        frame
    }

    /// Fills in pool and queries; gives the median of one query in seconds.
    fn pool(
        &self,
        (s, at): (usize, Time),
        rate: f64,
        direct: &[(&Effect, f64)],
        query_factor: f64,
        frame: &mut Frame,
    ) -> f64 {
        let Some((name, queries, size)) = SERVICES[s].database else { return 0.0 };
        let base = DATABASES.iter().find(|d| d.name == name).map_or(0.0, |d| d.query_s);
        let stream = ((s as u64 + 1) << 16) + 7;
        let wobble = noise(self.seed, stream, at);
        let median = base * query_factor * (1.0 + 0.07 * wobble);
        let traffic = rhythm::traffic(at);
        let slowed = (query_factor - 1.0).max(0.0) * 0.05;
        let usual = size * (0.14 + 0.13 * traffic + slowed + 0.05 * wobble);
        let wanted = direct.iter().map(|(e, x)| e.pool.max(0.0) * x).sum::<f64>() * size + usual;
        let lost = direct.iter().map(|(e, x)| (-e.pool).max(0.0) * x).sum::<f64>();
        let used = wanted.min(size) * (1.0 - lost.min(1.0));
        let pending = (wanted - size).max(0.0) + lost * 1.6 * size;
        let answered = (1.0 - lost).max(0.02);
        frame[item::QUERIES] = rate * queries * answered;
        frame[item::QUERIES_SUM] = frame[item::QUERIES] * median * mean_factor(QUERY);
        frame[item::POOL_USED] = used.round();
        frame[item::POOL_MAX] = size;
        frame[item::POOL_IDLE] = (size * (1.0 - lost.min(1.0)) - used).max(0.0).round();
        frame[item::POOL_PENDING] = pending.round();
        frame[item::POOL_TIMEOUTS] = if pending > 1.0 { frame[item::FAILED] } else { 0.0 };
        median
    }

    /// Factor on the query time that a service sees: its own queries' and its database's.
    pub(in crate::demo) fn query_factor(&self, s: usize, at: Time) -> f64 {
        let plan = &SERVICES[s];
        let Some((database, _, _)) = plan.database else { return 1.0 };
        let mut factor = 1.0;
        if database == "catalog-db" {
            factor += 0.45 * rhythm::nightly_batch(at);
        }
        for episode in self.near(at) {
            let strength = episode.strength(at);
            for effect in &episode.scenario.effect {
                if effect.on == plan.name || effect.on == database {
                    factor *= 1.0 + (effect.query - 1.0) * strength;
                }
            }
        }
        factor
    }

    /// Direct effects on an entity by name, each with its present strength.
    fn direct(&self, name: &str, at: Time) -> Vec<(&'static Effect, f64)> {
        self.near(at)
            .flat_map(|episode| {
                let scenario = episode.scenario;
                let strength = episode.strength(at);
                scenario.effect.iter().filter(|e| e.on == name).map(move |e| (e, strength))
            })
            .collect()
    }

    /// How much slower a service is because it was deployed within the last minute (0: not).
    fn freshly_deployed(&self, s: usize, at: Time) -> f64 {
        let deploy = self.regular_deploy(at);
        let since_s = at.ms_since(deploy.at) as f64 / 1_000.0;
        if deploy.service != s || !(0.0..75.0).contains(&since_s) {
            return 0.0;
        }
        0.25 * rhythm::ramp(since_s, 0.0, 10.0) * (1.0 - rhythm::ramp(since_s, 40.0, 75.0))
    }

    /// Memory of one instance in bytes: a base, load, the saw of the collector, and leaks.
    fn memory(&self, s: usize, at: Time) -> f64 {
        let plan = &SERVICES[s];
        let stream = ((s as u64 + 1) << 16) + 9;
        let period_ms = 300_000 + 20_000 * s as i64;
        let saw = at.ms().rem_euclid(period_ms) as f64 / period_ms as f64;
        let usual = plan.memory
            * (0.95
                + 0.05 * rhythm::traffic(at)
                + 0.06 * saw
                + 0.015 * noise(self.seed, stream, at));
        let leaked: f64 = self.near(at).map(|e| self.leaked(s, e, at).0).sum();
        (usual + leaked).min(plan.memory_limit)
    }

    /// Bytes that an episode has leaked in an instance since it last started, how many times the
    /// instance was killed for it, and how far it is being restarted (0 to 1).
    fn leaked(&self, s: usize, episode: &Episode, at: Time) -> (f64, f64, f64) {
        let plan = &SERVICES[s];
        let leak: f64 =
            episode.scenario.effect.iter().filter(|e| e.on == plan.name).map(|e| e.leak).sum();
        if leak <= 0.0 || at < episode.from {
            return (0.0, 0.0, 0.0);
        }
        let room = plan.memory_limit - 1.06 * plan.memory;
        let life = room / leak;
        let until = at.min(episode.until);
        let (mut deaths, mut age) = (0.0, 0.0);
        // A restart gives back what was leaked; the leak itself goes on.
        let mut since = episode.from;
        for end in self.restarts(s, episode.from, until).chain([until]) {
            let hours = end.ms_since(since) as f64 / 3_600_000.0;
            let died = (hours / life).floor();
            deaths += died;
            age = hours - died * life;
            since = end;
        }
        let dying =
            if deaths > 0.0 && age * 3_600.0 < 40.0 && at < episode.until { 1.0 } else { 0.0 };
        // Instances are replaced within seconds of a fix: what they held is gone at once.
        let gone = at.ms_since(episode.until) > (episode.scenario.onset.relief_s * 1_000.0) as i64;
        (if gone { 0.0 } else { age * leak }, deaths, dying)
    }

    /// Times that instances of a service were killed for want of memory up to a time, and how
    /// far one is being restarted.
    fn out_of_memory(&self, s: usize, at: Time) -> (f64, f64) {
        self.episodes.iter().fold((0.0, 0.0), |(deaths, dying), episode| {
            let (_, n, now) = self.leaked(s, episode, at);
            (deaths + n, f64::max(dying, now))
        })
    }

    fn node_frame(&self, n: usize, at: Time) -> Frame {
        let mut frame = [0.0; N_ITEMS];
        let stream = (n as u64 + 101) << 16;
        let wobble = |k: u64| noise(self.seed, stream + k, at);
        let traffic = rhythm::traffic(at);
        let mut wanted = 0.35 + 0.08 * wobble(0);
        let mut memory = 1.6e9;
        for (s, plan) in SERVICES.iter().enumerate() {
            let here = (0..plan.replicas).filter(|r| self.node_of(s, *r, at) == n).count() as f64;
            let share = here / plan.replicas as f64;
            wanted += plan.rate * traffic * plan.cpu_s * share;
            memory += here * plan.memory * 1.03;
        }
        if n == 3 {
            wanted += 1.1 * rhythm::nightly_batch(at);
        }
        wanted += self.direct(NODES[n], at).iter().map(|(e, x)| e.cores * x).sum::<f64>();
        wanted *= 1.0 + 0.06 * wobble(1);
        let cores = CORES as f64;
        let busy = wanted.min(0.985 * cores) / cores;
        let iowait = 0.008 * (1.0 + wobble(2)) * (1.0 - busy);
        frame[item::USER] = busy * 0.82;
        frame[item::SYSTEM] = busy * 0.18;
        frame[item::IOWAIT] = iowait;
        frame[item::IDLE] = 1.0 - busy - iowait;
        frame[item::LOAD] = wanted * 1.08;
        frame[item::NODE_MEMORY] = 17_179_869_184.0;
        frame[item::NODE_AVAILABLE] = 17_179_869_184.0 - memory * (1.0 + 0.01 * wobble(3)) * 1.4;
        frame[item::DISK] = 107_374_182_400.0;
        frame[item::DISK_FREE] = 61_203_283_968.0 + 4.0e8 * wobble(4);
        frame[item::RECEIVED] = 4.2e6 * traffic * (1.0 + 0.1 * wobble(5));
        frame[item::ONE] = 1.0;
        frame
    }

    fn database_frame(&self, d: usize, at: Time) -> Frame {
        let mut frame = [0.0; N_ITEMS];
        let database = &DATABASES[d];
        let mut active = 0.0;
        let mut idle = 3.0;
        // Counting stock reads whole tables, every night.
        let counting =
            if database.name == "catalog-db" { 4_000.0 * rhythm::nightly_batch(at) } else { 0.0 };
        for (s, plan) in SERVICES.iter().enumerate() {
            if plan.database.is_some_and(|(name, _, _)| name == database.name) {
                let service = self.service_frame(s, at, false);
                let replicas = service[item::REPLICAS];
                active += service[item::POOL_USED] * replicas;
                idle += service[item::POOL_IDLE] * replicas;
                frame[item::COMMITS] += service[item::QUERIES];
                let direct = self.direct(plan.name, at);
                let more: f64 = direct.iter().map(|(e, x)| e.scans * x).sum();
                frame[item::SCANNED] += service[item::QUERIES] * (40.0 + counting + more);
            }
        }
        frame[item::ACTIVE] = active;
        frame[item::IDLE_CONNECTIONS] = idle;
        frame[item::MAX_CONNECTIONS] = database.max_connections;
        frame[item::ONE] = 1.0;
        frame
    }
}
