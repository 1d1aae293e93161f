//! Every kind of card and form as Slack gets it, and anything at all within Slack's limits.

#[path = "../../../../tests/it/slack_fake/limits.rs"]
mod limits;

use proptest::prelude::*;
use serde_json::Value;

use self::limits::{message_faults, pings, view_faults};
use super::*;
use crate::chat::{Field, Form, FormField, FormKind, Item, Mark, Subject};
use crate::model::{EvidenceId, IncidentId, ProposalId, SilenceId, Time};

fn at() -> Time {
    Time::parse("2026-11-20T03:07:00Z").expect("a time")
}

fn incident() -> Subject {
    Subject::Incident(IncidentId::derive(at(), &["one"]))
}

fn press(verb: Verb, label: &str, style: Style) -> Button {
    Button { verb, label: label.into(), style, subject: incident(), digest: None }
}

fn sample() -> Card {
    let approve = Button {
        verb: Verb::Approve,
        label: "Approve…".into(),
        style: Style::Primary,
        subject: Subject::Proposal(ProposalId::derive(at(), &["two"])),
        digest: Some("0123456789abcdef".into()),
    };
    Card {
        mark: Mark::Critical,
        title: "INC-1 Checkout p99 4.2 s, was 310 ms".into(),
        context: "critical · open · 4 min · nobody · checkout, orders".into(),
        blocks: vec![
            Block::Text {
                heading: Some("What is going on".into()),
                text: "Checkout waits for orders & orders waits for <orders-db>.".into(),
                evidence: Vec::new(),
            },
            Block::Fields {
                heading: Some("Likely cause".into()),
                fields: vec![
                    Field { label: "Cause".into(), value: "pool of orders-db exhausted".into() },
                    Field { label: "Confidence".into(), value: "likely (0.82)".into() },
                ],
            },
            Block::Chart {
                evidence: EvidenceId::derive(at(), &["three"]),
                alt: "p99 of checkout, 310 ms to 4.2 s at 03:02 UTC".into(),
            },
            Block::List {
                heading: Some("What changed".into()),
                items: vec![Item::plain("03:01 deploy of orders 4.7.2"), Item::plain("none else")],
            },
        ],
        buttons: vec![
            approve,
            press(Verb::Acknowledge, "Acknowledge", Style::Plain),
            Button {
                subject: Subject::Silence(SilenceId::derive(at(), &["four"])),
                ..press(Verb::EndSilence, "End it", Style::Danger)
            },
        ],
        menu: vec![
            press(Verb::Note, "Post an update…", Style::Plain),
            press(Verb::Merge, "Merge…", Style::Plain),
        ],
        url: Some("https://nightjar.example/#/incidents/INC-1".into()),
        footer: "7 pieces of evidence · no model used".into(),
        fallback: "INC-1 Checkout p99 4.2 s, was 310 ms".into(),
    }
}

/// Blocks on few lines, so that a snapshot can be read.
fn short(blocks: &[Value]) -> String {
    let text = |v: &Value| v["text"].as_str().unwrap_or_default().to_owned();
    let texts =
        |v: &Value| -> Vec<String> { v.as_array().into_iter().flatten().map(text).collect() };
    let line = |b: &Value| match b["type"].as_str().unwrap_or_default() {
        "actions" => {
            let one = |e: &Value| {
                if let Some(options) = e["options"].as_array() {
                    let each = |o: &Value| format!("    {} {}", text(&o["text"]), o["value"]);
                    let all: Vec<String> = options.iter().map(each).collect();
                    return format!("  {} of\n{}", e["type"], all.join("\n"));
                }
                let style = e["style"].as_str().unwrap_or("plain");
                let asks = if e["confirm"].is_null() { "" } else { ", asks first" };
                let value = e["value"].as_str().or(e["url"].as_str()).unwrap_or_default();
                format!("  [{}] {style}{asks} {value}", text(&e["text"]))
            };
            let all: Vec<String> =
                b["elements"].as_array().into_iter().flatten().map(one).collect();
            format!("actions\n{}", all.join("\n"))
        }
        "input" => {
            let optional = if b["optional"] == true { " optional" } else { "" };
            format!("input {}{optional} {:?} {}", b["block_id"], text(&b["label"]), b["element"])
        }
        kind => {
            let mut parts = vec![text(&b["text"])];
            parts.extend(texts(&b["fields"]));
            parts.extend(texts(&b["elements"]));
            parts.retain(|p| !p.is_empty());
            format!("{kind} {}", parts.join(" | "))
        }
    };
    blocks.iter().map(line).collect::<Vec<_>>().join("\n")
}

fn checked(rendered: &Rendered) {
    let faults = message_faults(&rendered.blocks, &rendered.text);
    assert!(faults.is_empty(), "{faults:?}");
}

#[test]
fn a_card() {
    let rendered = content(&Content::card(sample()));
    checked(&rendered);
    insta::assert_snapshot!(short(&rendered.blocks), @r#"
    header 🔴 INC-1 Checkout p99 4.2 s, was 310 ms
    context critical · open · 4 min · nobody · checkout, orders
    section *What is going on*
    Checkout waits for orders &amp; orders waits for &lt;orders-db&gt;.
    section *Likely cause* | *Cause*
    pool of orders-db exhausted | *Confidence*
    likely (0.82)
    context Chart in the thread: p99 of checkout, 310 ms to 4.2 s at 03:02 UTC
    section *What changed*
    • 03:01 deploy of orders 4.7.2
    • none else
    actions
      [Approve…] primary v1:approve:PRP-01M7VEQW10PBPC8T8SYPCK6WXY:0123456789abcdef
      [Acknowledge] plain v1:acknowledge:INC-01M7VEQW10CBAEVZN94BMBXE5T
      [End it] danger, asks first v1:end_silence:SIL-01M7VEQW10QR0D3ARKV1JE1SSX
      "overflow" of
        Post an update… "v1:note:INC-01M7VEQW10CBAEVZN94BMBXE5T"
        Merge… "v1:merge:INC-01M7VEQW10CBAEVZN94BMBXE5T"
      [Open in console] plain https://nightjar.example/#/incidents/INC-1
    context 7 pieces of evidence · no model used
    "#);
    insta::assert_snapshot!(rendered.text, @"INC-1 Checkout p99 4.2 s, was 310 ms");
}

#[test]
fn words_keep_their_paragraphs_and_ping_nobody() {
    let text = "Hello <!channel>, <@U123> and @here & all:\n\n`a < b`\n```\nnot closed";
    let rendered = content(&Content::text(text));
    checked(&rendered);
    insta::assert_snapshot!(short(&rendered.blocks), @r#"
    section Hello &lt;!channel&gt;, &lt;@U123&gt; and @here &amp; all:

    `a &lt; b`
    ```
    not closed
    ```
    "#);
    assert!(rendered.blocks[0]["text"]["verbatim"] == true);
    assert_eq!(pings(&rendered.text).count(), 0);
}

#[test]
fn what_does_not_fit_is_said() {
    let mut card = sample();
    let items = (0..10_000).map(|i| Item::plain(format!("service-{i} is slow"))).collect();
    card.blocks.insert(1, Block::List { heading: Some("Services".into()), items });
    card.blocks.insert(
        2,
        Block::Text {
            heading: Some("Log".into()),
            text: "x".repeat(100_000),
            evidence: Vec::new(),
        },
    );
    let rendered = content(&Content::card(card));
    checked(&rendered);
    let all = short(&rendered.blocks);
    assert!(all.contains("more lines in the console"), "{all}");
    // What stands after the long parts is still there.
    for part in ["What changed", "03:01 deploy", "Confidence", "[End it]", "no model used"] {
        assert!(all.contains(part), "{part} is missing");
    }
}

#[test]
fn a_form() {
    let form = Form {
        code: "v1:approve:PRP-1".into(),
        title: "Approve the rollback of orders".into(),
        fields: vec![
            FormField::fixed("What will be done", "orders 4.7.2 → 4.7.1 on <prod>"),
            FormField::input("reason", "Reason", FormKind::Lines).required().hint("Is recorded."),
            FormField::input("at", "At", FormKind::DateTime).with("2026-11-20T04:00:00Z"),
            FormField::input("for", "For", FormKind::Duration).with("30 min"),
            FormField::input(
                "who",
                "Who",
                FormKind::Choice {
                    options: vec![("a".into(), "Ann".into()), ("b".into(), "Bo".into())],
                },
            )
            .with("b"),
        ],
        submit: "Approve".into(),
        danger: true,
    };
    let metadata =
        Metadata { code: form.code.clone(), channel: "C1".into(), thread: Some("1.2".into()) };
    let view = super::form(&form, &metadata, at());
    assert_eq!(view_faults(&view), [""; 0]);
    assert_eq!(view["title"]["text"], "Approve the rollback of…");
    let back: Metadata =
        serde_json::from_str(view["private_metadata"].as_str().expect("a text")).expect("ours");
    assert_eq!(back, metadata);
    insta::assert_snapshot!(short(view["blocks"].as_array().expect("blocks")), @r#"
    section *What will be done*
    orders 4.7.2 → 4.7.1 on &lt;prod&gt;
    input "reason" "Reason" {"action_id":"value","max_length":3000,"multiline":true,"type":"plain_text_input"}
    input "at" optional "At" {"action_id":"value","initial_date_time":1795147200,"type":"datetimepicker"}
    input "for" optional "For" {"action_id":"value","initial_value":"30 min","max_length":3000,"multiline":false,"placeholder":{"emoji":true,"text":"30 min, 2 h, 1 d","type":"plain_text"},"type":"plain_text_input"}
    input "who" optional "Who" {"action_id":"value","initial_option":{"text":{"emoji":true,"text":"Bo","type":"plain_text"},"value":"b"},"options":[{"text":{"emoji":true,"text":"Ann","type":"plain_text"},"value":"a"},{"text":{"emoji":true,"text":"Bo","type":"plain_text"},"value":"b"}],"type":"static_select"}
    context Sending this acts on your systems.
    "#);
}

#[test]
fn a_menu_without_values_for_slack_becomes_a_line() {
    let options = vec![("x".repeat(200), "long".into())];
    let field = FormField::input("a", "A", FormKind::Choice { options });
    let many = (0..150).map(|i| (format!("v{i}"), format!("label {i}"))).collect();
    let many = FormField::input("b", "B", FormKind::Choice { options: many });
    let form = Form {
        code: String::new(),
        title: String::new(),
        fields: vec![field, many],
        submit: String::new(),
        danger: false,
    };
    let metadata = Metadata { code: String::new(), channel: String::new(), thread: None };
    let view = super::form(&form, &metadata, at());
    assert_eq!(view_faults(&view), [""; 0]);
    assert_eq!(view["blocks"][0]["element"]["type"], "plain_text_input");
    assert_eq!(view["blocks"][1]["element"]["options"].as_array().map(Vec::len), Some(100));
    assert!(view["blocks"][1]["hint"]["text"].as_str().is_some_and(|h| h.contains("50 are not")));
}

#[test]
fn a_home() {
    let view = home(&[sample(), Card::words("Your silences", "none")]);
    assert_eq!(view_faults(&view), [""; 0]);
    assert_eq!(view["blocks"][0]["type"], "header");
    assert_eq!(view_faults(&home(&[])), [""; 0]);
    assert_eq!(view_faults(&home(&vec![sample(); 60])), [""; 0]);
}

/// What telemetry, people and attackers write.
fn anything() -> impl Strategy<Value = String> {
    prop_oneof![
        3 => ".{0,80}",
        1 => "\\PC{0,400}",
        1 => Just("<!channel> <!here> <@U123ABC> <!subteam^S1> @everyone @here <#C1>".to_owned()),
        1 => Just("``` `a` *b* _c_ ~d~ &lt;!channel&gt; &amp;".to_owned()),
        1 => Just("שלום \u{202e}evorppA\u{202c} مرحبا".to_owned()),
        1 => Just("<&>".repeat(1_200)),
        1 => Just("line of a log\n".repeat(900)),
        1 => Just("𝔘🟠".repeat(1_700)),
        1 => (0_usize..50_000).prop_map(|n| "y".repeat(n)),
        1 => Just(String::new()),
    ]
}

fn any_block() -> impl Strategy<Value = Block> {
    let heading = || proptest::option::of(anything());
    let evidence = EvidenceId::derive(at(), &["e"]);
    prop_oneof![
        (heading(), anything()).prop_map(|(heading, text)| Block::Text {
            heading,
            text,
            evidence: Vec::new()
        }),
        (heading(), proptest::collection::vec((anything(), anything()), 0..15)).prop_map(
            |(heading, pairs)| {
                let field = |(label, value)| Field { label, value };
                Block::Fields { heading, fields: pairs.into_iter().map(field).collect() }
            }
        ),
        (heading(), proptest::collection::vec(anything(), 0..10), 1_usize..20).prop_map(
            |(heading, lines, times)| {
                let items = std::iter::repeat_n(lines, times).flatten().map(Item::plain).collect();
                Block::List { heading, items }
            }
        ),
        anything().prop_map(move |alt| Block::Chart { evidence, alt }),
    ]
}

#[test]
fn a_notification_says_something_though_its_words_can_t_be_shown() {
    assert_eq!(super::fallback("\u{7f}", "INC-1"), "INC-1");
    assert_eq!(super::fallback(" ", "\u{7f}"), "nightjar");
}

#[test]
fn a_line_of_which_nothing_can_be_shown_is_left_out() {
    for nothing in ["\u{7f}", " \u{202e}\n\u{0}", "\t"] {
        let text = || nothing.to_owned();
        let heading = || Some(text());
        let field = Field { label: text(), value: text() };
        let blocks = vec![
            Block::Text { heading: heading(), text: text(), evidence: Vec::new() },
            Block::Fields { heading: heading(), fields: vec![field] },
            Block::List { heading: heading(), items: vec![Item::plain(nothing)] },
        ];
        let lines = Card { context: text(), footer: text(), blocks, ..sample() };
        let rendered = content(&Content::card(lines));
        checked(&rendered);
        let kinds: Vec<&str> = rendered.blocks.iter().filter_map(|b| b["type"].as_str()).collect();
        assert_eq!(kinds, ["header", "section", "section", "actions"], "{nothing:?}");
        let only = Card { context: text(), footer: text(), ..Card::words(nothing, nothing) };
        checked(&content(&Content::card(only)));
        assert_eq!(view_faults(&home(&[Card { context: text(), ..sample() }])), [""; 0]);
    }
}

#[test]
fn the_longest_of_everything_together_is_within_the_limits() {
    let long = "\u{1d518}".repeat(4_000);
    let buttons = vec![press(Verb::EndSilence, &long, Style::Danger); 60];
    let menu = vec![press(Verb::Note, &long, Style::Plain); 120];
    let url = Some(format!("https://nightjar.example/{}", "y".repeat(2_970)));
    let text =
        Block::Text { heading: Some(long.clone()), text: long.clone(), evidence: Vec::new() };
    let [title, context, footer, fallback] = [(); 4].map(|()| long.clone());
    let blocks = vec![text; 60];
    let mark = Mark::Open;
    let card = Card { mark, title, context, blocks, buttons, menu, url, footer, fallback };
    let rendered = content(&Content::card(card.clone()));
    checked(&rendered);
    let all = short(&rendered.blocks);
    assert!(all.contains("more buttons in the console"), "{all}");
    assert!(all.contains("[Open in console]"), "{all}");
    assert_eq!(view_faults(&home(&vec![card; 3])), [""; 0]);
}

fn any_card() -> impl Strategy<Value = Card> {
    let buttons = proptest::collection::vec((anything(), 0_usize..Verb::ALL.len(), 0..3), 0..60);
    let words = (anything(), anything(), anything(), anything());
    (words, proptest::collection::vec(any_block(), 0..60), buttons).prop_map(
        |((title, context, footer, fallback), blocks, buttons)| {
            let button = |(label, verb, style): (String, usize, i32)| {
                let style = [Style::Plain, Style::Primary, Style::Danger][style as usize];
                press(Verb::ALL[verb], &label, style)
            };
            let buttons: Vec<Button> = buttons.into_iter().map(button).collect();
            let menu = buttons.iter().rev().take(blocks.len()).cloned().collect();
            let url = (!title.is_empty()).then(|| format!("https://nightjar.example/{title}"));
            let mark = Mark::Open;
            Card { mark, title, context, blocks, buttons, menu, url, footer, fallback }
        },
    )
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 32, max_shrink_iters: 200, ..ProptestConfig::default() })]

    #[test]
    fn any_card_is_within_the_limits_and_pings_nobody(card in any_card()) {
        let rendered = content(&Content::card(card.clone()));
        prop_assert_eq!(message_faults(&rendered.blocks, &rendered.text), Vec::<String>::new());
        prop_assert_eq!(view_faults(&home(&vec![card; 2])), Vec::<String>::new());
    }

    #[test]
    fn any_words_are_within_the_limits_and_ping_nobody(text in anything()) {
        let rendered = content(&Content::text(text));
        prop_assert_eq!(message_faults(&rendered.blocks, &rendered.text), Vec::<String>::new());
    }

    #[test]
    fn any_form_is_within_the_limits(
        title in anything(), label in anything(), value in anything(), hint in anything(),
        options in proptest::collection::vec((".{0,160}", anything()), 0..130),
    ) {
        let kinds = [
            FormKind::Text, FormKind::Lines, FormKind::Choice { options }, FormKind::DateTime,
            FormKind::Duration, FormKind::Fixed,
        ];
        let field = |(i, kind)| {
            FormField::input(&format!("f{i}"), &label, kind).with(&*value).hint(&*hint)
        };
        let fields = kinds.into_iter().enumerate().map(field).collect();
        let form = Form { code: "c".into(), title: title.clone(), fields, submit: title, danger: true };
        let metadata = Metadata { code: form.code.clone(), channel: "C1".into(), thread: None };
        let view = super::form(&form, &metadata, at());
        prop_assert_eq!(view_faults(&view), Vec::<String>::new());
    }
}

#[test]
fn code_that_goes_over_sections_is_closed_and_opened_again() {
    let text = format!("Look:\n```\n{}```\nthat is all", "select * from orders;\n".repeat(300));
    let blocks = content(&Content::text(text)).blocks;
    assert!(blocks.len() > 2);
    for block in &blocks {
        let text = block["text"]["text"].as_str().expect("a section");
        assert_eq!(text.matches("```").count() % 2, 0, "{text}");
        assert!(!text.contains("```\n```"), "{text}");
    }
}

fn any_answer() -> impl Strategy<Value = String> {
    let line = prop_oneof![
        4 => anything(),
        3 => "[a-z <>&@`*_.]{0,200}",
        1 => Just("```sql".to_owned()),
        1 => Just("```".to_owned()),
        1 => "[&<>]{500,2000}",
    ];
    proptest::collection::vec(line, 0..40).prop_map(|lines| lines.join("\n"))
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 12, max_shrink_iters: 200, ..ProptestConfig::default() })]

    #[test]
    fn every_part_of_an_answer_is_shown_whole(text in any_answer(), footer in anything()) {
        // The room that the platform tells for one message of an answer.
        for part in crate::chat::split::split(&text, crate::chat::slack::ANSWER) {
            let blocks = vec![Block::Text { heading: None, text: part, evidence: Vec::new() }];
            let card = Card { blocks, footer: footer.clone(), ..Card::words("", "") };
            let rendered = content(&Content::card(card));
            prop_assert_eq!(message_faults(&rendered.blocks, &rendered.text), Vec::<String>::new());
            let shown = serde_json::to_string(&rendered.blocks[..rendered.blocks.len() - 1]);
            let shown = shown.expect("JSON");
            prop_assert!(!shown.contains("more lines in the console"), "{}", shown);
            prop_assert!(!shown.contains("more parts in the console"), "{}", shown);
        }
    }
}

proptest! {
    // Each is large: 100 kB and 10,000 services are drawn often enough.
    #![proptest_config(ProptestConfig::with_cases(10))]

    #[test]
    fn any_incident_is_within_the_limits_and_pings_nobody(
        all in crate::chat::tests::hostile::shown(),
    ) {
        let cards: Vec<Card> = all.iter().filter_map(|c| match c {
            Content::Card { card } => Some(card.clone()),
            _ => None,
        }).collect();
        prop_assert_eq!(view_faults(&home(&cards)), Vec::<String>::new());
        for content in all {
            let rendered = super::content(&content);
            prop_assert_eq!(message_faults(&rendered.blocks, &rendered.text), Vec::<String>::new());
        }
    }
}

/// A message as Slack takes it, and what is wrong with it by Slack's limits.
pub(crate) fn drawn(shown: &Content) -> (Value, Vec<String>) {
    let Rendered { blocks, text } = content(shown);
    let faults = message_faults(&blocks, &text);
    (serde_json::json!({ "text": text, "blocks": blocks }), faults)
}

/// The same for a form.
pub(crate) fn drawn_form(shown: &Form) -> (Value, Vec<String>) {
    let metadata = Metadata { code: shown.code.clone(), channel: "C1".into(), thread: None };
    let view = form(shown, &metadata, at());
    let faults = view_faults(&view);
    (view, faults)
}
