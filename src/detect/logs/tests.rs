//! Each kind of change on a made-up log where it, and no other, fires; and quiet ones.

use super::*;
use crate::model::time::{DAY_MS, HOUR_MS};
use crate::model::{Labels, Level};
use crate::stats::draw;

fn start() -> Time {
    Time::parse("2026-11-02T00:00:00Z").expect("valid")
}

/// A log that is written second by second and judged every five.
struct Writer {
    logs: Logs,
    config: LogConfig,
    at: Time,
    said: Vec<Anomaly>,
    version: &'static str,
    batch: Vec<LogLine>,
}

impl Writer {
    fn new() -> Self {
        let (logs, config) = (Logs::default(), LogConfig::default());
        Self { logs, config, at: start(), said: Vec::new(), version: "1", batch: Vec::new() }
    }

    fn write(&mut self, level: Level, body: String) {
        let attributes = Labels::default().with("service.version", self.version);
        let trace_id = Some(format!("{:032x}", self.at.ms()));
        let (entity, at) = (EntityRef::service("cart"), self.at);
        self.batch.push(LogLine { at, entity, level, body, trace_id, attributes });
    }

    /// Usual lines: `rate` requests a second in three wordings, a heartbeat every ten seconds, and
    /// one request in a hundred that fails.
    fn usual(&mut self, rate: f64) {
        let second = self.at.ms() / 1_000;
        for n in 0..8_u64 {
            if draw(second.unsigned_abs(), n) * 8.0 >= rate {
                continue;
            }
            let (ms, kind) = (
                (draw(second.unsigned_abs(), 40 + n) * 90.0) as u32,
                draw(second.unsigned_abs(), 80 + n),
            );
            let text = match kind {
                k if k < 0.6 => format!("GET /cart/{second} took {ms} ms"),
                k if k < 0.9 => format!("cart {second} stored in {ms} ms"),
                k if k < 0.99 => format!("price of item {ms} fetched from cache"),
                _ => {
                    let text = format!("payment {second} declined by bank with code {ms}");
                    self.write(Level::Error, text);
                    continue;
                }
            };
            self.write(Level::Info, text);
        }
        if second % 10 == 0 {
            self.write(Level::Info, format!("outbox swept, {second} entries left"));
        }
    }

    /// Writes with `each` for so many seconds; gives what was said meanwhile.
    fn run(&mut self, seconds: i64, mut each: impl FnMut(&mut Self)) -> Vec<Anomaly> {
        for _ in 0..seconds {
            each(self);
            if self.at.ms() / 1_000 % 5 == 4 {
                let (batch, now) = (std::mem::take(&mut self.batch), self.at.plus_ms(1_000));
                self.logs.observe(&self.config, &batch, now, false, &mut self.said);
            }
            self.at = self.at.plus_ms(1_000);
        }
        std::mem::take(&mut self.said)
    }

    /// One that has written as usual for three hours.
    fn taught() -> Self {
        Self::taught_for(3)
    }

    fn taught_for(hours: i64) -> Self {
        let mut writer = Self::new();
        let said = writer.run(hours * 3_600, |w| w.usual(4.0));
        assert_eq!(said, [], "it is quiet");
        writer
    }
}

fn kinds(said: &[Anomaly]) -> Vec<(&str, bool)> {
    said.iter().map(|a| (a.detector.as_str(), a.until.is_some())).collect()
}

#[test]
fn a_day_with_its_rhythm_and_a_new_info_line_is_quiet() {
    let mut writer = Writer::new();
    let said = writer.run(DAY_MS / 1_000, |w| {
        let day = w.at.ms() as f64 / DAY_MS as f64 * std::f64::consts::TAU;
        w.usual(3.0 + 2.5 * day.sin());
    });
    assert_eq!(said, []);
    let said = writer.run(600, |w| {
        w.usual(4.0);
        w.write(Level::Info, "an index was built in the background".into());
    });
    assert_eq!(said, [], "new lines below error raise nothing");
}

#[test]
fn a_new_error_is_told_once_with_an_example_and_ends() {
    let mut writer = Writer::taught();
    let said = writer.run(20, |w| {
        w.usual(4.0);
        w.write(Level::Error, format!("no free connection after {} ms", w.at.ms() % 977));
    });
    assert_eq!(kinds(&said), [("log-new/1", false)]);
    assert!(said[0].why.contains("no free connection after <*>"), "{}", said[0].why);
    assert!(said[0].why.contains("(for example in trace 0000"), "{}", said[0].why);
    let said = writer.run(600, |w| w.usual(4.0));
    assert_eq!(kinds(&said), [("log-new/1", true)]);
}

#[test]
fn a_burst_of_a_known_error_is_told_unless_traffic_explains_it() {
    let mut writer = Writer::taught();
    let said = writer.run(120, |w| {
        w.usual(4.0);
        w.write(Level::Error, format!("payment {} declined by bank with code 7", w.at.ms()));
    });
    assert!(said.iter().all(|a| a.detector == "log-burst/1"), "{:?}", kinds(&said));
    assert!(!said.is_empty());
    // Ten times the traffic with ten times the errors.
    let mut writer = Writer::taught();
    let said = writer.run(300, |w| (0..10).for_each(|_| w.usual(4.0)));
    assert_eq!(said, []);
}

#[test]
fn an_error_that_slowly_becomes_a_larger_part_is_told() {
    let mut writer = Writer::taught();
    let said = writer.run(2_400, |w| {
        w.usual(4.0);
        if w.at.ms() / 1_000 % 5 == 3 {
            w.write(Level::Error, format!("payment {} declined by bank with code 7", w.at.ms()));
        }
    });
    assert_eq!(kinds(&said), [("log-rate/1", false)], "{said:?}");
    assert!(said[0].why.contains("are this error, usually 0.9"), "{}", said[0].why);
    let said = writer.run(2_400, |w| w.usual(4.0));
    assert_eq!(kinds(&said), [("log-rate/1", true)]);
}

#[test]
fn a_heartbeat_that_stops_is_told_and_ends_when_it_is_back() {
    let beat = |w: &mut Writer| {
        if w.at.ms() / 1_000 % 10 != 0 {
            w.usual(4.0);
        } else {
            w.write(Level::Info, "GET /cart/1 took 4 ms".into());
        }
    };
    let mut writer = Writer::taught_for(7);
    let stopped = writer.at;
    let said = writer.run(900, beat);
    assert_eq!(kinds(&said), [("log-vanished/1", false)]);
    assert!(said[0].at.ms_since(stopped) < 240_000 && said[0].since <= stopped);
    assert_eq!(
        said[0].why,
        "cart wrote this line every 10 s and has not since 06:59:50 UTC, while it goes on writing \
         others: outbox swept, <*> entries left"
    );
    let said = writer.run(60, |w| w.usual(4.0));
    assert_eq!(kinds(&said), [("log-vanished/1", true)]);
    // All of it silent says nothing of one template.
    let mut writer = Writer::taught_for(7);
    assert_eq!(writer.run(1_800, |_| ()), []);
    // What comes while a job runs, or while something fails, stops when that is over.
    for level in [Level::Info, Level::Warn, Level::Error] {
        let mut writer = Writer::taught_for(7);
        let said = writer.run(3_600, |w| {
            w.usual(4.0);
            w.write(level, format!("chunk {} of the export is slow", w.at.ms()));
        });
        let new = |said: &[Anomaly]| said.iter().any(|a| a.detector == "log-vanished/1");
        assert!(!new(&said) && !new(&writer.run(3_600, |w| w.usual(4.0))), "{level:?}");
    }
    // A new version may do without.
    let mut writer = Writer::taught_for(7);
    writer.version = "2";
    assert_eq!(writer.run(900, beat), []);
}

#[test]
fn another_mixture_is_told_and_ends() {
    let mut writer = Writer::taught();
    let said = writer.run(1_500, |w| {
        w.usual(4.0);
        for n in 0..3 {
            w.write(Level::Warn, format!("price of item {n} fetched from cache"));
        }
    });
    assert_eq!(kinds(&said), [("log-mixture/1", false)]);
    assert!(said[0].why.contains("price of item <*> fetched from cache"), "{}", said[0].why);
    let said = writer.run(1_500, |w| w.usual(4.0));
    assert_eq!(kinds(&said), [("log-mixture/1", true)]);
}

#[test]
fn many_kinds_of_errors_at_once_are_told_as_their_share() {
    let words = ["amber", "birch", "cedar", "dogwood", "elder", "fir", "ginkgo", "hazel"];
    let error = |w: &mut Writer, n: usize| {
        let (a, b) = (words[n % 8], words[n / 8 % 8]);
        w.write(Level::Error, format!("{a} step refused: {b} out of order in {a} {b} plan"));
    };
    let mut writer = Writer::new();
    // All of them are known.
    writer.run(3 * 3_600, |w| {
        w.usual(4.0);
        if w.at.ms() / 1_000 % 60 == 7 {
            error(w, (w.at.ms() / 60_000) as usize);
        }
    });
    // It begins within a window, and is dated to where it does.
    assert_eq!(writer.run(70, |w| w.usual(4.0)), []);
    let (from, mut n) = (writer.at, 0);
    let said = writer.run(480, |w| {
        w.usual(4.0);
        for _ in 0..2 {
            n += 1;
            error(w, n);
        }
    });
    assert_eq!(kinds(&said), [("log-errors/1", false)], "{said:?}");
    let off = said[0].since.ms_since(from);
    assert!((-2_000..=10_000).contains(&off), "{off} ms");
    let said = writer.run(900, |w| w.usual(4.0));
    assert_eq!(kinds(&said), [("log-errors/1", true)]);
}

#[test]
fn the_lines_of_a_stack_trace_are_one_event() {
    let mut writer = Writer::taught();
    let said = writer.run(30, |w| {
        w.usual(4.0);
        w.write(Level::Error, format!("order {} failed", w.at.ms()));
        for n in 0..20 {
            w.write(Level::Error, format!("\tat shop.cart.Step{n}.run(Step.java:{n})"));
        }
        w.write(Level::Error, "Caused by: java.io.IOException: closed".into());
    });
    assert_eq!(kinds(&said), [("log-new/1", false)], "{said:?}");
    assert!(said[0].why.contains(": order <*> failed (for example"), "{}", said[0].why);
}

#[test]
fn an_entity_that_words_its_errors_anew_has_to_say_more() {
    let mut writer = Writer::taught();
    let mut n = 0;
    let mut told = 0;
    for round in 0..60_u32 {
        n += 1;
        let word =
            |k: u32| ["q", "w", "e", "r", "t", "z"][(k % 6) as usize].repeat(1 + k as usize % 4);
        let text =
            (0..4).map(|i| word(round * 7 + i * (round + 3)) + &word(i + n)).collect::<Vec<_>>();
        let text = format!("{} {n} failed", text.join(" "));
        let said = writer.run(600, |w| {
            w.usual(4.0);
            if w.at.ms() / 1_000 % 120 == 0 {
                (0..3).for_each(|_| w.write(Level::Error, text.clone()));
            }
        });
        told += said.iter().filter(|a| a.until.is_none()).count();
    }
    assert!(told <= 8, "{told} of 60 wordings were told");
}

#[test]
fn a_restored_state_goes_on_alike() {
    let mut writer = Writer::taught();
    let bytes = rmp_serde::to_vec(&writer.logs).expect("packs");
    let mut again = Writer::new();
    again.logs = rmp_serde::from_slice(&bytes).expect("unpacks");
    again.at = writer.at;
    let fault = |w: &mut Writer| {
        w.usual(2.0);
        w.write(Level::Error, "\tat shop.cart.Step.run(Step.java:7)".into());
        w.write(Level::Error, format!("lock of cart {} lost", w.at.ms()));
    };
    assert_eq!(writer.run(900, fault), again.run(900, fault));
    let same = |w: &Writer| rmp_serde::to_vec(&w.logs).expect("packs");
    assert_eq!(same(&writer), same(&again));
}

#[test]
fn entities_are_bounded() {
    let mut logs = Logs::default();
    for n in 0..(MOST_ENTITIES as i64 + 50) {
        let at = start().plus_ms(n * HOUR_MS / 100);
        let line = LogLine {
            at,
            entity: EntityRef::service(format!("job-{n}")),
            level: Level::Error,
            body: "failed".into(),
            trace_id: None,
            attributes: Labels::default(),
        };
        logs.observe(&LogConfig::default(), &[line], at, false, &mut Vec::new());
    }
    assert_eq!((logs.entities.len(), logs.shed), (MOST_ENTITIES, 50));
}
