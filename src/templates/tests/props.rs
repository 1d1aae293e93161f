//! Properties that hold for any input.

use crate::templates::lex::{self, LONGEST_BYTES, MOST_TOKENS};
use crate::templates::{Folder, Miner, record};
use proptest::prelude::*;

/// Lines made of what is special to the miner, and of any bytes.
fn line() -> impl Strategy<Value = Vec<u8>> {
    let piece = prop_oneof![
        4 => prop::sample::select(vec![
            "user", "for", "from", "error", "amber", "birch", "node-7", "10.0.0.1", "1,234", "key=",
            "=", "==", "::", ":", "[", "]", "{", "}", "(", ")", "{\"", "\"", "'", "`", "<", "...",
            "http://", "C:\\", "/a/b?c=d", "map[", "12:30:00", "2026-11-21", "Nov", "Sat,", "INFO",
            "GET /x", " ", "  ", "\t", ",", "-", "*", "ms", "0x1f", "deadbeef", "\u{202e}", "é",
            "Traceback (most recent call last):", "    at a.b(c:1)", "Caused by: ", "level=info",
            "msg=\"a b\"", "{\"msg\":\"x y\",\"level\":\"warn\"}", "\\u12", "\\",
        ]).prop_map(|s| s.as_bytes().to_vec()),
        1 => prop::collection::vec(any::<u8>(), 0..12),
    ];
    prop::collection::vec(piece, 0..24).prop_map(|pieces| pieces.concat())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    #[test]
    fn any_lines_are_taken_within_bounds(lines in prop::collection::vec(line(), 1..80)) {
        let mut miner = Miner::new(16);
        for line in &lines {
            let found = miner.learn(line);
            prop_assert!(miner.text(found.id).is_some());
            prop_assert!(miner.iter().count() <= 16);
            let text = miner.text(found.id).unwrap_or_default();
            prop_assert!(!text.chars().any(char::is_control));
        }
        prop_assert_eq!(miner.lines(), lines.len() as u64);
    }

    #[test]
    fn a_learned_line_is_found_again(lines in prop::collection::vec(line(), 1..40)) {
        let mut miner = Miner::new(1_000);
        for line in &lines {
            let id = miner.learn(line).id;
            prop_assert_eq!(miner.find(line), Some(id));
        }
    }

    #[test]
    fn a_restored_miner_goes_on_alike(
        before in prop::collection::vec(line(), 1..60),
        after in prop::collection::vec(line(), 1..60),
    ) {
        let mut miner = Miner::new(12);
        for line in &before {
            miner.learn(line);
        }
        let bytes = rmp_serde::to_vec(&miner).expect("packs");
        let mut again: Miner = rmp_serde::from_slice(&bytes).expect("unpacks");
        prop_assert_eq!(&bytes, &rmp_serde::to_vec(&again).expect("packs"));
        for line in &after {
            prop_assert_eq!(miner.learn(line), again.learn(line));
            prop_assert_eq!(miner.take_merges(), again.take_merges());
        }
    }

    #[test]
    fn broken_snapshots_do_no_harm(
        before in prop::collection::vec(line(), 1..20),
        flips in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..6),
    ) {
        let mut miner = Miner::new(12);
        for line in &before {
            miner.learn(line);
        }
        let mut bytes = rmp_serde::to_vec(&miner).expect("packs");
        for (at, value) in flips {
            let at = at.index(bytes.len());
            bytes[at] = value;
        }
        if let Ok(mut again) = rmp_serde::from_slice::<Miner>(&bytes) {
            for line in &before {
                again.learn(line);
            }
        }
    }

    #[test]
    fn tokens_lie_within_the_line_in_order(line in line()) {
        let mut tokens = Vec::new();
        lex::lex(&line, &mut tokens);
        prop_assert!(tokens.len() <= MOST_TOKENS + 1);
        let mut last = 0;
        for token in &tokens {
            prop_assert!(token.start >= last && token.end > token.start);
            prop_assert!(token.end as usize <= line.len().min(LONGEST_BYTES));
            last = token.end;
        }
    }

    #[test]
    fn folding_loses_no_line(lines in prop::collection::vec(line(), 0..60)) {
        let mut folder = Folder::default();
        let mut n = 0;
        for line in &lines {
            n += folder.push(line).map_or(0, |e| e.lines);
        }
        n += folder.finish().map_or(0, |e| e.lines);
        prop_assert_eq!(n as usize, lines.len());
    }

    #[test]
    fn numbers_do_not_make_templates(a in any::<u32>(), b in any::<u32>(), c in any::<i64>()) {
        let mut miner = Miner::new(10);
        let first = miner.learn(b"request 1 of tenant 2 took 3 ms").id;
        let text = format!("request {a} of tenant {b} took {c} ms");
        prop_assert_eq!(miner.learn(text.as_bytes()).id, first);
    }
}

/// Lines of 100 kB on which a pass that looks at a byte more than a few times would not end: what
/// is kept of each is bounded.
#[test]
fn hostile_lines_are_cut() {
    let pieces = [
        "a",
        "a ",
        "1,",
        "{\"",
        "a=b((",
        "map[",
        "\"",
        "'a ",
        "::",
        "ab:",
        "[::",
        "(a,",
        "/",
        "x=\u{fffd}{",
        "a.b.",
        "\\",
        "{a=b, ",
        "k=\"v\\",
        "<*> ",
        "{\"a\":[[",
        "node-[",
        "Sat, ",
    ];
    let mut lines: Vec<Vec<u8>> =
        pieces.iter().map(|s| s.repeat(100_000 / s.len() + 1).into_bytes()).collect();
    lines.extend([vec![0xff; 100_000], vec![0; 100_000]]);
    let (mut miner, mut folder) = (Miner::new(100), Folder::default());
    for line in &lines {
        if let Some(event) = folder.push(line) {
            assert!(event.text.len() <= 8_192, "{}", event.text.len());
        }
        let id = miner.learn(&record::read(line).message).id;
        let text = miner.text(id).expect("it was learned just now");
        assert!(text.len() <= 4 * LONGEST_BYTES, "{}", text.len());
    }
}
