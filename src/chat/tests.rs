//! Buttons, forms and the console against a real store.

pub(super) mod hostile;

use std::sync::Arc;

use proptest::prelude::*;

use super::console::Console;
use super::*;
use crate::bus::{Bus, Event, Heard};
use crate::model::clock::ManualClock;
use crate::model::{
    Actor, AlertId, HarmlessId, IncidentId, ProposalId, Role, RunId, SilenceId, Time, TuningId,
};
use crate::store::{Filter, Store};

fn console() -> (tempfile::TempDir, Store, Bus, Console, Arc<ManualClock>) {
    let folder = tempfile::tempdir().expect("a scratch folder");
    let store = Store::open(&folder.path().join("nightjar.sqlite")).expect("opens");
    let (bus, clock) = (Bus::default(), ManualClock::new(Time::from_ms(1_000)));
    let console = Console::new(store.clone(), bus.clone(), clock.clone());
    (folder, store, bus, console, clock)
}

fn person(id: &str) -> Actor {
    Actor { via: "console".into(), id: id.into(), name: id.into(), role: Role::Responder }
}

#[tokio::test]
async fn the_same_key_gives_one_message_edited_in_place() {
    let (_folder, store, bus, console, clock) = console();
    let mut heard = bus.subscribe();
    let draft =
        |text: &str| Draft::new("incident:INC-1:console:main", "incidents", Content::text(text));
    let first = console.post(draft("one")).await.expect("posts");
    let again = console.post(draft("one")).await.expect("posts");
    clock.advance(std::time::Duration::from_secs(5));
    let edited = console.post(draft("two")).await.expect("edits");
    assert_eq!((&first, &first), (&again, &edited));
    let reply = Draft::new("r1", "incidents", Content::text("reply"));
    console.post(Draft { thread: Some(first), ..reply }).await.expect("replies");
    let all = store.read(|r| r.list::<Message>(&Filter::parent("incidents"))).await.expect("reads");
    assert_eq!(all.len(), 2);
    assert_eq!(all[0].content, Content::text("two"));
    assert_eq!(all[0].edited_at, Some(Time::from_ms(6_000)));
    assert_eq!(all[1].thread, Some(all[0].id));
    let rings = [heard.next().await, heard.next().await, heard.next().await];
    let ring = |n: usize| Heard::Event(Event::Message(all[n].id));
    assert_eq!(rings, [ring(0), ring(0), ring(1)], "an unchanged message rings no bell");
}

#[tokio::test]
async fn ephemeral_words_are_for_one_person() {
    let (_folder, store, _bus, console, _clock) = console();
    let to = person("ada");
    let address =
        Address { actor: to.clone(), channel: "incidents".into(), thread: None, trigger: None };
    console.ephemeral(address, Content::text("psst")).await.expect("says");
    let all = store.read(|r| r.list::<Message>(&Filter::all())).await.expect("reads");
    assert!(all[0].visible_to(&to));
    assert!(!all[0].visible_to(&person("bob")));
}

#[test]
fn durations_and_times_are_read_as_people_write_them() {
    let now = Time::parse("2026-11-24T10:00:00Z").expect("valid");
    assert_eq!(form::parse_duration("1h 30m"), Ok(5_400_000));
    assert_eq!(form::parse_duration("2 days"), Ok(172_800_000));
    for bad in ["", "h", "5", "5 fortnights", "0 s", "99999999999999999999 d", "400 d"] {
        assert!(form::parse_duration(bad).is_err(), "{bad}");
    }
    let at = Time::parse("2026-11-24T14:30:00Z");
    for good in ["2026-11-24 14:30", "2026-11-24 14:30 UTC", "2026-11-24T14:30:00Z", "in 4h 30m"] {
        assert_eq!(form::parse_time(good, now), at, "{good}");
    }
    assert!(form::parse_time("tomorrow-ish", now).is_err());
}

proptest! {
    #[test]
    fn a_button_is_read_back_as_it_was(ms in 0_i64..4_000_000_000_000, name in ".*", digest in "[0-9a-f]{16}") {
        let id = ProposalId::derive(Time::from_ms(ms), &[&name]);
        let button = Button {
            verb: Verb::Approve,
            label: String::new(),
            style: Style::Plain,
            subject: Subject::Proposal(id),
            digest: Some(digest),
        };
        let code = button.code();
        prop_assert!(code.len() <= Button::MAX_BYTES);
        prop_assert_eq!(Button::parse(&code), Ok(button));
    }

    #[test]
    fn whatever_is_read_has_one_spelling(code in "(v[12]:)?[a-z_]{0,16}:(PRP|INC|RUN)-[0-9A-Za-z]{26}(:[0-9a-fA-F]{15,17})?|.*") {
        if let Ok(button) = Button::parse(&code) {
            prop_assert_eq!(button.code(), code);
        }
    }
}

fn any_subject() -> impl Strategy<Value = Subject> {
    (0_i64..4_000_000_000_000, ".*", 0_u8..8).prop_map(|(ms, name, kind)| {
        let (at, parts) = (Time::from_ms(ms), [name.as_str()]);
        match kind {
            0 => Subject::Incident(IncidentId::derive(at, &parts)),
            1 => Subject::Alert(AlertId::derive(at, &parts)),
            2 => Subject::Proposal(ProposalId::derive(at, &parts)),
            3 => Subject::Run(RunId::derive(at, &parts)),
            4 => Subject::Silence(SilenceId::derive(at, &parts)),
            5 => Subject::Tuning(TuningId::derive(at, &parts)),
            6 => Subject::Harmless(HarmlessId::derive(at, &parts)),
            _ => Subject::Nothing,
        }
    })
}

proptest! {
    /// Every verb has a subject that it belongs to, and none is taken with any other.
    #[test]
    fn every_verb_is_read_back_with_its_own_subjects(
        n in 0..Verb::ALL.len(),
        subject in any_subject(),
        digest in proptest::option::of("[0-9a-f]{16}"),
    ) {
        let verb = Verb::ALL[n];
        let button = Button { verb, label: String::new(), style: Style::Plain, subject, digest };
        let code = button.code();
        prop_assert!(code.len() <= Button::MAX_BYTES);
        let decides = matches!(verb, Verb::Approve | Verb::Schedule | Verb::Ignore);
        let fits = match subject {
            Subject::Incident(_) => {
                let others = matches!(
                    verb,
                    Verb::Rollback
                        | Verb::Declare
                        | Verb::EndSilence
                        | Verb::Apply
                        | Verb::Decline
                );
                !decides && !others
            }
            Subject::Alert(_) => matches!(verb, Verb::Why | Verb::Silence),
            Subject::Proposal(_) => decides || verb == Verb::Why,
            Subject::Run(_) => verb == Verb::Rollback,
            Subject::Silence(_) => verb == Verb::EndSilence,
            Subject::Tuning(_) | Subject::Harmless(_) => matches!(verb, Verb::Apply | Verb::Decline),
            Subject::Nothing => matches!(verb, Verb::Declare | Verb::Silence),
        };
        let fits = fits && button.digest.is_some() == decides;
        match Button::parse(&code) {
            Ok(read) => prop_assert!(fits && read == button, "{}", code),
            Err(_) => prop_assert!(!fits, "{}", code),
        }
    }
}

#[test]
fn a_decision_without_a_digest_is_no_button() {
    let id = ProposalId::derive(Time::from_ms(1), &["x"]);
    assert!(Button::parse(&format!("v1:approve:{id}")).is_err());
    assert!(Button::parse(&format!("v1:approve:{id}:0123456789abcdef")).is_ok());
    assert!(
        Button::parse(&format!("v1:approve:{}:0123456789abcdef", id.to_string().to_lowercase()))
            .is_err()
    );
    assert!(Button::parse(&format!("v1:resolve:{id}")).is_err());
}
