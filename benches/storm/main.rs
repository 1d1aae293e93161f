//! A storm of alerts to the running bot: a made-up site of 94 services, twelve faults that spread to
//! callers, strays and repeats, posted as Alertmanager's webhooks at the pace of the clock.
//! `STORM_ALERTS` (50,000), `STORM_SECONDS` (300), `STORM_SEED` (1), `STORM_CLUSTERS` (3; each a copy
//! of the site) and `STORM_GRAPH` (`grouped`, or `dense`) make it another. `STORM_INTO` names a folder
//! for the storm as files that `nightjar correlate` reads, with what is true of it and, after the bot
//! has had it, what was stored; with `STORM_RUN` at 0 it is only written.

mod judge;
mod site;

use std::collections::{BTreeMap, HashMap};
use std::io::{BufWriter, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::{Arc, Mutex, mpsc};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use serde_json::{Value, json};
use site::{Draws, Shape, Site, Storm};

/// Alerts of one webhook.
const AT_ONCE: usize = 64;
/// How long the bot is left alone after the last alert, before what it stored is read.
const SETTLES: Duration = Duration::from_secs(20);
/// What was refused is posted again after this, then after half as long again each time, as
/// Alertmanager does; for so long.
const BACKS_OFF: Duration = Duration::from_millis(500);
const GIVES_UP: Duration = Duration::from_secs(120);
/// When a storm that is only written begins (Unix ms).
const WRITTEN_AT: i64 = 1_760_000_000_000;

type Outcome<T> = Result<T, Box<dyn std::error::Error + Send + Sync>>;

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
    let (n, ms) = (setting("STORM_ALERTS", 50_000), setting("STORM_SECONDS", 300) * 1_000);
    let mut draws = Draws(setting("STORM_SEED", 1) as u64);
    let shape = match std::env::var("STORM_GRAPH").as_deref() {
        Ok("dense") => Shape::Dense,
        _ => Shape::Grouped,
    };
    let site = Site::drawn(shape, setting("STORM_CLUSTERS", 3).max(1), &mut draws);
    let storm = Storm::drawn(site, n, ms, &mut draws);
    let (site, all) = (&storm.site, &storm.conditions);
    println!(
        "{} services in {} clusters; one calls the other in {:.1} % of pairs of them, within three \
         calls in {:.1} %",
        site.names.len(),
        site.clusters,
        100.0 * site.reached(site.names.len()),
        100.0 * site.reached(3)
    );
    let (undecided, passed) = storm.undecided();
    println!(
        "{passed} places that a fault passed on to; at {undecided} of them two faults could be it, by \
         calls and time"
    );
    let known: HashMap<usize, String> = storm.likeliest().into_iter().collect();
    let (f1, found) = judge::told_apart(all, &known);
    println!("who knows roots, lags and calls finds {found:.3} of the faults; F1 {f1:.3}");
    let into = std::env::var_os("STORM_INTO").map(std::path::PathBuf::from);
    if let Some(into) = &into {
        written(&storm, into)?;
    }
    if setting("STORM_RUN", 1) == 0 {
        return Ok(());
    }

    let folder = tempfile::tempdir()?;
    let addr = TcpListener::bind("127.0.0.1:0")?.local_addr()?.to_string();
    let data = folder.path().join("data");
    let mut config =
        format!("data_dir = \"{}\"\n[web]\nbind = {addr:?}\n[graph.calls]\n", data.display());
    for (caller, callees) in site.names.iter().zip(&site.calls).filter(|(_, c)| !c.is_empty()) {
        let names: Vec<&String> = callees.iter().map(|c| &site.names[*c]).collect();
        config.push_str(&format!("{caller} = {names:?}\n"));
    }
    std::fs::write(folder.path().join("nightjar.toml"), config)?;
    let mut bot = Command::new(env!("CARGO_BIN_EXE_nightjar"))
        .args(["run", "--config", "nightjar.toml"])
        .current_dir(folder.path())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()?;
    let posted = posted(&addr, &storm);
    rest(SETTLES);
    let (seconds, peak) = used(bot.id());
    bot.kill()?;
    bot.wait()?;
    let posted = posted?;
    println!("{} alerts of {} conditions in {} s", storm.told.len(), all.len(), ms / 1_000);
    println!("webhooks refused and posted again: {}; never taken: {}", posted.again, posted.lost);
    let waits = [("answered, by themselves", posted.served), ("taken, since due", posted.taken)];
    for (what, mut waits) in waits {
        waits.sort_unstable();
        let at = |share: f64| judge::quantile(&waits, share).unwrap_or_default();
        let (p50, p99, max) = (at(0.5), at(0.99), at(1.0));
        println!("{} webhooks {what}: p50 {p50:?}, p99 {p99:?}, max {max:?}", waits.len());
    }
    println!("the bot: {seconds:.1} s of processor time, {peak:.0} MB at the most");
    let held = judge::judged(&data, &storm, &posted.first)?;
    if let Some(into) = &into {
        let mut rows: Vec<String> =
            held.iter().map(|(i, incident)| format!("c{i:05},{incident}\n")).collect();
        rows.sort_unstable();
        std::fs::write(
            into.join("stored.csv"),
            format!("event_id,incident_id\n{}", rows.concat()),
        )?;
    }
    Ok(())
}

/// What is posted of what was told at these, each with a group: alerts of one name.
fn webhooks(storm: &Storm, due: &[(usize, usize)], base: i64) -> Outcome<Vec<String>> {
    let mut groups: BTreeMap<(&str, usize), Vec<Value>> = BTreeMap::new();
    for (_, i) in due {
        let c = &storm.conditions[*i];
        // Repeats of a condition speak of the same beginning, as Alertmanager's do.
        let starts = jiff::Timestamp::from_millisecond(base + c.at as i64)?;
        groups.entry((c.name, c.cluster)).or_default().push(json!({
            "status": "firing", "startsAt": starts.to_string(), "endsAt": "0001-01-01T00:00:00Z",
            "labels": {"alertname": c.name, "service": storm.site.names[c.service],
                       "cluster": format!("c{}", c.cluster), "pod": c.pod, "severity": "critical"},
            "annotations": {"summary": format!("{} on {}", c.name, c.pod),
                            "event_id": format!("c{i:05}")},
        }));
    }
    let mut all = Vec::new();
    for ((name, cluster), alerts) in groups {
        for some in alerts.chunks(AT_ONCE) {
            let body = json!({"version": "4", "groupKey": format!("{name} c{cluster}"),
                "status": "firing", "receiver": "nightjar", "alerts": some});
            all.push(body.to_string());
        }
    }
    Ok(all)
}

/// What is told in each second, with when it is due (ms).
fn by_second(storm: &Storm) -> impl Iterator<Item = (usize, &[(usize, usize)])> {
    storm.told.chunk_by(|a, b| a.0 / 1_000 == b.0 / 1_000).map(|due| {
        let second = due.first().map_or(0, |(at, _)| at / 1_000);
        ((second + 1) * 1_000, due)
    })
}

/// Writes the storm as files.
fn written(storm: &Storm, into: &Path) -> Outcome<()> {
    std::fs::create_dir_all(into.join("truth"))?;
    let open = |name: &str| std::fs::File::create(into.join(name)).map(BufWriter::new);
    let (mut alerts, mut arrivals) = (open("alerts.ndjson")?, open("arrivals.csv")?);
    writeln!(arrivals, "line,received_at_ms")?;
    let mut line = 0;
    for (at, due) in by_second(storm) {
        for body in webhooks(storm, due, WRITTEN_AT)? {
            writeln!(alerts, "{body}")?;
            writeln!(arrivals, "{line},{}", WRITTEN_AT + at as i64)?;
            line += 1;
        }
    }
    let (names, calls) = (&storm.site.names, &storm.site.calls);
    let services: Vec<Value> = names.iter().map(|name| json!({"name": name})).collect();
    let edges = names.iter().zip(calls);
    let edges = edges.flat_map(|(name, to)| to.iter().map(move |to| (name, &names[*to])));
    let edges: Vec<(&String, &String)> = edges.collect();
    writeln!(open("topology.json")?, "{}", json!({"services": services, "edges": edges}))?;
    let mut truth = open("truth/truth.csv")?;
    writeln!(truth, "event_id,incident_id,kind,series_id")?;
    for (i, c) in storm.conditions.iter().enumerate() {
        match c.fault {
            Some(fault) => writeln!(truth, "c{i:05},F{fault:02},incident,s{i}")?,
            None => writeln!(truth, "c{i:05},stray{i},noise,s{i}")?,
        }
    }
    Ok(())
}

/// How the posting went.
#[derive(Default)]
struct Posted {
    /// How long each answer took by itself, and from when its webhook was due.
    served: Vec<Duration>,
    taken: Vec<Duration>,
    again: usize,
    lost: usize,
    /// When each condition was first posted (Unix ms).
    first: HashMap<usize, i64>,
}

/// Posts what comes until it is taken.
fn worker(addr: &str, bodies: &Mutex<mpsc::Receiver<(Instant, String)>>) -> Outcome<Posted> {
    let mut posted = Posted::default();
    loop {
        let next = bodies.lock().map_err(|_| "a worker ended")?.recv();
        let Ok((due, body)) = next else { return Ok(posted) };
        let mut pause = BACKS_OFF;
        loop {
            let asked = Instant::now();
            let answer = post(addr, &body);
            posted.served.push(asked.elapsed());
            match answer {
                Ok(200..=299) => {
                    posted.taken.push(due.elapsed());
                    break;
                }
                _ if due.elapsed() > GIVES_UP => {
                    posted.lost += 1;
                    break;
                }
                _ => posted.again += 1,
            }
            rest(pause);
            pause = pause.mul_f64(1.5);
        }
    }
}

/// Posts everything at its time.
fn posted(addr: &str, storm: &Storm) -> Outcome<Posted> {
    let until = Instant::now() + Duration::from_secs(30);
    while TcpStream::connect(addr).is_err() {
        if Instant::now() > until {
            return Err("the bot does not listen".into());
        }
        rest(Duration::from_millis(100));
    }
    let (begun, base) = (Instant::now(), now_ms());
    let (sender, receiver) = mpsc::channel::<(Instant, String)>();
    let receiver = Arc::new(Mutex::new(receiver));
    let workers: Vec<_> = (0..16)
        .map(|_| {
            let (receiver, addr) = (Arc::clone(&receiver), addr.to_owned());
            std::thread::spawn(move || worker(&addr, &receiver))
        })
        .collect();
    let mut all = Posted::default();
    for (at, due) in by_second(storm) {
        let due_at = begun + Duration::from_millis(at as u64);
        rest(due_at.saturating_duration_since(Instant::now()));
        for (_, i) in due {
            all.first.entry(*i).or_insert_with(|| base + at as i64);
        }
        for body in webhooks(storm, due, base)? {
            sender.send((due_at, body))?;
        }
    }
    drop(sender);
    for worker in workers {
        let one = worker.join().map_err(|_| "a worker panicked")??;
        all.served.extend(one.served);
        all.taken.extend(one.taken);
        all.again += one.again;
        all.lost += one.lost;
    }
    Ok(all)
}
