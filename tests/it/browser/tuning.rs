//! What people said of incidents, on the page of detectors: a proposal with its backtest, applied
//! by a button in the running detector, and taken back.

use std::collections::BTreeMap;
use std::path::Path;

use nightjar::backtest::{Run, Setup};
use nightjar::detect::{self, budget};
use nightjar::model::signal::Direction;
use nightjar::model::{
    Actor, Batch, EntityRef, IncidentState, Indicator, Labels, Point, Role, Samples, Series, Time,
    wall_now,
};
use nightjar::store::Store;
use serde_json::Value;

use super::{Browser, ENTER, PATIENCE, with_browser};
use crate::bot::{Bot, TOKEN};
use crate::support::{eventually, free_port, installed, piped};

/// Hours of history, the first of them calm; then something short happens every hour.
const HOURS: i64 = 9;
const CALM: i64 = 5;

fn series() -> Series {
    let (entity, labels) = (EntityRef::service("orders"), Labels::default());
    Series {
        id: Series::identity("main", "error ratio", &entity, &labels),
        source: "main".into(),
        entity,
        metric: "error ratio".into(),
        labels,
        indicator: Indicator::Errors,
        unit: "1".into(),
        direction: Direction::High,
        query: None,
        limit: None,
        step_ms: 15_000,
    }
}

fn points(now: Time) -> Vec<Point> {
    let begin = now.plus_ms(-HOURS * 3_600_000);
    let point = |i: i64| {
        let bump = (80..92).contains(&(i % 240)) && i / 240 >= CALM;
        let noise = ((i * 7_919) % 97) as f64 / 97.0 * 0.04;
        Point { at: begin.plus_ms(i * 15_000), value: if bump { 0.79 } else { 0.4 } + noise }
    };
    (0..HOURS * 240).map(point).collect()
}

/// Puts the history and what detection told of it into the store of a bot that is dead; each
/// incident was called none.
async fn write(bot: &Bot) {
    let budget = budget::Config { anomalies_per_day: 0.0, ..Default::default() };
    let detect = detect::Config { budget, ..Default::default() };
    let mut run = Run::new(Setup { detect, ..Setup::default() }, BTreeMap::default());
    let points = points(wall_now());
    for point in &points {
        let mut batch = Batch::new("main", point.at);
        batch.metrics.push(Samples { series: series(), points: vec![*point] });
        run.take(&batch);
    }
    let outcome = run.finish();
    assert_eq!(outcome.incidents.len() as i64, HOURS - CALM, "one an hour");
    // As the command does it.
    let said_by = Actor {
        via: "token".into(),
        id: "test".into(),
        name: "test".into(),
        role: Role::Responder,
    };
    let store = Store::open(&bot.data().join("nightjar.sqlite")).expect("opens");
    let write = move |tx: &nightjar::store::Tx<'_>| {
        tx.append_points(&Samples { series: series(), points })?;
        for mut alert in outcome.alerts {
            let of = outcome.incidents.iter().find(|i| i.alerts.contains(&alert.id));
            alert.incident = of.map(|i| i.id);
            tx.put(&alert)?;
        }
        for anomaly in outcome.claims {
            tx.put(&anomaly.anomaly)?;
        }
        for mut incident in outcome.incidents {
            incident.state = IncidentState::Resolved;
            incident.resolved_at = Some(incident.updated_at);
            incident.category = Some("not_an_incident".into());
            incident.closed_by = Some(said_by.clone());
            tx.put(&incident)?;
        }
        Ok(())
    };
    store.write(write).await.expect("written");
}

async fn bars(bot: &Bot) -> Vec<Value> {
    let answer = bot.get("/api/v1/detectors/proposals").await;
    answer["bars"].as_array().expect("a list").clone()
}

/// Presses a button, gives the reason that is asked for, and confirms.
async fn decide(b: &Browser, button: &str, reason: &str) {
    b.press(button, ENTER).await;
    b.see("dialog[open]", "times the configured band").await;
    b.write("dialog[open] #f-reason", reason).await;
    b.press("dialog[open] #confirm", ENTER).await;
    b.holds("the dialog is closed", "!document.querySelector('dialog[open]')").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_people_called_none_raises_a_bar_by_a_button_and_is_taken_back() {
    let (Some(driver), Some(chromium)) = (installed("chromedriver"), installed("chromium")) else {
        return;
    };
    let mut bot = Bot::on(free_port(), "").await;
    bot.kill();
    write(&bot).await;
    bot.again().await;
    let url = bot.url("/#/detectors");
    with_browser((&driver, &chromium), &url, async |b: &Browser| {
        b.write("#token", TOKEN).await;
        b.press("#token", ENTER).await;
        b.see("#tuning", "Raise the bar for error ratio of orders").await;
        b.see("#tuning", "4 incidents that it told were called no incident").await;
        b.see("#tuning", "incidents of their own instead of 4").await;
        let status = |what: &str| {
            let data = bot.data().display().to_string();
            let args = ["status", "--data-dir", &data];
            let (_, said) = piped(Path::new(env!("CARGO_BIN_EXE_nightjar")), &args, "");
            said.contains(what)
        };
        assert!(status("Proposed changes of detection: 1"));
        assert_eq!(bars(&bot).await, Vec::<Value>::new(), "nothing is applied by itself");

        decide(b, "#tuning .tuning.open button.primary", "known noise").await;
        b.see("#tuning .tuning.applied", "Applied by test").await;
        let applied =
            async || bars(&bot).await.first().is_some_and(|b| b["factor"].as_f64() > Some(1.0));
        eventually("detection to follow", PATIENCE, applied).await;
        assert!(!status("Proposed changes"));

        decide(b, "#tuning .tuning.applied button.quiet", "needed after all").await;
        b.see("#tuning", "Nothing waits for you").await;
        eventually("the bar to be gone", PATIENCE, async || bars(&bot).await.is_empty()).await;
    })
    .await;
}
