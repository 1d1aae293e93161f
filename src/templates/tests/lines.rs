//! What becomes of whole lines: heads, JSON, logfmt, and the lines of stack traces.

use crate::templates::{Folder, record};

#[test]
fn heads_are_taken_off() {
    for (line, level, message) in [
        ("Nov 21 10:00:01 web1 backup(weekly)[771]: disk full", "", "disk full"),
        ("[Sat Nov 21 10:00:01 2026] [notice] ready", "notice", "ready"),
        ("11-21 10:00:01.811  170  239 D ScreenKeeper: frozen", "D", "frozen"),
        ("2026-11-21T10:00:00.123Z  INFO shop::cart: added 3", "INFO", "added 3"),
        ("2026-11-21 10:00:00,123 - app.main - ERROR - no disk", "ERROR", "no disk"),
        ("2026-11-21 10:00:00,1 INFO  [main] c.a.Main - up", "INFO", "up"),
        ("2026/11/21 10:00:00 [error] 12#12: *4 refused", "error", "12#12: *4 refused"),
        ("10:00:00.123 [pool-1] WARN c.a.Pool - slow", "WARN", "slow"),
        ("2026-11-21T10:00:00Z listening on :8080", "", "listening on :8080"),
        ("261121 100001 148 INFO app.Node$X: gone", "INFO", "gone"),
        ("level=warn ts=1 msg=\"disk \\\"a\\\" full\" free=3", "warn", "disk \"a\" full"),
        (
            "{\"level\":\"error\",\"msg\":\"no\\u0020route\",\"n\":[1,{\"a\":2}]}",
            "error",
            "no route",
        ),
        ("2026-11-21T10:00:00.1Z stdout F {\"message\":\"hi\"}", "", "hi"),
        ("2026-11-21T10:00:00.1Z stderr F E1121 10:00:00.1 1 a.go:3] no", "E1121", "no"),
        ("I1121 10:00:00.123456    77 file.go:123] synced", "I1121", "synced"),
        ("\u{1b}[2m2026-11-21T10:00:00Z\u{1b}[0m \u{1b}[32m INFO\u{1b}[0m up", "INFO", "up"),
        ("{\"log\":\"2026-11-21 10:00:00 WARN slow\\n\",\"stream\":\"stderr\"}", "WARN", "slow"),
        ("2026-11-21T10:00:00Z {\"message\":\"hi\"}", "", "hi"),
        ("2026-11-21 10:00:00.123 | INFO     | app.main:run:12 - up", "INFO", "up"),
        ("[10:00:00 INF] up", "INF", "up"),
        ("2026-11-21T10:00:00.1Z  INFO 1 --- [main] c.a.App   : up", "INFO", "up"),
        ("2026-11-21 10:00:00.123 UTC [123] LOG:  checkpoint", "LOG", "checkpoint"),
        ("[2026-11-21T10:00:00,1][WARN ][o.e.n.Node   ] [node-1] slow", "WARN", "slow"),
        ("[2026-11-21 10:00:00.1][12][info][main] [a/b.cc:381] epoch 0", "info", "epoch 0"),
        ("<34>1 2026-11-21T10:00:00Z web1 app 12 ID47 - check", "", "check"),
        ("2026-11-21 9:5:7:606|Cart|30002|adding item 3", "", "adding item 3"),
        ("2026-11-21T10:00:00Z\tINFO\ta/c.go:12\tdone", "INFO", "done"),
        ("2026-11-21 10:00:00 ERROR Failed: disk", "ERROR", "Failed: disk"),
        ("time=\"x\" level=error msg=\"no route\" pod=a", "error", "no route"),
        ("771 node-3 disk.io read_failed 1763719201 sector is gone", "", "sector is gone"),
        ("771 blocks of 1763719201 were read", "", "771 blocks of 1763719201 were read"),
        ("web-1  | 2026-11-21T10:00:00Z INFO up", "INFO", "up"),
        ("[pod/web-0/app] 2026-11-21 10:00:00 WARN slow", "WARN", "slow"),
        ("Nov 21 10:00:00 relay-1 Nov 21 10:00:00 web1 backup[771]: disk full", "", "disk full"),
        ("took 10:00 minutes for v2.1", "", "took 10:00 minutes for v2.1"),
        ("app-1 started at 10:00:00", "", "app-1 started at 10:00:00"),
        ("192.0.2.15:80 reached by relay", "", "192.0.2.15:80 reached by relay"),
        ("connection from 10.0.0.1 at 12:00:01", "", "connection from 10.0.0.1 at 12:00:01"),
        ("10.0.3.6:5010 gave a page", "", "10.0.3.6:5010 gave a page"),
        ("3 of 4 done", "", "3 of 4 done"),
        ("", "", ""),
    ] {
        let record = record::read(line.as_bytes());
        assert_eq!(String::from_utf8_lossy(&record.message), message, "{line}");
        assert_eq!(String::from_utf8_lossy(&record.level.unwrap_or_default()), level, "{line}");
    }
}

#[test]
fn links_are_kept() {
    let line = br#"{"ts":1,"trace_id":"t1","span_id":"s2","service":"cart","msg":"added"}"#;
    let record = record::read(line);
    let text = |b: Option<std::borrow::Cow<'_, [u8]>>| b.map(|b| b.into_owned());
    assert_eq!(text(record.trace), Some(b"t1".to_vec()));
    assert_eq!(text(record.span), Some(b"s2".to_vec()));
    assert_eq!(text(record.service), Some(b"cart".to_vec()));
}

#[test]
fn json_without_a_message_is_described_by_its_fields() {
    let record = record::read(br#"{"queue":"mail","depth":31}"#);
    assert_eq!(record.message.as_ref(), b"queue=0 depth=0 ");
    assert_eq!(record::read(b"{\"broken\":").message.as_ref(), b"{\"broken\":");
}

/// How many lines each event has and the line that names it.
fn folded(text: &str) -> Vec<(u32, String)> {
    let mut folder = Folder::default();
    let mut events: Vec<_> =
        text.lines().filter_map(|l| folder.push(l.as_bytes()).cloned()).collect();
    events.extend(folder.finish().cloned());
    events.into_iter().map(|e| (e.lines, String::from_utf8_lossy(&e.text).into_owned())).collect()
}

fn lengths(text: &str) -> Vec<u32> {
    folded(text).into_iter().map(|e| e.0).collect()
}

#[test]
fn traces_belong_to_the_line_before() {
    let java = "2026-11-21 10:00:00 ERROR failed\njava.io.IOException: x\n\tat a.B.c(B.java:1)\n\
        \t... 3 more\nCaused by: java.lang.Error: y\n\tat a.D.e(D.java:2)\n\
        2026-11-21 10:00:01 INFO on";
    assert_eq!(lengths(java), [6, 1]);
    let python = "starting\nTraceback (most recent call last):\n  File \"a.py\", line 1, in x\n\
        \x20   f()\nValueError: bad 7\nnext line";
    let expected = [(1, "starting"), (4, "ValueError: bad 7"), (1, "next line")];
    assert_eq!(folded(python), expected.map(|(n, t)| (n, t.to_owned())));
    let go = "panic: boom\n\ngoroutine 1 [running]:\nmain.run(0x1)\n\t/src/main.go:7 +0x1d\n\
        main.main()\n\t/src/main.go:3 +0x2\nexit status 2\nup again";
    assert_eq!(lengths(go), [8, 1]);
    let rust = "thread 'main' panicked at src/main.rs:2:5:\nstack backtrace:\n   0: std::panic\n\
        \x20            at /rustc/x.rs:1\nnote: run with `RUST_BACKTRACE=full` for more\nbye";
    assert_eq!(lengths(rust), [5, 1]);
    let plain = "  first area: 3 pages\n  second area: 4 pages\nother";
    assert_eq!(lengths(plain), [1, 1, 1]);
}
