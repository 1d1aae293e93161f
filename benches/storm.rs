//! A storm of alerts to the running bot: a made-up site of 94 services, twelve faults that spread to
//! callers, strays and repeats, posted as Alertmanager's webhooks at the pace of the clock.
//! `STORM_ALERTS` (50,000), `STORM_SECONDS` (300) and `STORM_SEED` (1) make it another.

use std::collections::{BTreeMap, HashMap};
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::process::{Command, Stdio};
use std::sync::{Arc, Mutex, mpsc};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use serde_json::{Value, json};

const SERVICES: usize = 94;
const FAULTS: usize = 12;
const STRAYS: usize = 300;
/// Alerts of one webhook.
const AT_ONCE: usize = 64;
/// How long the bot is left alone after the last alert, before what it stored is read.
const SETTLES: Duration = Duration::from_secs(20);

type Outcome<T> = Result<T, Box<dyn std::error::Error + Send + Sync>>;

/// Draws (splitmix64).
struct Draws(u64);

impl Draws {
    fn below(&mut self, n: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut x = self.0;
        x = (x ^ (x >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        x = (x ^ (x >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((x ^ (x >> 31)) % n as u64) as usize
    }
}

/// A condition: when it begins (ms from the start), which fault it is of, name, service and pod.
struct Condition {
    at: usize,
    fault: Option<usize>,
    name: &'static str,
    service: usize,
    pod: String,
}

/// What each service calls: some with greater numbers.
fn calls(draws: &mut Draws) -> Vec<Vec<usize>> {
    let mut all = vec![Vec::new(); SERVICES];
    for (n, callees) in all.iter_mut().enumerate().take(SERVICES - 1) {
        for _ in 0..=draws.below(2) {
            callees.push(n + 1 + draws.below((SERVICES - n - 1).min(20)));
        }
        callees.sort_unstable();
        callees.dedup();
    }
    all
}

fn conditions(calls: &[Vec<usize>], n: usize, ms: usize, draws: &mut Draws) -> Vec<Condition> {
    const NAMES: [&str; 4] = ["HighErrorRate", "HighLatencyP99", "PodNotReady", "HighSaturation"];
    const STRAY: [&str; 3] = ["DiskFillingUp", "CertExpiry", "CPUThrottling"];
    let mut told = [false; SERVICES];
    let mut all = Vec::new();
    let pods = (n / 1_000).max(2);
    for fault in 0..FAULTS {
        let begins = draws.below(ms * 55 / 100);
        let mut reached = vec![(20 + draws.below(SERVICES - 20), begins, 0)];
        while let Some((service, at, far)) = reached.pop() {
            if std::mem::replace(&mut told[service], true) {
                continue;
            }
            for pod in 0..pods / 2 + draws.below(pods) {
                for name in &NAMES[..if far == 0 { 4 } else { 3 }] {
                    let (at, pod) = (at + draws.below(12_000), format!("s{service}-{pod}"));
                    all.push(Condition { at, fault: Some(fault), name, service, pod });
                }
            }
            for (caller, callees) in calls.iter().enumerate() {
                if far < 3 && callees.contains(&service) && draws.below(4) > 0 {
                    reached.push((caller, at + 5_000 + draws.below(20_000), far + 1));
                }
            }
        }
    }
    for stray in 0..STRAYS.min(n / 20) {
        let (name, service) = (STRAY[draws.below(3)], draws.below(SERVICES));
        let pod = format!("s{service}-x{stray}");
        all.push(Condition { at: draws.below(ms), fault: None, name, service, pod });
    }
    all.retain(|c| c.at < ms);
    all
}

/// One request; how the bot answered (status).
fn post(addr: &str, body: &str) -> Outcome<u16> {
    let mut stream = TcpStream::connect(addr)?;
    stream.set_read_timeout(Some(Duration::from_secs(90)))?;
    write!(
        stream,
        "POST /ingest/alertmanager HTTP/1.1\r\nHost: {addr}\r\nConnection: close\r\n\
         Content-Type: application/json\r\nContent-Length: {}\r\n\r\n{body}",
        body.len()
    )?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer)?;
    Ok(answer.split(' ').nth(1).and_then(|s| s.parse().ok()).unwrap_or(0))
}

#[expect(clippy::disallowed_methods, reason = "a storm goes by the clock")]
fn now_ms() -> i64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |d| d.as_millis() as i64)
}

#[expect(clippy::disallowed_methods, reason = "who runs the bench sets its size")]
fn setting(name: &str, usual: usize) -> usize {
    std::env::var(name).ok().and_then(|text| text.parse().ok()).unwrap_or(usual)
}

#[expect(clippy::disallowed_methods, reason = "a thread of its own, with nothing else to do")]
fn rest(how_long: Duration) {
    std::thread::sleep(how_long);
}

/// Processor time (s) and peak of memory (MB) of a process (Linux, 100 ticks a second).
fn used(pid: u32) -> (f64, f64) {
    let read = |file: &str| std::fs::read_to_string(format!("/proc/{pid}/{file}"));
    let stat = read("stat").unwrap_or_default();
    let fields: Vec<f64> = stat
        .rsplit(')')
        .next()
        .into_iter()
        .flat_map(|rest| rest.split_whitespace().skip(1))
        .map(|field| field.parse().unwrap_or(0.0))
        .collect();
    let status = read("status").unwrap_or_default();
    let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    let kb = peak.and_then(|p| p.split_whitespace().next()?.parse::<f64>().ok());
    let ticks = fields.get(10).zip(fields.get(11)).map_or(f64::NAN, |(u, s)| u + s);
    (ticks / 100.0, kb.unwrap_or(f64::NAN) / 1_024.0)
}

#[expect(clippy::disallowed_methods, reason = "the real bot is what is measured")]
fn main() -> Outcome<()> {
    let n = setting("STORM_ALERTS", 50_000);
    let ms = setting("STORM_SECONDS", 300) * 1_000;
    let mut draws = Draws(setting("STORM_SEED", 1) as u64);
    let calls = calls(&mut draws);
    let all = conditions(&calls, n, ms, &mut draws);
    let mut told: Vec<(usize, usize)> = all.iter().enumerate().map(|(i, c)| (c.at, i)).collect();
    while told.len() < n {
        let i = draws.below(all.len());
        told.push(((all[i].at + 5_000 + draws.below(115_000)).min(ms - 1), i));
    }
    told.sort_unstable();

    let folder = tempfile::tempdir()?;
    let addr = TcpListener::bind("127.0.0.1:0")?.local_addr()?.to_string();
    let data = folder.path().join("data");
    let mut config =
        format!("data_dir = \"{}\"\n[web]\nbind = {addr:?}\n[graph.calls]\n", data.display());
    for (caller, callees) in calls.iter().enumerate().filter(|(_, c)| !c.is_empty()) {
        let names: Vec<String> = callees.iter().map(|c| format!("s{c}")).collect();
        config.push_str(&format!("s{caller} = {names:?}\n"));
    }
    std::fs::write(folder.path().join("nightjar.toml"), config)?;
    let mut bot = Command::new(env!("CARGO_BIN_EXE_nightjar"))
        .args(["run", "--config", "nightjar.toml"])
        .current_dir(folder.path())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()?;
    let measured = storm(&addr, &all, &told, ms);
    rest(SETTLES);
    let (seconds, peak) = used(bot.id());
    bot.kill()?;
    bot.wait()?;
    let (mut waits, first) = measured?;
    waits.sort_unstable();
    let at = |share: f64| {
        let wait = waits.get((waits.len() as f64 * share) as usize).or(waits.last());
        wait.copied().unwrap_or_default()
    };
    println!("{} alerts of {} conditions in {} s", told.len(), all.len(), ms / 1_000);
    println!(
        "{} webhooks acknowledged: p50 {:?}, p99 {:?}, max {:?}",
        waits.len(),
        at(0.5),
        at(0.99),
        at(1.0)
    );
    println!("the bot: {seconds:.1} s of processor time, {peak:.0} MB at the most");
    judged(&data, &all, &first)
}

type Measured = (Vec<Duration>, HashMap<usize, i64>);

/// Posts everything at its time; how long each took, and when each condition came first (Unix ms).
fn storm(addr: &str, all: &[Condition], told: &[(usize, usize)], ms: usize) -> Outcome<Measured> {
    let until = Instant::now() + Duration::from_secs(30);
    while TcpStream::connect(addr).is_err() {
        if Instant::now() > until {
            return Err("the bot does not listen".into());
        }
        rest(Duration::from_millis(100));
    }
    let (begun, base) = (Instant::now(), now_ms());
    let (sender, receiver) = mpsc::channel::<String>();
    let receiver = Arc::new(Mutex::new(receiver));
    let mut first = HashMap::new();
    let workers: Vec<_> = (0..16)
        .map(|_| {
            let (receiver, addr) = (Arc::clone(&receiver), addr.to_owned());
            std::thread::spawn(move || -> Outcome<(Vec<Duration>, usize)> {
                let (mut waits, mut refused) = (Vec::new(), 0);
                loop {
                    let next = receiver.lock().map_err(|_| "a worker ended")?.recv();
                    let Ok(body) = next else { return Ok((waits, refused)) };
                    let asked = Instant::now();
                    match post(&addr, &body) {
                        Ok(200..=299) => waits.push(asked.elapsed()),
                        _ => refused += 1,
                    }
                }
            })
        })
        .collect();
    let mut left = told;
    for second in 1..=ms / 1_000 {
        let n = left.partition_point(|(at, _)| *at < second * 1_000);
        let (due, later) = left.split_at(n);
        left = later;
        let due_at = begun + Duration::from_secs(second as u64);
        rest(due_at.saturating_duration_since(Instant::now()));
        let mut groups: BTreeMap<&str, Vec<Value>> = BTreeMap::new();
        for &(_, i) in due {
            let c = &all[i];
            first.entry(i).or_insert_with(now_ms);
            // Repeats of a condition speak of the same beginning, as Alertmanager's do.
            let starts = jiff::Timestamp::from_millisecond(base + c.at as i64)?;
            groups.entry(c.name).or_default().push(json!({
                "status": "firing", "startsAt": starts.to_string(), "endsAt": "0001-01-01T00:00:00Z",
                "labels": {"alertname": c.name, "service": format!("s{}", c.service), "pod": c.pod,
                           "severity": "critical"},
                "annotations": {"summary": format!("{} on {}", c.name, c.pod)},
            }));
        }
        for (name, alerts) in groups {
            for some in alerts.chunks(AT_ONCE) {
                let body = json!({"version": "4", "groupKey": name, "status": "firing",
                    "receiver": "nightjar", "alerts": some});
                sender.send(body.to_string())?;
            }
        }
    }
    drop(sender);
    let (mut waits, mut refused) = (Vec::new(), 0);
    for worker in workers {
        let (some, no) = worker.join().map_err(|_| "a worker panicked")??;
        waits.extend(some);
        refused += no;
    }
    println!("webhooks refused: {refused}");
    Ok((waits, first))
}

fn seconds(ms: Option<&i64>) -> f64 {
    ms.map_or(f64::NAN, |ms| *ms as f64 / 1_000.0)
}

/// Prints what is stored against the truth.
fn judged(data: &std::path::Path, all: &[Condition], first: &HashMap<usize, i64>) -> Outcome<()> {
    let by: HashMap<(&str, &str), usize> =
        all.iter().enumerate().map(|(i, c)| ((c.name, c.pod.as_str()), i)).collect();
    let file = std::fs::read_dir(data)?.flatten().map(|f| f.path());
    let file = file
        .into_iter()
        .find(|f| f.extension().is_some_and(|e| e == "db" || e == "sqlite" || e == "sqlite3"));
    let store = rusqlite::Connection::open(file.ok_or("no store in the data folder")?)?;
    let mut held: HashMap<usize, String> = HashMap::new();
    let mut asked = store.prepare("SELECT parent, body FROM record WHERE kind = 'alert'")?;
    let mut rows = asked.query([])?;
    while let Some(row) = rows.next()? {
        let (incident, body) =
            (row.get(0)?, serde_json::from_str::<Value>(&row.get::<_, String>(1)?)?);
        let label = |name: &str| body["labels"][name].as_str().unwrap_or_default();
        if let Some(i) = by.get(&(label("alertname"), label("pod"))) {
            held.insert(*i, incident);
        }
    }
    println!("conditions posted {}, not stored {}", first.len(), first.len() - held.len());
    let mut diagnosed: HashMap<String, i64> = HashMap::new();
    let mut asked = store.prepare(
        "SELECT parent, min(at) FROM record WHERE kind = 'timeline' AND state = 'diagnosis' \
             GROUP BY parent",
    )?;
    let mut rows = asked.query([])?;
    while let Some(row) = rows.next()? {
        diagnosed.insert(row.get(0)?, row.get(1)?);
    }
    let mut opened = store.prepare("SELECT id, at FROM record WHERE kind = 'incident'")?;
    let mut rows = opened.query([])?;
    let (mut n, mut since_opened) = (0, Vec::new());
    while let Some(row) = rows.next()? {
        let (id, at) = (row.get::<_, String>(0)?, row.get::<_, i64>(1)?);
        n += 1;
        since_opened.extend(diagnosed.get(&id).map(|first| first - at));
    }
    since_opened.sort_unstable();
    println!(
        "{n} incidents, {} with a diagnosis; the first after the incident opened: p50 {:.2} s, \
         max {:.2} s",
        since_opened.len(),
        seconds(since_opened.get(since_opened.len() / 2)),
        seconds(since_opened.last())
    );
    // Pairs of conditions in one incident, in one fault, and in both.
    let pairs = |n: &usize| (n * n.saturating_sub(1) / 2) as f64;
    let (mut incidents, mut faults, mut both) = (HashMap::new(), HashMap::new(), HashMap::new());
    for (i, incident) in held.iter().filter(|(_, incident)| !incident.is_empty()) {
        *incidents.entry(incident.as_str()).or_insert(0_usize) += 1;
        if let Some(fault) = all[*i].fault {
            *both.entry((fault, incident.as_str())).or_insert(0_usize) += 1;
        }
    }
    for fault in first.keys().filter_map(|i| all[*i].fault) {
        *faults.entry(fault).or_insert(0_usize) += 1;
    }
    let sum = |n: f64, of: f64| if of > 0.0 { n / of } else { 0.0 };
    let shared: f64 = both.values().map(pairs).sum();
    let precision = sum(shared, incidents.values().map(pairs).sum());
    let recall = sum(shared, faults.values().map(pairs).sum());
    let mut delays = Vec::new();
    let mut found = 0;
    for (fault, n) in &faults {
        let most = both.iter().filter(|((f, _), _)| f == fault).max_by_key(|(_, n)| **n);
        let Some(((_, incident), m)) = most else { continue };
        if m * 2 >= *n && m * 2 >= incidents[incident] {
            found += 1;
            let came = first.iter().filter(|(i, _)| all[**i].fault == Some(*fault));
            let came = came.map(|(_, at)| *at).min().unwrap_or(0);
            delays.extend(diagnosed.get(*incident).map(|at| at - came));
        }
    }
    delays.sort_unstable();
    println!(
        "faults found {found} of {}; pairwise F1 {:.3} over conditions",
        faults.len(),
        sum(2.0 * precision * recall, precision + recall)
    );
    println!(
        "first diagnosis told in the timeline of {} of these, after the fault's first alert: \
         p50 {:.1} s, max {:.1} s",
        delays.len(),
        seconds(delays.get(delays.len() / 2)),
        seconds(delays.last())
    );
    Ok(())
}
