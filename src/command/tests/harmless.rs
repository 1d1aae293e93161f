//! Patterns learned to be harmless, decided from a chat: listed with what their shadow counted,
//! asked about, done once.

use std::collections::BTreeMap;

use super::attend::Process;
use super::{World, person, refusal, t0};
use crate::command::{Counter, lists};
use crate::model::time::DAY_MS;
use crate::model::{
    EntityRef, Harmless, HarmlessId, HarmlessScope, HarmlessState, Refused, Role, Severity,
};

fn pattern(service: &str, state: HarmlessState) -> Harmless {
    Harmless {
        id: HarmlessId::derive(t0(), &[service]),
        at: t0(),
        scope: HarmlessScope {
            entity: EntityRef::service(service),
            name: "HighErrorRate".into(),
            most: Severity::Critical,
            hours: None,
        },
        state,
        since: t0().plus_ms(-8 * DAY_MS),
        title: format!("HighErrorRate on {service} opens no incident by itself."),
        why: "3 incidents were told by nothing else (#1, #2, #3).".into(),
        judged: Vec::new(),
        n_dismissed: 3,
        kept: Vec::new(),
        n_kept: 4,
        counted_until: t0(),
        followed: Vec::new(),
        holds_days: 28,
        n_confirmed: 0,
        decided: None,
        until: None,
        taken_back: None,
    }
}

#[tokio::test]
async fn a_pattern_is_confirmed_where_approvals_are() {
    let world = World::new();
    let open = pattern("pricing", HarmlessState::Open);
    let (other, young) =
        (pattern("cart", HarmlessState::Open), pattern("search", HarmlessState::Shadow));
    let put = [open.clone(), other.clone(), young.clone()];
    world.store.write(move |tx| put.iter().try_for_each(|p| tx.put(p))).await.expect("written");

    let list = world.store.read(|r| lists::approvals(r, t0())).await.expect("reads");
    assert_eq!(list.title, "2 to decide on", "what is in shadow is not asked for");
    assert!(format!("{list:?}").contains("it would have kept 4 alerts quiet"));
    let of = |verb: &str, p: &Harmless| format!("v1:{verb}:{}", p.id);

    let counter = Counter::new(world.desk.clone());
    let form = counter.open(&person("cem", Role::Approver), &of("apply", &open)).await;
    let form = form.expect("he may").expect("something is asked");
    assert!(form.danger && form.fields[2].value.contains("no confirmed incident followed"));
    let ada = counter.open(&person("ada", Role::Responder), &of("apply", &open)).await;
    assert!(matches!(refusal(ada), Refused::Forbidden(_)));
    let early = counter.open(&person("cem", Role::Approver), &of("apply", &young)).await;
    assert!(refusal(early).to_string().contains("in shadow still"));

    let clerk = Process::of(&world).clerk;
    let send = async |code: &str, reason: &str| {
        let given: BTreeMap<_, _> = [("reason".to_owned(), reason.to_owned())].into();
        clerk.submit(&person("cem", Role::Approver), (code, given), "").await
    };
    let done = send(&of("apply", &open), "a cache refills").await.expect("confirmed");
    assert!(done.words.starts_with("Confirmed until 20"), "{}", done.words);
    let done = send(&of("decline", &other), "").await.expect("declined");
    assert_eq!(done.words, "Declined: HighErrorRate on cart opens no incident by itself.");
    let again = refusal(send(&of("apply", &open), "").await);
    assert!(again.to_string().contains("decided already"), "{again}");
    let orders = world.store.read(|r| r.batches_after(0, 9)).await.expect("reads");
    let orders: Vec<_> = orders.into_iter().flat_map(|j| j.batch.harmless).collect();
    assert_eq!(orders.len(), 1, "one order through the journal");
    assert_eq!((orders[0].id, orders[0].until), (open.id, t0().plus_ms(28 * DAY_MS)));
}
