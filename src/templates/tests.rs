//! What becomes of messages: what is masked, what joins, what merges later, what stays within
//! bounds.

use super::{Merge, Miner};

mod lines;
mod props;

/// The template of a line alone: what is masked at first sight.
fn masked(line: &str) -> String {
    let mut miner = Miner::new(1);
    let id = miner.learn(line.as_bytes()).id;
    miner.text(id).unwrap_or_default()
}

#[test]
fn what_varies_is_masked_and_words_stay() {
    for (line, expected) in [
        ("request 81 took 4.2 ms", "request <*> took <*>"),
        ("connection to 10.0.0.7:5432 refused", "connection to <*> refused"),
        ("peer [fe80::1]:443 and ::1 are gone", "peer <*> and <*> are gone"),
        ("mac 00:11:22:e3:ba:c3 seen", "mac <*> seen"),
        ("user=amber order_id=8812 done", "user=<*> order_id=<*> done"),
        ("loaded /etc/app/main.conf?x=1&y=2, ok", "loaded <*>, ok"),
        ("open C:\\x\\y.dll now", "open <*> now"),
        ("GET from https://a.b/c?d=e failed", "GET from <*> failed"),
        ("10.1.1.1 \"GET /orders/7 HTTP/1.1\" status: 200", "<*> \"GET <*> <*>\" status: <*>"),
        ("can't find module 'http'", "can't find module <*>"),
        ("commit deadbeefcafe by ssh2 on L3", "commit <*> by ssh2 on L3"),
        ("done on Sat, 21 Nov 2026 14:00:01 +0000 again", "done on <*> again"),
        ("sent 0 bytes (0 KB), alive <1 sec", "sent <*>, alive <*>"),
        ("retry is true for null", "retry is <*> for <*>"),
        ("payload {\"a\":{\"b\":\"}\"}} dropped", "payload <*> dropped"),
        ("opts {a=1, b=2} and [x, y, z]", "opts <*> and [<*>]"),
        ("labels map[app:web tier:front] set", "labels <*> set"),
        ("waiting......0", "waiting......<*>"),
        ("key abcABC012/+xyzabcABC== read", "key <*> read"),
        ("flag == other", "flag == other"),
        ("", ""),
        ("   ", ""),
        ("\u{7}bell\u{0}rang", "bell rang"),
    ] {
        assert_eq!(masked(line), expected, "{line}");
    }
}

/// The templates of lines, in order of first sight.
fn templates(lines: &[String]) -> Vec<String> {
    let mut miner = Miner::new(1_000);
    for line in lines {
        miner.learn(line.as_bytes());
    }
    miner.iter().map(|(_, text, _)| text).collect()
}

const TREES: [&str; 12] = [
    "amber", "birch", "cedar", "dogwood", "elder", "fir", "ginkgo", "hazel", "iroko", "juniper",
    "kapok", "larch",
];

#[test]
fn many_lines_of_few_statements_give_few_templates() {
    let mut miner = Miner::new(100);
    for i in 0..5_000 {
        let tree = TREES[i % 3];
        for line in [
            format!("request {i} served in {} ms", i % 90),
            format!("connection to 10.1.{}.{}:5432 refused", i % 7, i % 250),
            format!("pool orders-db exhausted: {i} waiters after 3{i} ms"),
            format!("user {tree} logged in"),
        ] {
            miner.learn(line.as_bytes());
        }
    }
    let all: Vec<String> = miner.iter().map(|(_, text, _)| text).collect();
    insta::assert_debug_snapshot!(all, @r#"
    [
        "request <*> served in <*>",
        "connection to <*> refused",
        "pool orders-db exhausted: <*> waiters after <*>",
        "user <*> logged in",
    ]
    "#);
    assert_eq!(miner.lines(), 20_000);
}

#[test]
fn unlike_errors_stay_apart() {
    let mut miner = Miner::new(100);
    let a = miner.learn(b"connection refused by auth-db");
    let b = miner.learn(b"deadlock detected in orders");
    assert!(a.is_new && b.is_new && a.id != b.id);
    assert_eq!(miner.find(b"connection refused by auth-db"), Some(a.id));
    assert_eq!(miner.find(b"something else entirely happened"), None);
}

#[test]
fn words_that_take_many_values_vary() {
    let lines: Vec<String> = TREES.iter().map(|n| format!("the quota of {n} was raised")).collect();
    assert_eq!(templates(&lines), ["the quota of <*> was raised"]);
    let pairs: Vec<String> = (0..144)
        .map(|i| format!("swapped {} with ({}) as asked", TREES[i * 7 % 12], TREES[i / 12]))
        .collect();
    assert_eq!(templates(&pairs), ["swapped <*> with (<*>) as asked"]);
}

#[test]
fn words_that_take_few_values_stay() {
    let lines: Vec<String> = ["starting", "stopping", "stalling"]
        .iter()
        .flat_map(|s| (0..50).map(move |i| format!("the worker is {s} after job {i}")))
        .collect();
    assert_eq!(templates(&lines).len(), 3);
}

#[test]
fn a_word_after_user_and_the_like_varies_at_once() {
    let lines = ["amber", "birch"].map(|n| format!("desk opened for user {n} by (rank=0)"));
    assert_eq!(templates(&lines), ["desk opened for user <*> by (rank=<*>)"]);
}

#[test]
fn lists_of_any_length_are_one_template() {
    let lines: Vec<String> =
        (1..6).map(|n| format!("bad sets{} found", " node-1 0xff <ok>".repeat(n))).collect();
    assert_eq!(templates(&lines).len(), 1);
}

#[test]
fn a_value_with_marks_in_it_is_covered_as_a_whole() {
    let lines = ["10.0.0.1", "10.0.0.2", "a(b)", "ns:pod|c", "<x>"]
        .map(|v| format!("{v} error : could not be resolved"));
    assert_eq!(templates(&lines), ["<*> error : could not be resolved"]);
    // Also when it came first.
    let late = ["upgrade of a(b) is done", "upgrade of 7 is done"].map(str::to_owned);
    assert_eq!(templates(&late).len(), 1);
}

#[test]
fn free_text_ends_up_as_one_template() {
    let word = |n: usize| {
        TREES.map(|a| a.chars().rev().collect::<String>())[n % 12].clone() + TREES[n / 12 % 12]
    };
    let lines: Vec<String> = (0..2_000)
        .map(|i| format!("said {} {} {}", word(i * 7), word(i * 11 + 3), word(i * 5 + 1)))
        .collect();
    let found = templates(&lines);
    assert!(found.len() < 20, "{found:?}");
}

#[test]
fn merges_are_told_and_counts_kept() {
    let mut miner = Miner::new(100);
    let mut merges = Vec::new();
    for name in TREES {
        miner.learn(format!("quota {name} was raised again").as_bytes());
        merges.extend(miner.take_merges());
    }
    assert_eq!(merges.first(), Some(&Merge { from: 1, into: 0 }));
    let all: Vec<_> = miner.iter().collect();
    assert_eq!(all, [(0, "quota <*> was raised again".to_owned(), 12)]);
}

#[test]
fn a_flood_does_not_push_out_what_is_frequent() {
    let mut miner = Miner::new(50);
    let mut kept = None;
    for _ in 0..1_000 {
        kept = Some(miner.learn(b"pool exhausted").id);
    }
    for i in 0..300_u32 {
        // As many words as no other line has in common.
        let word = |n: u32| ((b'a' + (n % 26) as u8) as char).to_string().repeat(3);
        let line = format!("{}{} {}", word(i), word(i / 26), word(i / 7).repeat(2));
        let found = miner.learn(line.as_bytes());
        assert_eq!(found.evicted.is_some(), miner.evicted_text().is_some() && found.is_new);
    }
    assert_eq!(miner.find(b"pool exhausted"), kept);
    assert!(miner.iter().count() <= 50);
}
