//! Messages and forms against Discord's limits, as the protocol's fake holds them.

use proptest::prelude::*;
use serde_json::Value;

use super::text::{fit, length, line};
use super::{commands, modal, render};
use crate::chat::*;
use crate::model::{EvidenceId, IncidentId, ProposalId, Time};

pub(crate) mod incident;
#[path = "../../../tests/it/discord_fake/rules.rs"]
mod rules;

fn incident() -> IncidentId {
    IncidentId::derive(Time::from_ms(1), &["checkout"])
}

fn button(verb: Verb, label: &str) -> Button {
    let subject = Subject::Incident(incident());
    Button { verb, label: label.into(), style: Style::Plain, subject, digest: None }
}

fn text(heading: &str, text: &str) -> Block {
    Block::Text { heading: Some(heading.into()), text: text.into(), evidence: Vec::new() }
}

fn card() -> Card {
    Card {
        mark: Mark::Critical,
        title: "INC-7 Checkout p99 4.2 s, was 310 ms".into(),
        context: "critical · open · for 4 min · checkout, orders_db".into(),
        blocks: vec![
            text("What is going on", "Requests to `orders` wait for a connection."),
            Block::Fields {
                heading: Some("Figures".into()),
                fields: vec![Field { label: "p99".into(), value: "4.2 s".into() }],
            },
            Block::List {
                heading: Some("What changed".into()),
                items: vec![Item::plain(
                    "orders 4.7.2 by <@123> at 03:01, see https://ci.example/7",
                )],
            },
            Block::Chart {
                evidence: EvidenceId::derive(Time::from_ms(1), &["x"]),
                alt: "p99 of checkout rose to 4.2 s at 03:02".into(),
            },
        ],
        buttons: vec![button(Verb::Acknowledge, "Acknowledge"), button(Verb::Why, "Why?")],
        menu: vec![button(Verb::Note, "Post an update…"), button(Verb::Merge, "Merge…")],
        url: Some("https://nightjar.example/#/incidents/INC-7".into()),
        footer: "12 pieces of evidence · no model used".into(),
        fallback: "INC-7".into(),
    }
}

/// The faults of a message and whatever in it could ping somebody.
fn wrong(message: &Value) -> Vec<String> {
    let mut wrong: Vec<String> =
        rules::message(message, &[]).into_iter().map(|w| format!("{w:?}")).collect();
    if !rules::shows(message, 0) {
        wrong.push("it shows nothing".into());
    }
    if message["allowed_mentions"] != serde_json::json!({ "parse": [] }) {
        wrong.push("mentions are allowed".into());
    }
    let shown = message.to_string();
    for (at, _) in shown.match_indices('@') {
        let rest = &shown[at + 1..];
        if rest.starts_with("everyone") || rest.starts_with("here") {
            wrong.push(format!("a mention at {at}"));
        }
    }
    wrong
}

#[test]
fn an_incident_is_a_headline_embeds_and_buttons() {
    let message = render::message(Some("INC-7/card"), &Content::card(card()));
    assert_eq!(wrong(&message), Vec::<String>::new());
    let pretty = serde_json::to_string_pretty(&message).expect("JSON");
    insta::assert_snapshot!(pretty.replace('\u{200b}', "{zwsp}"), @r##"
    {
      "allowed_mentions": {
        "parse": []
      },
      "components": [
        {
          "components": [
            {
              "custom_id": "v1:acknowledge:INC-0000000001W01K4PWES2JM7HTJ",
              "label": "Acknowledge",
              "style": 2,
              "type": 2
            },
            {
              "custom_id": "v1:why:INC-0000000001W01K4PWES2JM7HTJ",
              "label": "Why?",
              "style": 2,
              "type": 2
            },
            {
              "label": "Open in console",
              "style": 5,
              "type": 2,
              "url": "https://nightjar.example/#/incidents/INC-7"
            }
          ],
          "type": 1
        },
        {
          "components": [
            {
              "custom_id": "menu",
              "options": [
                {
                  "label": "Post an update…",
                  "value": "v1:note:INC-0000000001W01K4PWES2JM7HTJ"
                },
                {
                  "label": "Merge…",
                  "value": "v1:merge:INC-0000000001W01K4PWES2JM7HTJ"
                }
              ],
              "placeholder": "More…",
              "type": 3
            }
          ],
          "type": 1
        }
      ],
      "content": "**🔴 INC-7 Checkout p99 4.2 s, was 310 ms**",
      "embeds": [
        {
          "color": 14232864,
          "description": "critical · open · for 4 min · checkout, orders\\_db\n\n**What is going on**\nRequests to \\`orders\\` wait for a connection.\n\n**Figures**",
          "fields": [
            {
              "inline": true,
              "name": "p99",
              "value": "4.2 s"
            }
          ]
        },
        {
          "color": 14232864,
          "description": "**What changed**\n- orders 4.7.2 by \\<@{zwsp}123\\> at 03:01, see <https://ci.example/7>\n\n**Chart (in the thread)**\np99 of checkout rose to 4.2 s at 03:02",
          "footer": {
            "text": "12 pieces of evidence · no model used · ref ea39af829ad1"
          }
        }
      ]
    }
    "##);
}

#[test]
fn words_of_telemetry_stay_words() {
    let text =
        "# big\n- *a* _b_ ~~c~~ `d` ||e|| > f\n@everyone <@!1> <@&2> <#3> a@b.example\u{202e}x";
    insta::assert_snapshot!(fit(text, 1_000).replace('\u{200b}', "{zwsp}"), @r"
    \# big
    \- \*a\* \_b\_ \~\~c\~\~ \`d\` \|\|e\|\| \> f
    @{zwsp}everyone \<@{zwsp}!1\> \<@{zwsp}&2\> \<#3\> a@b.examplex
    ");
    assert_eq!(fit("see https://x.example/a_b?c=1 now", 99), "see <https://x.example/a_b?c=1> now");
    assert_eq!(fit("https://x.example/[a](b)", 99), "https://x.example/\\[a\\](b)");
    assert_eq!(line("a\n b\t\u{202e}c", 99), "a b c");
    assert_eq!(line("abcdef", 4), "abc…");
    assert_eq!(fit(&"x".repeat(100), 50), format!("{} … (82 more characters)", "x".repeat(18)));
}

#[test]
fn words_are_content_and_long_ones_embeds_divided_between_paragraphs() {
    let short = render::message(Some("k"), &Content::text("Two incidents are open."));
    assert_eq!(short["content"], "Two incidents are open.\n-# ref 8254c329a928");
    let long = format!("{}\n\n{}", "a ".repeat(1_500), "b ".repeat(1_500));
    let long = render::message(Some("k"), &Content::text(long));
    assert_eq!(wrong(&long), Vec::<String>::new());
    assert_eq!(long["content"], "");
    let second = long["embeds"][1]["description"].as_str().expect("text");
    assert!(second.starts_with("b b") && second.ends_with("more characters)"), "{second}");
    assert_eq!(long["embeds"][1]["footer"]["text"], "ref 8254c329a928");
}

#[test]
fn a_message_is_found_again_by_its_key_and_only_by_that() {
    let bare = Card { blocks: Vec::new(), context: String::new(), ..card() };
    let long = Content::text("x".repeat(9_000));
    for content in [Content::text("hello"), Content::card(card()), Content::card(bare), long] {
        let message = render::message(Some("INC-7/card"), &content);
        assert_eq!(wrong(&message), Vec::<String>::new());
        assert!(render::carries(&message, "INC-7/card"), "{message}");
        assert!(!render::carries(&message, "INC-8/card"));
    }
}

#[test]
fn every_part_gets_its_share() {
    let huge = "ERROR \u{5d0}\u{5d1} `connection` ".repeat(5_000);
    let blocks = vec![
        text("What is going on", &huge),
        Block::List {
            heading: Some("Services".into()),
            items: (0..10_000).map(|i| Item::plain(format!("service-{i}"))).collect(),
        },
        text("Suggested", "Roll orders back to 4.7.1. Risk low. Expires 03:40 UTC."),
    ];
    let buttons = (0..3).map(|_| button(Verb::Why, "Why?")).collect();
    let message = render::message(
        Some("k"),
        &Content::card(Card { blocks, buttons, menu: Vec::new(), url: None, ..card() }),
    );
    assert_eq!(wrong(&message), Vec::<String>::new());
    let shown = message.to_string();
    assert!(shown.contains("Roll orders back to 4.7.1. Risk low. Expires 03:40 UTC."), "{shown}");
    assert!(shown.contains("service-50") && shown.contains("… and 9"), "{shown}");
    assert!(shown.contains("more characters"), "{shown}");
    let buttons = message["components"][0]["components"].as_array().expect("a row");
    assert_eq!(buttons.len(), 1, "the same custom id twice is refused by Discord");
}

#[test]
fn what_is_short_is_shown_whole() {
    let list = |n: usize| Block::List {
        heading: None,
        items: (0..n).map(|i| Item::plain(format!("s{i}"))).collect(),
    };
    let fields = (0..7).map(|i| Field { label: format!("f{i}"), value: "1".into() }).collect();
    let blocks = vec![list(1), list(9), Block::Fields { heading: None, fields }];
    let shown = render::message(None, &Content::card(Card { blocks, ..card() })).to_string();
    assert!(!shown.contains(" more"), "{shown}");
    assert!(shown.contains("- s8") && shown.contains("\"f6\""), "{shown}");
}

fn form() -> Form {
    let options =
        vec![("cause".to_owned(), "Fixed".to_owned()), ("noise".into(), "No fault".into())];
    Form {
        code: format!(
            "v1:approve:{}:0123456789abcdef",
            ProposalId::derive(Time::from_ms(1), &["x"])
        ),
        title: "Approve".into(),
        fields: vec![
            FormField::fixed("It does exactly this", "POST http://shop.example/admin"),
            FormField::fixed("Risk", "low"),
            FormField::input("reason", "Why", FormKind::Lines).required().hint("for the record"),
            FormField::input("category", "Category", FormKind::Choice { options }).with("noise"),
            FormField::input("at", "When", FormKind::DateTime),
            FormField::input("for", "For how long", FormKind::Duration),
        ],
        submit: "Approve".into(),
        danger: true,
    }
}

#[test]
fn a_form_is_a_modal_and_its_answers_are_read_back() {
    let modal = modal::modal(&form());
    assert_eq!(rules::modal(&modal), []);
    let input = |i: usize| &modal["components"][i]["components"][0];
    assert_eq!(input(0)["value"], "POST http://shop.example/admin\n\nRisk: low");
    let menu = &modal["components"][2]["component"];
    assert_eq!((&menu["type"], &menu["options"][1]["default"]), (&3.into(), &true.into()));
    let typed = |category: &str| {
        let pairs = [("fixed:0", "x"), ("reason", " slow "), ("category", category)];
        pairs.into_iter().map(|(k, v)| (k.to_owned(), v.to_owned())).collect()
    };
    let (values, faults) = modal::answers(&form(), &typed("no"));
    assert_eq!((values["reason"].as_str(), values["category"].as_str()), ("slow", "noise"));
    assert!(faults.is_empty() && !values.contains_key("fixed:0"));
    let (_, faults) = modal::answers(&form(), &typed("x"));
    assert_eq!(faults, ["Category: `x` is none of: Fixed, No fault"]);
    let again = modal::refilled(form(), &typed("Fixed"));
    assert_eq!(
        (again.fields[2].value.as_str(), again.fields[3].value.as_str()),
        (" slow ", "cause")
    );
}

#[test]
fn many_options_are_shown_beside_the_line_that_asks_for_one() {
    let option = |n: usize| (format!("INC-{n}"), format!("#{n} Checkout is slow in region {n}"));
    let into = FormKind::Choice { options: (1..=30).map(option).collect() };
    let fields = vec![
        FormField::fixed("Incident", "#13 Checkout is slow"),
        FormField::input("into", "It becomes part of", into).required(),
        FormField::input("reason", "Why they are one", FormKind::Lines),
    ];
    let form = Form { title: "Merge".into(), fields, ..form() };
    let modal = modal::modal(&form);
    assert_eq!(rules::modal(&modal), []);
    let input = |i: usize| &modal["components"][i]["components"][0];
    assert_eq!(input(1)["label"], "Choose for: It becomes part of");
    assert!(input(1)["value"].as_str().is_some_and(|v| v.lines().count() == 30), "{modal}");
    let chosen = |typed: &str| {
        let typed = [("into".to_owned(), typed.to_owned())].into();
        modal::answers(&form, &typed).0.get("into").cloned()
    };
    // The number alone is enough, and `1` is not also 10, 11 and 12.
    for typed in ["1", "#1", "inc-1", "#1 checkout is slow in region 1"] {
        assert_eq!(chosen(typed).as_deref(), Some("INC-1"), "{typed}");
    }
    assert_eq!(chosen("31"), None);
}

#[test]
fn the_command_is_one_that_discord_takes_and_its_uses_read_back() {
    assert_eq!(rules::commands(&commands::table()), []);
    let option = |name: &str, value: &str| vec![(name.to_owned(), value.to_owned())];
    let used = |sub, options: &[(String, String)]| commands::used(sub, options).text;
    assert_eq!(used("ask", &option("question", "why \"so\" slow?")), "ask why \"so\" slow?");
    assert_eq!(used("status", &[]), "status");
    assert_eq!(used("runbook", &option("id", "pool")), "ask runbook pool");
    assert_eq!(used("incident", &option("incident", "a \"b\"")), "incident \"a 'b'\"");
    let all = [("service", "orders"), ("for", "2 h"), ("reason", "planned")];
    let all: Vec<_> = all.iter().map(|(n, v)| ((*n).to_owned(), (*v).to_owned())).collect();
    let silence = commands::used("silence", &all);
    assert_eq!(silence.text, "silence orders --for \"2 h\" --reason planned");
    assert_eq!(silence.form, None, "nothing is left to be asked");
    for form in ["silence", "declare"] {
        let code = commands::used(form, &[]).form.expect("a form");
        assert!(Button::parse(code).is_ok(), "{code}");
    }
    assert_eq!(commands::completes("incident", "incident"), Some(Completion::Incident));
}

#[test]
fn what_is_done_with_an_incident_is_a_sub_command_that_reads_as_its_line() {
    let used = |sub: &str, options: &[(&str, &str)]| {
        let given = options.iter().map(|(n, v)| ((*n).to_owned(), (*v).to_owned()));
        let used = commands::used(sub, &given.collect::<Vec<_>>());
        assert_eq!(used.form, None);
        assert_eq!(commands::completes(sub, "incident"), Some(Completion::Incident), "{sub}");
        used.text
    };
    let one = ("incident", "12");
    // Discord sends options in the order in which they were typed.
    let lines = [
        used("ack", &[one]),
        used("assign", &[one]),
        used("assign", &[("to", "ada l"), one]),
        used("note", &[one, ("text", "the pool is full")]),
        used("resolve", &[one]),
        used("resolve", &[("text", "the pool was full"), ("as", "recovered"), one]),
        used("reopen", &[one, ("text", "back")]),
        used("merge", &[("into", "11"), one, ("text", "the same fault")]),
    ];
    insta::assert_snapshot!(lines.join("\n"), @r#"
    ack 12
    assign 12
    assign 12 --to "ada l"
    note 12 "the pool is full"
    resolve 12
    resolve 12 --as recovered "the pool was full"
    reopen 12 back
    merge 12 11 "the same fault"
    "#);
    assert_eq!(commands::completes("merge", "into"), Some(Completion::Incident));
}

fn any_field() -> impl Strategy<Value = FormField> {
    let options = || proptest::collection::vec((any_text(), any_text()), 0..60);
    let kind = prop_oneof![
        Just(FormKind::Text),
        Just(FormKind::Lines),
        Just(FormKind::Fixed),
        Just(FormKind::Duration),
        options().prop_map(|options| FormKind::Choice { options }),
    ];
    (kind, any_text(), any_text(), any_text()).prop_map(|(kind, label, value, hint)| {
        FormField::input("", &label, kind).with(value).hint(hint)
    })
}

fn any_text() -> impl Strategy<Value = String> {
    prop_oneof![
        ".{0,40}",
        "[`*_~|<>@#\\\\\\-\\[\\]() \n]{0,300}",
        Just(
            "@everyone @here <@123> <@&5> <!channel> <t:1:R> [a](https://evil.example)".to_owned()
        ),
        Just("\u{202e}\u{5e9}\u{5dc}\u{5d5}\u{5dd} ".repeat(50)),
        Just("🔴".repeat(3_000)),
        Just("\\".repeat(100_000)),
        Just("word ".repeat(20_000)),
        Just(String::new()),
    ]
}

fn any_block() -> impl Strategy<Value = Block> {
    let heading = || proptest::option::of(any_text());
    prop_oneof![
        (heading(), any_text()).prop_map(|(heading, text)| Block::Text {
            heading,
            text,
            evidence: Vec::new()
        }),
        (heading(), proptest::collection::vec((any_text(), any_text()), 0..40)).prop_map(
            |(heading, fields)| {
                let field = |(label, value)| Field { label, value };
                Block::Fields { heading, fields: fields.into_iter().map(field).collect() }
            }
        ),
        (heading(), proptest::collection::vec(any_text(), 0..60)).prop_map(|(heading, items)| {
            Block::List { heading, items: items.into_iter().map(Item::plain).collect() }
        }),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn any_card_is_within_the_limits_and_pings_nobody(
        blocks in proptest::collection::vec(any_block(), 0..14),
        title in any_text(),
        context in any_text(),
        footer in any_text(),
        labels in proptest::collection::vec((any_text(), "[0-9a-f]{16}"), 0..40),
        n_services in prop_oneof![Just(0_usize), Just(10_000)],
    ) {
        let mut blocks = blocks;
        let items = (0..n_services).map(|i| Item::plain(format!("service_{i}"))).collect();
        blocks.insert(blocks.len() / 2, Block::List { heading: None, items });
        let id = ProposalId::derive(Time::from_ms(1), &["x"]);
        let buttons = labels.into_iter().map(|(label, digest)| Button {
            digest: Some(digest),
            subject: Subject::Proposal(id),
            ..button(Verb::Approve, &label)
        });
        let buttons: Vec<_> = buttons.collect();
        let menu = buttons.iter().rev().take(40).cloned().collect();
        let card = Card { title, context, blocks, buttons, menu, footer, ..card() };
        let message = render::message(Some("any"), &Content::card(card));
        prop_assert_eq!(wrong(&message), Vec::<String>::new());
        prop_assert!(render::carries(&message, "any"));
    }

    #[test]
    fn any_words_are_within_the_limits_and_ping_nobody(words in any_text(), key in ".{0,300}") {
        let message = render::message(Some(&key), &Content::text(words));
        prop_assert_eq!(wrong(&message), Vec::<String>::new());
        prop_assert!(render::carries(&message, &key));
        prop_assert!(render::nonce(&key).len() <= 25);
    }

    #[test]
    fn any_form_is_a_modal_within_the_limits(
        fields in proptest::collection::vec(any_field(), 0..9),
        title in any_text(),
    ) {
        let numbered = |(i, field): (usize, FormField)| FormField { name: format!("f{i}"), ..field };
        let fields = fields.into_iter().enumerate().map(numbered).collect();
        let modal = modal::modal(&Form { title, fields, ..form() });
        prop_assert_eq!(rules::modal(&modal), []);
    }

    #[test]
    fn a_cut_text_is_never_longer_than_its_room(words in any_text(), room in 0_usize..5_000) {
        prop_assert!(length(&fit(&words, room)) <= room);
        prop_assert!(length(&line(&words, room.max(1))) <= room.max(1));
    }
}

fn any_answer() -> impl Strategy<Value = String> {
    let line = prop_oneof![
        4 => any_text(),
        3 => "[a-z <>&@`*_.]{0,200}",
        1 => Just("```sql".to_owned()),
        1 => Just("```".to_owned()),
        1 => "[*_`]{500,2000}",
        1 => "https://shop.example/[a-z]{1,40}",
        1 => Just("@everyone @here ".repeat(40)),
    ];
    proptest::collection::vec(line, 0..30).prop_map(|lines| lines.join("\n"))
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(12))]

    #[test]
    fn every_part_of_an_answer_is_shown_whole(text in any_answer(), footer in any_text()) {
        // The room that the platform tells for one message of an answer.
        for text in crate::chat::split::split(&text, super::ANSWER) {
            let blocks = vec![Block::Text { heading: None, text, evidence: Vec::new() }];
            let card = Card { blocks, footer: footer.clone(), ..Card::words("", "") };
            let message = render::message(Some("key"), &Content::card(card));
            prop_assert_eq!(wrong(&message), Vec::<String>::new());
            let shown = message["embeds"][0]["description"].as_str().unwrap_or_default();
            prop_assert!(!shown.contains(" more characters)"), "{}", shown);
            prop_assert!(message["embeds"].as_array().is_none_or(|e| e.len() <= 2), "{}", message);
        }
    }
}
