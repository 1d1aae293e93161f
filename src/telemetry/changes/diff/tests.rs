//! What is told of two sides, and that no secret is.

use serde_json::json;

use super::*;

fn told(before: &Value, after: &Value) -> Vec<String> {
    lines(Some(before), Some(after), &["worker_concurrency", "key"]).expect("is compared")
}

#[test]
fn values_are_told_by_path_and_texts_by_line() {
    let old = json!({ "pool": { "max": 24, "hosts": ["a", "b"] }, "debug": false, "gone": 1 });
    let new = json!({ "pool": { "max": 48, "hosts": ["a", "c"] }, "debug": false, "new": "x" });
    let expected = ["- gone: 1", "pool.hosts[1]: b → c", "pool.max: 24 → 48", "+ new: x"];
    assert_eq!(told(&old, &new), expected);
    assert_eq!(told(&json!(old.to_string()), &json!(new.to_string())), expected);
    assert_eq!(
        told(&json!("pool:\n  max: 24\n"), &json!("pool:\n  max: 48")),
        ["pool.max: 24 → 48"]
    );
    assert_eq!(told(&json!(24), &json!(48)), ["24 → 48"]);
    assert_eq!(
        told(&json!("allow a\nallow b\ndeny all"), &json!("allow a\ndeny all\nlog")),
        ["- allow b", "+ log"]
    );
    let file = |n: u8| json!({ "app.ini": format!("[db]\nhost = a\npool = {n}\n") });
    assert_eq!(told(&file(1), &file(2)), ["app.ini: - pool = 1", "app.ini: + pool = 2"]);
    assert_eq!(told(&json!("a"), &Value::Null), ["- a"]);
    assert_eq!(told(&old, &old), ["before and after are the same"]);
    assert!(lines(None, Some(&Value::Null), &[]).expect("nothing").is_empty());
}

/// What is sent, with a secret in it, and what is told of it.
type Case<'a> = (&'a dyn Fn(&str) -> Value, &'a str);

#[test]
fn a_secret_is_told_to_have_changed_and_never_what_it_was_or_is() {
    let (old, new) = ("hunter2old", "Tr0ub4dor&3new");
    let of = |f: &dyn Fn(&str) -> Value| told(&f(old), &f(new));
    let cases: [Case<'_>; 21] = [
        (&|s| json!({ "db": { "password": s } }), "db.password: changed"),
        (&|s| json!({ "db": { "password": { "value": s } } }), "db.password: changed"),
        (&|s| json!({ "api_token": [s, "x"] }), "api_token: changed"),
        (&|s| json!({ "env": [{ "name": "DB_PASSWORD", "value": s }] }), "env[0].value: changed"),
        (&|s| json!({ "kind": "Secret", "data": { "a": s } }), "data: changed"),
        (&|s| json!({ "url": format!("postgres://u:{s}@db/a") }), "url: changed"),
        (&|s| json!({ "f": format!("a = 1\ndb.password = {s}\n") }), "f: db.password"),
        (&|s| json!(format!("a: 1\npassword:\n  - {s}\n")), "password: changed"),
        (&|s| json!(format!("[db]\npassword = \"{s}\"\n")), "password"),
        (&|s| json!(format!("set {{\n name = \"db.password\"\n value = \"{s}\"\n}}")), "value"),
        (
            &|s| json!(format!("a\n-----BEGIN PRIVATE KEY-----\n{s}\n-----END PRIVATE KEY-----")),
            "changed",
        ),
        (&|s| json!(format!("kind: Secret\ndata:\n  DSN: {s}\n---\nkind: Pod\n")), "DSN: "),
        (
            &|s| {
                let last = json!({ "data": { "a": s } }).to_string();
                json!({ "kind": "Secret", "metadata": { "annotations": { "last": last } } })
            },
            "metadata: changed",
        ),
        (
            &|s| {
                let env = json!([{ "env": [{ "name": "DB_PASSWORD", "value": s }] }]);
                json!({ "container_definitions": env.to_string() })
            },
            "container_definitions[0].env[0].value: changed",
        ),
        (&|s| json!([{ "Name": "DB_PASSWORD", "Value": s }]), "[0].Value: changed"),
        (&|s| json!({ "args": ["--password", s] }), "args[1]: changed"),
        (&|s| json!({ "cmd": format!("run --password {s}") }), "cmd: changed"),
        (&|s| json!(format!("requirepass {s}\nport 6379\n")), "changed"),
        (&|s| json!(format!("ALTER ROLE app WITH PASSWORD '{s}';")), "changed"),
        (&|s| json!({ "tokens": { s: "alice" } }), "tokens: changed"),
        (&|s| json!(format!("x = 1\npassword = \"\"\"\n{s}\n\"\"\"\n")), "changed"),
    ];
    for (n, (made, says)) in cases.into_iter().enumerate() {
        let said = of(made).join("\n");
        assert!(said.contains(says) && said.contains("changed, not shown"), "{n}: {said}");
        let all = [said, lines(None, Some(&made(new)), &[]).expect("added").join("\n")];
        for shown in all {
            assert!(!shown.contains(old) && !shown.contains("Tr0ub"), "{n}: {shown}");
        }
    }
    // A secret may hold the very words that name one.
    let worded = |n: u8| {
        json!([
            { "name": "DB_PASSWORD", "value": format!("my-secret-token{n}") },
            { "args": ["--password", format!("secretpass{n}"), "--port=1"] },
        ])
    };
    let said = told(&worded(1), &worded(2));
    assert_eq!(said, ["[0].value: changed, not shown", "[1].args[1]: changed, not shown"]);
    // Nothing may name it at all.
    let drawn = |n: u8| json!({ "peer": format!("q7Xw2LmP{n}vTz9KdRb4Hs"), "dsn": format!("a Zk3{n}pQ8w-Lr5Tn0XcB_7mVd") });
    assert_eq!(told(&drawn(1), &drawn(2)), ["dsn: changed, not shown", "peer: changed, not shown"]);
    let small =
        |n: u8| json!({ "note": format!("x7f3k2m9q{n}"), "tag": format!("1.4.{n}-3f9c2ab") });
    let expected = ["note: changed, not shown", "tag: 1.4.1-3f9c2ab → 1.4.2-3f9c2ab"];
    assert_eq!(told(&small(1), &small(2)), expected);
    // What has capitals and digits as names have them, or is a digest, is none.
    let names = |n: u8| {
        json!({
            "class": format!("com.example.MyConnectionPool{n}Settings"),
            "host": format!("ip-10-0-1-2{n}.eu-central-1.compute.internal"),
            "image": format!("shop@sha256:9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a{n}8"),
        })
    };
    let said = told(&names(1), &names(2));
    assert!(
        said.len() == 3 && said.iter().all(|l| l.contains('1') && l.contains(" → ")),
        "{said:?}"
    );
    // The name may stand beside it.
    let beside = lines(Some(&json!(old)), Some(&json!(new)), &["db_password"]).expect("told");
    assert_eq!(beside, ["changed, not shown"]);
    let tree = |s: &str| json!({ "a": s });
    let beside = lines(Some(&tree(old)), Some(&tree(new)), &["db_password"]).expect("told");
    assert_eq!(beside, ["all: changed, not shown"]);
}

#[test]
fn beside_a_secret_short_numbers_and_switches_are_shown_and_a_broken_file_is_compared() {
    let key = "-----BEGIN PRIVATE KEY-----\nhunter2\n-----END PRIVATE KEY-----\n";
    let ini = |pool: u32| json!(format!("[db]\npool = {pool}\npassword = x1\n{key}"));
    assert_eq!(told(&ini(16), &ini(64)), ["- pool = 16", "+ pool = 64"]);
    assert_eq!(told(&json!("a: 1\nb: 2\n"), &json!("a: 1\nb: [2\n")), ["- b: 2", "+ b: [2"]);
    let both = |n: u8| json!({ "a.b": n, "a": { "b": n } });
    assert_eq!(told(&both(1), &both(2)), ["a.b: 1, 1 → 2, 2"]);
    assert_eq!(told(&json!("a: 1 # one"), &json!("a: 1")), ["only how it is written"]);
    let deep = json!({ "k".repeat(1_000): vec![0; 3_000] });
    let refused = lines(None, Some(&deep), &[]).expect_err("too much").to_string();
    assert!(refused.contains("bytes of paths"), "{refused}");
}

#[test]
fn it_is_bounded_and_what_is_cut_is_said() {
    let many = |c: &str| (0..500).map(|n| format!("{c} {n}\n")).collect::<Vec<_>>().concat();
    let said = told(&json!(many("a")), &json!(many("b")));
    assert_eq!((said.len(), said[20].as_str()), (21, "… and 980 more"));
    let long = told(&json!({ "a": "x" }), &json!({ "a": "é".repeat(1_000) }));
    assert_eq!((long[0].chars().count(), long[0].ends_with('…')), (MOST_CHARS, true));
    let refused = |v: Value| lines(None, Some(&v), &[]).expect_err("too large").to_string();
    assert!(refused(json!("x".repeat(MOST_BYTES + 1))).contains("/after: 262145 bytes"));
    assert!(refused(json!("x\n".repeat(MOST_READ + 1))).contains("4001 lines"));
    let mixed = lines(Some(&json!("a b")), Some(&json!({ "a": 1 })), &[]).expect_err("mixed");
    assert!(mixed.to_string().contains("/after: expected an object where /before is one"));
}
