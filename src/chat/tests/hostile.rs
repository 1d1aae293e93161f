//! Any incident, as telemetry, people and attackers may make it: 10,000 services, log lines of
//! 100 kB, writing from right to left, backticks, mentions of every platform. Both renderers are
//! held against all that the bot shows of it.

use proptest::prelude::*;

use crate::chat::{Button, Card, Content, Style, Subject, Verb};
use crate::command::answer_card;
use crate::model::*;
use crate::notify::{Facts, alert_text, incident_card};

fn at() -> Time {
    Time::parse("2026-11-20T03:00:00Z").expect("a time")
}

/// Words that somebody else wrote.
fn words() -> impl Strategy<Value = String> {
    let mentions = "@everyone @here <!channel> <!here> <!subteam^S1> <@U1> <@!123> <@&5> <#C1> ";
    prop_oneof![
        2 => "\\PC{0,60}",
        1 => Just(mentions.to_owned()),
        1 => Just(format!("```{mentions}``` `{mentions}` *{mentions}*")),
        1 => Just(format!("\u{202e}{mentions}\u{202c} \u{5e9}\u{5dc}\u{5d5}\u{5dd} \u{645}\u{631}")),
        1 => Just(format!("ERROR {mentions}").repeat(100_000 / 90)),
        1 => Just("`".repeat(100_000)),
        1 => Just("[a](https://evil.example) <https://evil.example|b> &lt;!channel&gt;".to_owned()),
        1 => Just("\u{1f534}\u{1d518}".repeat(20_000)),
        1 => Just(String::new()),
    ]
}

fn json<T: serde::de::DeserializeOwned>(value: serde_json::Value) -> T {
    serde_json::from_value(value).expect("it has the shape")
}

fn change(words: &str) -> diagnosis::Change {
    json(serde_json::json!({
        "id": ChangeId::derive(at(), &["c"]), "kind": "deploy", "entity": "service.name=checkout",
        "at": at(), "title": words, "version": words, "previous": words, "author": words,
        "url": format!("https://ci.example/{words}"), "source": "test", "status": "success",
        "attributes": { "note": words },
    }))
}

fn diagnosis_of(words: &str, services: &[EntityRef]) -> Diagnosis {
    let id = IncidentId::derive(at(), &["one"]);
    let hypothesis = |n: usize| diagnosis::Hypothesis {
        id: json(serde_json::json!(format!("HYP-{}", &id.to_string()[4..]))),
        entity: services.get(n).cloned().unwrap_or_else(|| EntityRef::service("checkout")),
        pattern: "saturation".into(),
        statement: words.to_owned(),
        confidence: 0.4,
        parts: Vec::new(),
        evidence: Vec::new(),
        change: None,
        impact_chain: services.to_vec(),
    };
    let similar = diagnosis::Similar {
        parts: vec![],
        at: None,
        tried: vec![],
        incident: id,
        title: words.to_owned(),
        similarity: 0.9,
        fixed_by: Some(words.to_owned()),
        resolved_at: Some(at()),
    };
    Diagnosis {
        incident: id,
        revision: 1,
        at: at(),
        summary: words.to_owned(),
        hypotheses: (0..3).map(hypothesis).collect(),
        conclusive: true,
        first_look: false,
        evidence: Vec::new(),
        gaps: vec![json(serde_json::json!({
            "what": words, "why": words, "since": null, "until": null,
        }))],
        changes: vec![change(words); 6],
        similar: vec![similar; 4],
        runbooks: vec![(words.to_owned(), words.to_owned()); 2],
        charts: vec![EvidenceId::derive(at(), &["e"])],
        counterfactuals: Vec::new(),
        steps: Vec::new(),
        reach: crate::model::diagnosis::Reach::default(),
    }
}

fn alert(entity: &EntityRef, words: &str) -> Alert {
    let labels: Labels = [("alertname", words), ("service", entity.name())].into_iter().collect();
    let fingerprint = labels.fingerprint();
    Alert {
        id: AlertId::derive(at(), &[&fingerprint.to_string()]),
        fingerprint,
        labels,
        annotations: Labels::default().with("summary", words).with("template", words),
        source: AlertSource::External { system: "alertmanager".into() },
        entity: entity.clone(),
        indicator: None,
        severity: Severity::Critical,
        starts_at: at(),
        ends_at: None,
        known_at: None,
        updated_at: at(),
        status: AlertStatus::Firing,
        anomaly: None,
        series: None,
        value: Some(4.2e9),
        expected: None,
        score: 8.0,
        n_reports: 1,
        witnesses: Vec::new(),
        incident: None,
        suppressed: None,
        decision: None,
    }
}

/// The states in which a card differs.
const STATES: [&str; 4] = ["open", "acknowledged", "monitoring", "resolved"];

/// An incident with all that is known of it, each text drawn anew.
fn facts() -> impl Strategy<Value = Facts> {
    let n_services = prop_oneof![6 => 0_usize..40, 1 => Just(10_000)];
    let texts = proptest::collection::vec(words(), 6);
    (texts, n_services, 0_usize..6, 0_usize..STATES.len()).prop_map(
        |(texts, n_services, n_offers, state)| {
            let [title, name, summary, offer, owner, log] = &texts[..] else {
                unreachable!("there are six")
            };
            let named = |n: usize| EntityRef::service(format!("{n}-{}", clip(name)));
            let services: Vec<EntityRef> = (0..n_services).map(named).collect();
            let incident: Incident = json(serde_json::json!({
                "id": IncidentId::derive(at(), &["one"]), "number": 7, "title": title,
                "state": STATES[state], "severity": "critical", "onset_at": at(),
                "opened_at": at(), "updated_at": at(), "entities": services, "alerts": [],
                "n_reports": 1_000_000, "n_reopened": 0,
                "owner": { "via": "slack", "id": "U1", "name": owner, "role": "viewer" },
            }));
            let one: Proposal = crate::approve::tests::sample::proposal();
            let offers = (0..n_offers).map(|n| Proposal {
                id: ProposalId::derive(at(), &[&n.to_string()]),
                incident: incident.id,
                title: offer.clone(),
                why: offer.clone(),
                expected_effect: log.clone(),
                exact: log.clone(),
                past: log.clone(),
                expires_at: at().plus_ms(3_600_000),
                ..one.clone()
            });
            let diagnosis = Some(diagnosis_of(summary, &services));
            let alerts = services.iter().take(50).map(|s| alert(s, log)).collect();
            Facts {
                proposals: offers.collect(),
                incident,
                alerts,
                diagnosis,
                runs: vec![],
                predicted: None,
            }
        },
    )
}

/// Names of services are taken up to a length.
fn clip(name: &str) -> String {
    name.chars().take(200).collect()
}

/// All that the bot shows of an incident: its card, a delta, an answer, a list with its buttons, a
/// file, a form to be opened.
pub(in crate::chat) fn shown() -> impl Strategy<Value = Vec<Content>> {
    (facts(), words(), words()).prop_map(|(facts, said, log)| {
        let card = incident_card(&facts, at());
        let answer: crate::assist::Answer = json(serde_json::json!({
            "text": format!("{said}\n\n{log}"), "intent": "why", "citations": [],
            "gaps": [{ "what": said, "why": log, "since": null, "until": null }],
            "notes": [said, log], "model": null, "took_ms": 1,
            "cost": crate::assist::Cost::default(),
        }));
        let lines = facts.incident.entities.iter().take(200).map(|e| format!("#7 {}", e.name()));
        let items = lines.chain([said.clone(), log.clone()]).map(crate::chat::Item::plain);
        let list = Card {
            blocks: vec![crate::chat::Block::List { heading: None, items: items.collect() }],
            buttons: card.buttons.clone(),
            ..Card::words(said.clone(), String::new())
        };
        let told: Vec<String> = facts.alerts.iter().map(|a| alert_text(a, "ms")).collect();
        let form = crate::chat::Form {
            code: Button {
                verb: Verb::Silence,
                label: String::new(),
                style: Style::Plain,
                subject: Subject::Incident(facts.incident.id),
                digest: None,
            }
            .code(),
            title: said.clone(),
            fields: Vec::new(),
            submit: said.clone(),
            danger: false,
        };
        let file = Content::File {
            name: said.clone(),
            media_type: "image/png".into(),
            alt: log.clone(),
            file: "x".into(),
        };
        vec![
            Content::card(card),
            Content::card(answer_card(&answer)),
            Content::card(list),
            Content::text(format!("03:07 UTC {said}\n{log}")),
            Content::text(told.join("\n")),
            Content::Form { form },
            file,
        ]
    })
}
