//! A message in doubt after a long outage: the channel is read back to its first try.

use nightjar::chat::Place;
use nightjar::model::wall_now;

use super::*;

/// Messages of other people, one a minute, the newest now; before all of them ours, whose answer
/// was lost.
async fn busy_channel(stage: &Stage, n: i64) -> (Time, Value) {
    let Stage { fake, slack, .. } = stage;
    fake.trouble("chat.postMessage", Trouble::DoneUnsaid);
    slack.post(draft("INC-1/card", "one")).await.expect_err("nothing was said");
    let tried_at = wall_now().plus_ms(-(n + 1) * 60_000);
    let stamp = |at: Time| format!("{}.000001", at.ms() / 1_000);
    let mut workspace = fake.look();
    let all = workspace.messages.get_mut(CHANNEL).expect("ours stands");
    all[0]["ts"] = stamp(tried_at).into();
    let ours = all[0]["ts"].clone();
    all.extend((1..=n).map(|i| {
        let ts = stamp(tried_at.plus_ms(i * 60_000));
        json!({ "type": "message", "user": CY, "text": "talk", "ts": ts })
    }));
    (tried_at, ours)
}

/// Tries until it is not asked to come back; says where it stands and how often it was asked.
async fn until_known(slack: &Slack, draft: impl Fn() -> Draft) -> (Place, usize) {
    for n in 0..20 {
        match slack.post(draft()).await {
            Ok(place) => return (place, n),
            Err(Fault::Transient { after: Some(_), .. }) => {}
            Err(fault) => panic!("{}", fault.chain()),
        }
    }
    panic!("it never ends");
}

#[tokio::test(flavor = "multi_thread")]
async fn after_days_of_talk_a_lost_message_is_found_and_not_written_twice() {
    let stage = stage(None).await;
    let (fake, slack) = (&stage.fake, &stage.slack);
    // Three and a half days, twenty-six pages.
    let (tried_at, ours) = busy_channel(&stage, 5_100).await;
    let doubtful =
        || Draft { doubtful: true, tried_at: Some(tried_at), ..draft("INC-1/card", "two") };
    let (place, n_paused) = until_known(slack, doubtful).await;
    assert_eq!((ours, n_paused), (place.message.into(), 2));
    assert_eq!(fake.n_calls("conversations.history"), 26, "no page is read twice");
    assert_eq!(fake.messages(CHANNEL).len(), 5_101);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_first_tried_lately_is_looked_for_among_the_latest_only() {
    let stage = stage(None).await;
    let (fake, slack) = (&stage.fake, &stage.slack);
    busy_channel(&stage, 1_000).await;
    let lately = Some(wall_now().plus_ms(-3 * 60_000));
    let doubtful =
        || Draft { doubtful: true, tried_at: lately, ..draft("INC-2/card", "never written") };
    until_known(slack, doubtful).await;
    assert_eq!(fake.n_calls("conversations.history"), 1);
    assert_eq!(fake.messages(CHANNEL).len(), 1_002, "it was not there, so it is written");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_deleted_and_written_anew_with_a_lost_answer_stands_once() {
    let stage = stage(None).await;
    let (fake, slack) = (&stage.fake, &stage.slack);
    let place = slack.post(draft("INC-1/card", "one")).await.expect("is posted");
    fake.look().messages.clear();
    let tried_at = Some(wall_now());
    let edit = Draft { place: Some(place), tried_at, ..draft("INC-1/card", "two") };
    fake.trouble("chat.postMessage", Trouble::DoneUnsaid);
    slack.post(edit.clone()).await.expect_err("nothing was said");
    slack.post(Draft { doubtful: true, ..edit }).await.expect("it is found");
    assert_eq!(fake.messages(CHANNEL).len(), 1);
}
