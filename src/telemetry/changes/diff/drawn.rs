//! What looks as if it was drawn by lot, as keys and tokens are that no rule knows. Pure.

/// Letters and digits of what may be drawn by lot, and how often one kind follows another in it at least,
/// of each: 36 in 1,000 of 24 drawn from 62 do less. In most names a fifth to a third follow; the few
/// that go beyond are masked.
const DRAWN: usize = 20;
const DRAWN_CHANGES: f64 = 0.4;
/// The same of small letters and digits alone, of which ordinary names with numbers in them are made too:
/// shorter ones count, and none where words make up more than half of it.
const SMALL: usize = 10;
const SMALL_CHANGES: usize = 4;
/// Letters of which it has at least so many different ones.
const LETTERS: usize = 4;
/// Letters of the shortest word.
const WORD: usize = 4;

/// Whether a run of letters and digits looks as if it was drawn by lot, as keys and tokens are that no
/// rule knows: long, of capitals, small letters and digits, which change places more often than in
/// most names. Not found is what holds no capitals or is cut short by `/` or `+`, as one in six of 40 in
/// base64: digests look so too, are no secrets, and tell which image or commit runs.
pub(super) fn is_drawn(run: &str) -> bool {
    let kind = |c: char| match c {
        'A'..='Z' => 'A',
        '0'..='9' => '0',
        _ => 'a',
    };
    let kinds: Vec<char> = run.chars().filter(|c| c.is_ascii_alphanumeric()).map(kind).collect();
    let changes = kinds.windows(2).filter(|pair| pair[0] != pair[1]).count();
    let all = ['A', 'a', '0'].iter().all(|k| kinds.contains(k));
    kinds.len() >= DRAWN && all && changes as f64 >= DRAWN_CHANGES * kinds.len() as f64
}

/// What parts runs that may be drawn by lot.
pub(super) const NOT_DRAWN: fn(char) -> bool =
    |c| !c.is_ascii_alphanumeric() && !matches!(c, '-' | '_');

/// Whether a text holds a run of small letters and digits that looks as if it was drawn by lot: of ten or
/// more, which change places four times at least and at every fourth character, and are neither
/// hexadecimal, as digests, commits and the ids of machines are, nor a duration, nor mostly words. Host
/// names are left out, parts of which clouds draw by lot, and so are the digests that Kustomize and Nix put into
/// names. Not found are short ones, those of few digits, and
/// those of letters alone: of 10 drawn from 36 every other is, of 16 seven in eight, of 32 nineteen in
/// twenty (`cargo test --lib changes::diff::drawn -- --nocapture`). It is seen in 3 of the
/// 23,432 lines of the settings, runbooks, tests and benches here, which all hold a made-up token.
pub(super) fn holds_small_token(text: &str) -> bool {
    let part = |c: char| !c.is_ascii_alphanumeric() && !matches!(c, '.' | '-');
    let whole = text.trim();
    let mut from = 0;
    text.split(part).any(|name| {
        let at = from;
        from += name.len() + text[at + name.len()..].chars().next().map_or(0, char::len_utf8);
        let (before, after) = (&text[..at], &text[at + name.len()..]);
        // What only looks like a host in a path, before an `@` or within a line is none.
        let stands = name == whole || before.ends_with("//") || before.ends_with('@');
        let is_place = stands || (is_domain(name) && !before.ends_with('/'));
        let is_host = is_place && !after.starts_with('@') && is_host(name);
        if is_host || is_store_path(before, name) {
            return false;
        }
        let mut labels = name.split(['.', '-']).peekable();
        let mut is_first = true;
        std::iter::from_fn(|| {
            let label = labels.next()?;
            let is_suffix = !std::mem::take(&mut is_first) && labels.peek().is_none();
            Some((label, is_suffix))
        })
        .any(|(label, is_suffix)| is_small_token(label) && !(is_suffix && is_name_hash(label)))
    })
}

/// Whether it is what Kustomize puts behind the names of what it generates: ten characters of a digest,
/// written with those letters and digits that don't make words (the `encodeHash` of its `hasher`).
fn is_name_hash(label: &str) -> bool {
    label.len() == 10 && label.bytes().all(|b| b"2456789bcdfghkmt".contains(&b))
}

/// Whether it is a name in the store of Nix: 32 characters of a digest in its own base 32, then a name.
fn is_store_path(before: &str, name: &str) -> bool {
    let digest = name.split('-').next().unwrap_or_default();
    before.ends_with("/nix/store/")
        && digest.len() == 32
        && digest.bytes().all(|b| b"0123456789abcdfghijklmnpqrsvwxyz".contains(&b))
}

/// Whether a name ends as those of hosts mostly do.
fn is_domain(name: &str) -> bool {
    const ENDS: [&str; 10] =
        ["com", "net", "org", "io", "internal", "local", "cloud", "app", "dev", "svc"];
    name.rsplit('.').next().is_some_and(|last| ENDS.contains(&last))
}

/// Whether a name has three labels or more of which the last is a word.
fn is_host(name: &str) -> bool {
    let last = name.rsplit('.').next().unwrap_or_default();
    let is_word = last.len() >= 2 && last.bytes().all(|b| b.is_ascii_alphabetic());
    is_word && name.split('.').count() >= 3 && name.split('.').all(|label| !label.is_empty())
}

fn is_small_token(run: &str) -> bool {
    let bytes = run.as_bytes();
    let is_digit = u8::is_ascii_digit;
    if bytes.len() < SMALL || !bytes.iter().all(|b| b.is_ascii_lowercase() || is_digit(b)) {
        return false;
    }
    let changes = bytes.windows(2).filter(|p| is_digit(&p[0]) != is_digit(&p[1])).count();
    if changes < SMALL_CHANGES || 4 * changes < bytes.len() || is_hex(run) || is_duration(run) {
        return false;
    }
    let mut letters: Vec<&u8> = bytes.iter().filter(|b| !is_digit(b)).collect();
    letters.sort_unstable();
    letters.dedup();
    let words = run.split(|c: char| c.is_ascii_digit()).filter(|w| is_word(w));
    letters.len() >= LETTERS && 2 * words.map(str::len).sum::<usize>() <= bytes.len()
}

/// Hexadecimal, also as `git describe` and programs write it.
fn is_hex(run: &str) -> bool {
    let digits = run.strip_prefix("0x").or_else(|| run.strip_prefix('g')).unwrap_or(run);
    digits.bytes().all(|b| b.is_ascii_hexdigit())
}

/// Figures with units of time: `1h30m15s500ms`.
fn is_duration(run: &str) -> bool {
    const UNITS: [&str; 10] = ["ns", "us", "ms", "s", "m", "h", "d", "w", "mo", "y"];
    let mut units = run.split(|c: char| c.is_ascii_digit()).filter(|unit| !unit.is_empty());
    run.starts_with(|c: char| c.is_ascii_digit()) && units.all(|unit| UNITS.contains(&unit))
}

/// Whether letters can be said: a quarter to two thirds are vowels, without four consonants or three vowels
/// in a row, and without the pairs that English does without.
fn is_word(letters: &str) -> bool {
    let is_vowel = |b: &u8| b"aeiouy".contains(b);
    let (bytes, n) = (letters.as_bytes(), letters.len());
    let vowels = bytes.iter().filter(|b| is_vowel(b)).count();
    let pair = |p: &[u8]| {
        let rare = b"jqxz".contains(&p[0]) || b"xqjz".contains(&p[1]);
        rare && !is_vowel(&p[0]) && !is_vowel(&p[1])
    };
    n >= WORD
        && 4 * vowels >= n
        && 3 * vowels <= 2 * n
        && !bytes.windows(4).any(|w| !w.iter().any(is_vowel))
        && !bytes.windows(3).any(|w| w.iter().all(is_vowel))
        && !bytes.windows(2).any(pair)
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::stats::Draws;

    #[test]
    fn tokens_of_small_letters_and_digits_are_found_wherever_they_stand() {
        for text in [
            "x7f3k2m9q4",
            "api_key: x7f3k2m9q4",
            "--token=k2j9x0p4vq7m1z8t",
            "https://hooks.example.com/t/9tq4x0wz2k7v1m5c/new",
            "live-4k9z2x7qv1m8t3hw",
            "a b c p0o9i8u7y6t5 d",
            // No hosts, though they have dots.
            "https://hooks.example.com/t/9tq4x0wz2k7v1m5c.backup.json",
            "amqp://admin:k2j9x0p4vq7m1z8t.prod.live@mq",
            "key db.x7f3k2m9q4z1.secret",
        ] {
            assert!(holds_small_token(text), "{text}");
        }
    }

    /// What stands in values of Kubernetes, Helm, cloud providers and build systems.
    #[test]
    fn what_is_ordinary_in_configurations_is_none() {
        for text in [
            // Words, names and versions.
            "payments-worker",
            "autoscaling/v2beta2",
            "networking.k8s.io/v1",
            "rbac.authorization.k8s.io",
            "utf8mb4_0900_ai_ci",
            "x86_64-unknown-linux-gnu",
            "arm64v8",
            "TLS_ECDHE_RSA_WITH_AES_128_GCM",
            "aes256gcm",
            "secp256k1",
            "ecdsa-sha2-nistp256",
            "curve25519-sha256",
            "p384r1",
            "i18next",
            "kubernetes.io/tls",
            "node2pool3zone1",
            "postgres16replica2",
            "http2_max_requests",
            "log4j2",
            "1.28.4-gke.1083000",
            "v1.27.8-eks-8cb36c9",
            "3.12.1-slim-bookworm",
            "go1.22rc1",
            "jdk17u2",
            // Hosts, nodes and pods.
            "ip-10-0-3-17.eu-west-1.compute.internal",
            "orders-db.c9akciq32xyz.eu-west-1.rds.amazonaws.com",
            "postgres://orders@orders-db.c9akciq32xyz.eu-west-1.rds.amazonaws.com/orders",
            "orders-db.c9akciq32xyz.eu-west-1.rds.amazonaws.com:5432",
            "--host=orders-db.c9akciq32xyz.eu-west-1.rds.amazonaws.com --port=5432",
            "https://c9akciq32xyz.execute-api.eu-west-1.amazonaws.com/prod",
            "gke-prod-default-pool-3b2a1c4d-x9k2",
            "aks-nodepool1-12345678-vmss000003",
            "10.0.3.17:8080",
            "payments-7d4b9c8f6d-x2x9z",
            "orders-5c689d88bb-6wzq4",
            "default-token-x7k2p",
            "fe80::1ff:fe23",
            "orders-5k2j3h4k5l-uc.a.run.app",
            "c6gn.16xlarge",
            "m5d.4xlarge",
            "standard_d8ds_v5",
            // Images, digests, commits, ids.
            "registry.example.com/shop/orders:2024.01.15-3f9c2ab",
            "orders:1.4.2-alpine3.18",
            "main-g3f9c2ab1",
            "sha256:9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08",
            "v2.3.1-14-g2414721abc",
            "550e8400-e29b-41d4-a716-446655440000",
            "i-0abc123def4567890",
            "subnet-0a1b2c3d4e5f60718",
            "0x1f3a5c7e9b",
            "arn:aws:iam::123456789012:role/orders",
            "123456789012.dkr.ecr.eu-west-1",
            "app-config-4m44dch5k6",
            "app-config-t7f6cghh77",
            "configMapRef: { name: orders-env-7h2m9g5k8b }",
            "/nix/store/7rjqb838snvvxcmpvck1smfxhkwzqal5-openssl-3.0.12/bin",
            // Sizes, durations, times.
            "512Mi",
            "1500m",
            "2gi",
            "1920x1080x24",
            "1h30m15s",
            "2d12h30m45s500ms",
            "1y2mo3w4d5h",
            "P1DT2H",
            "20240115t103000z",
            "2026-11-20T03:00:00Z",
            "*/5 0-6 * * 1-5",
            "rw-r--r--",
            "100m128mi",
        ] {
            assert!(!holds_small_token(text), "{text}");
        }
    }

    #[test]
    fn most_of_what_is_drawn_is_found() {
        let mut d = Draws::new(7);
        for (n, least) in [(10, 0.45), (16, 0.8), (20, 0.85), (32, 0.9)] {
            let all = 4_000;
            let found = (0..all).filter(|_| {
                let one = |d: &mut Draws| {
                    b"abcdefghijklmnopqrstuvwxyz0123456789"[(d.uniform() * 36.0) as usize]
                };
                let run: String = (0..n).map(|_| char::from(one(&mut d))).collect();
                holds_small_token(&run)
            });
            let share = found.count() as f64 / f64::from(all);
            println!("of {n} small letters and digits {share:.3} are found");
            assert!(share > least, "{n}: {share}");
        }
    }

    /// Every line of the settings, runbooks and fixtures that stand beside the sources.
    #[test]
    fn none_is_seen_in_the_settings_runbooks_and_fixtures_here() {
        fn lines(at: &Path, found: &mut Vec<String>) {
            if let Ok(folder) = std::fs::read_dir(at) {
                folder.flatten().for_each(|entry| lines(&entry.path(), found));
            } else if let Ok(text) = std::fs::read_to_string(at) {
                found.extend(text.lines().map(str::to_owned));
            }
        }
        let mut all = Vec::new();
        for folder in ["deploy", "runbooks", "prompts", "tests", "benches", "README.md"] {
            lines(&Path::new(env!("CARGO_MANIFEST_DIR")).join(folder), &mut all);
        }
        let seen: Vec<&String> = all.iter().filter(|line| holds_small_token(line)).collect();
        println!("{} of {} lines", seen.len(), all.len());
        // But the token that tests send to see it redacted.
        let is_token = |line: &&String| line.contains("not0a1real2token3");
        assert!(all.len() > 1_000 && seen.iter().all(is_token), "{seen:?}");
    }
}
