//! Changes of detection, decided from a chat: listed with their backtest, asked about, done once.

use std::collections::BTreeMap;

use super::attend::Process;
use super::{World, person, refusal, t0};
use crate::chat::{Form, FormKind};
use crate::command::{Counter, lists};
use crate::model::time::DAY_MS;
use crate::model::tuning::{BeforeAfter, TuningTrial};
use crate::model::{BarScope, EntityRef, Indicator, Refused, Role, Tuning, TuningId, TuningState};

fn tuning(name: &str) -> Tuning {
    let pair = |before, after| BeforeAfter { before, after };
    Tuning {
        id: TuningId::derive(t0(), &[name]),
        at: t0(),
        scope: BarScope::indicator(EntityRef::service(name), Indicator::Duration),
        from: 1.0,
        factor: 1.5,
        state: TuningState::Open,
        title: format!("Raise the bar for durations of {name}."),
        why: "3 incidents that it told were called no incident (#1, #2, #3).".into(),
        trial: Some(TuningTrial {
            since: t0().plus_ms(-DAY_MS),
            until: t0(),
            n_series: 1,
            anomalies: pair(5, 1),
            alerts: pair(3, 0),
            incidents: pair(3, 0),
            n_new: 0,
            told: Vec::new(),
            text: "Over 1.0 stored days: 1 anomalies instead of 5.".into(),
        }),
        judged: Vec::new(),
        expires_at: t0().plus_ms(7 * DAY_MS),
        holds_days: 56,
        decided: None,
        until: None,
        taken_back: None,
    }
}

fn told(form: &Form) -> Vec<&str> {
    let fixed = form.fields.iter().filter(|f| f.kind == FormKind::Fixed);
    fixed.map(|f| f.value.as_str()).collect()
}

#[tokio::test]
async fn a_change_of_detection_is_decided_on_where_approvals_are() {
    let world = World::new();
    let (slow, other) = (tuning("orders"), tuning("cart"));
    let stale = Tuning { expires_at: t0(), ..tuning("search") };
    let put = [slow.clone(), other.clone(), stale];
    world.store.write(move |tx| put.iter().try_for_each(|t| tx.put(t))).await.expect("written");

    let list = world.store.read(|r| lists::approvals(r, t0())).await.expect("reads");
    assert_eq!(list.title, "2 to decide on");
    let codes: Vec<String> = list.buttons.iter().map(crate::chat::Button::code).collect();
    let of = |verb: &str, t: &Tuning| format!("v1:{verb}:{}", t.id);
    let (yes, no) = (of("apply", &slow), of("decline", &other));
    assert!(codes.len() == 4 && codes.contains(&yes) && codes.contains(&no), "{codes:?}");
    assert!(format!("{list:?}").contains("1 anomalies instead of 5"), "its backtest is shown");

    let counter = Counter::new(world.desk.clone());
    let form = counter.open(&person("cem", Role::Approver), &yes).await.expect("he may");
    let form = form.expect("something is asked");
    assert_eq!(told(&form)[2], "Over 1.0 stored days: 1 anomalies instead of 5.");
    assert!(form.danger, "it changes what is told");
    let ada = counter.open(&person("ada", Role::Responder), &yes).await;
    assert!(matches!(refusal(ada), Refused::Forbidden(_)));

    let clerk = Process::of(&world).clerk;
    let send = async |code: &str, reason: &str| {
        let given: BTreeMap<_, _> = [("reason".to_owned(), reason.to_owned())].into();
        clerk.submit(&person("cem", Role::Approver), (code, given), "").await
    };
    let done = send(&yes, "known noise").await.expect("applied");
    assert!(done.words.starts_with("Applied until 20"), "{}", done.words);
    let done = send(&no, "").await.expect("declined");
    assert_eq!(done.words, "Declined: Raise the bar for durations of cart.");
    let again = refusal(send(&yes, "").await);
    assert!(again.to_string().contains("decided already"), "{again}");
    let get = |id| world.store.read(move |r| r.get::<Tuning>(id));
    let applied = get(slow.id).await.expect("reads").expect("it is kept");
    assert_eq!(
        (applied.state, applied.decided.expect("by him").reason.as_str()),
        (TuningState::Applied, "known noise")
    );
    let declined = get(other.id).await.expect("reads").expect("it is kept");
    assert_eq!(declined.state, TuningState::Declined);
    let list = world.store.read(|r| lists::approvals(r, t0())).await.expect("reads");
    assert!(list.buttons.is_empty());
}
