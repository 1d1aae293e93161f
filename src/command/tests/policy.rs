//! Silences under their policy, the halt switch, API tokens and their secrets.

use super::{World, person, refusal, rung, t0};
use crate::approve::{HALT, Halt};
use crate::bus::Event;
use crate::command::{ApiToken, NewSilence, NewToken, Silences, secret};
use crate::model::{Matcher, Refused, Role, Silence};
use crate::store::Filter;

fn quiet(minutes: i64, maintenance: bool) -> NewSilence {
    let matcher: Matcher = "service=\"orders\"".parse().expect("a matcher");
    NewSilence {
        matchers: vec![matcher],
        starts_at: None,
        duration_ms: minutes * 60_000,
        reason: "noisy".into(),
        maintenance,
    }
}

#[tokio::test]
async fn silences_keep_to_their_policy() {
    let world = World::new();
    let policy = Silences { role: Role::Approver, longest_h: 2, longest_maintenance_h: 48 };
    let desk = world.desk.clone().with_silences(policy);
    let (bea, cem) = (person("bea", Role::Responder), person("cem", Role::Approver));
    let text = refusal(desk.silence(&bea, quiet(5, false)).await).to_string();
    assert!(text.contains("role approver"), "{text}");
    let text = refusal(desk.silence(&cem, quiet(121, false)).await).to_string();
    assert!(text.contains("between one minute and 2 h"), "{text}");
    let text = refusal(desk.silence(&cem, quiet(48 * 60 + 1, true)).await).to_string();
    assert!(text.contains("between one minute and 2 days"), "{text}");
    let mut heard = world.bus.subscribe();
    let made = desk.silence(&cem, quiet(120, false)).await.expect("within bounds");
    assert_eq!((made.starts_at, made.ends_at), (t0(), t0().plus_ms(7_200_000)));
    assert_eq!(rung(&mut heard, &world.bus).await, [Event::Silence(made.id)]);
    assert!(desk.silence(&cem, quiet(48 * 60, true)).await.is_ok());
    let text = refusal(desk.end_silence(&bea, made.id).await).to_string();
    assert!(text.contains("role approver"), "{text}");
    let ended = desk.end_silence(&cem, made.id).await.expect("it is in force");
    assert_eq!(ended.ends_at, t0());
    assert!(matches!(refusal(desk.end_silence(&cem, made.id).await), Refused::NotFound(_)));
    let all = world.store.read(|r| r.list::<Silence>(&Filter::all())).await.expect("silences");
    assert_eq!(all.len(), 2);
    let actions: Vec<String> = world.audit().await.into_iter().map(|r| r.action).collect();
    assert_eq!(actions, ["silence.end", "silence.create", "silence.create"]);
}

#[tokio::test]
async fn a_silence_of_the_past_begins_now() {
    let world = World::new();
    let bea = person("bea", Role::Responder);
    let new = NewSilence { starts_at: Some(t0().plus_ms(-600_000)), ..quiet(5, false) };
    let made = world.desk.silence(&bea, new).await.expect("a silence");
    assert_eq!((made.starts_at, made.ends_at), (t0(), t0().plus_ms(300_000)));
    let all =
        NewSilence { matchers: vec!["a=~\".*\"".parse().expect("a matcher")], ..quiet(5, false) };
    assert!(matches!(refusal(world.desk.silence(&bea, all).await), Refused::Invalid(_)));
}

#[tokio::test]
async fn the_halt_stays_until_an_admin_lifts_it() {
    let world = World::new();
    let (cem, ada) = (person("cem", Role::Approver), person("ada", Role::Admin));
    let halted = async || {
        world.store.read(|r| r.value::<Option<Halt>>(HALT)).await.expect("a value").flatten()
    };
    assert_eq!(halted().await, None);
    world.desk.halt(&cem, "a freeze").await.expect("he may");
    let again = world.desk.halt(&ada, " ").await.expect("she may");
    assert_eq!(again.reason, "halted by hand");
    assert_eq!(halted().await, Some(again), "the newest word stands");
    assert!(refusal(world.desk.unhalt(&cem).await).to_string().contains("role admin"));
    world.desk.unhalt(&ada).await.expect("she may");
    assert_eq!(halted().await, None);
}

#[tokio::test]
async fn of_two_tokens_with_one_name_one_is_made() {
    let world = World::new();
    let ada = person("ada", Role::Admin);
    let new = || NewToken { name: "pager".into(), role: Role::Viewer, days: None };
    let (a, b) = tokio::join!(
        world.desk.create_token(&ada, new(), &[]),
        world.desk.create_token(&ada, new(), &[])
    );
    let (made, lost) = if a.is_ok() { (a, b) } else { (b, a) };
    assert!(matches!(refusal(lost), Refused::Conflict(_)));
    let (token, given) = made.expect("one of them");
    assert_eq!(token.hash, secret::digest(&given).to_string());
    assert_eq!(token.expires_at, None);
    assert!(token.works_at(t0()));
    let (taken, x) = (["x".to_owned()], NewToken { name: "x".into(), ..new() });
    let configured = world.desk.create_token(&ada, x, &taken).await;
    assert!(matches!(refusal(configured), Refused::Conflict(_)));
    let revoked = world.desk.revoke_token(&ada, &token.id()).await.expect("it works");
    assert!(!revoked.works_at(t0()));
    let kept = world.store.read(|r| r.list::<ApiToken>(&Filter::all())).await.expect("tokens");
    assert_eq!(kept, [revoked]);
}

#[test]
fn secrets_differ_and_compare_by_digest() {
    let (a, b) = (secret::random(), secret::random());
    assert_ne!(a, b);
    assert!(secret::same(&secret::digest(&a), &secret::digest(&a)));
    assert!(!secret::same(&secret::digest(&a), &secret::digest(&b)));
    let abc = secret::digest("abc").to_string();
    // FIPS 180-4's example.
    assert_eq!(abc, "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
}
