//! What counts as a secret: one rule per kind, in order of precedence, by the shapes that the
//! vendors publish.

use std::sync::LazyLock;

use regex::Regex;

use super::compile;

/// One kind of secret.
pub(super) struct Rule {
    /// What replaces the secret.
    pub(super) marker: &'static str,
    /// Finds it; group `v` is the secret, or the whole match where there is no such group.
    pub(super) regex: Regex,
    /// Last word on a match, from the text, where the secret starts, and the secret.
    pub(super) accepts: fn(&str, usize, &str) -> bool,
}

/// All rules, and a cheap test whether any of them could match.
pub(super) struct Rules {
    pub(super) hint: Regex,
    pub(super) all: Vec<Rule>,
}

static RULES: LazyLock<Rules> = LazyLock::new(build);

pub(super) fn rules() -> &'static Rules {
    &RULES
}

/// Words that name a secret by themselves, at the end of a key.
const STRONG: &str = "passwd|password|passphrase|pwd|secret|secret[ _.-]?key|api[ _.-]?key|\
    access[ _.-]?key|account[_.-]?key|private[_.-]?key|encryption[_.-]?key|signing[_.-]?key|\
    auth[_.-]?token|access[_.-]?token|refresh[_.-]?token|id[_.-]?token|session[_.-]?token|\
    security[_.-]?token|j?sessionid|phpsessid|x-amz-signature|x-goog-signature";

/// Words that may name a secret but also a count or a state.
const WEAK: &str = r"token|(?:\b|_)(?:pass|credentials?)";

/// Attribute names whose whole value is a secret.
pub(super) static SENSITIVE_NAME: LazyLock<Regex> =
    LazyLock::new(|| compile(&format!(r"(?i)(?:{STRONG}|authorization|cookie|\btoken)$")));

/// Names of settings whose value is never shown. Where a value has a name of its own, too much is
/// better masked than too little: `secretName`, `SLACK_BOT_TOKEN` and `max_tokens` are as well.
pub(super) static SECRET_SETTING: LazyLock<Regex> = LazyLock::new(|| {
    let more = "requirepass|auth_pass|id_(?:rsa|dsa|ecdsa|ed25519)|dockerconfig|hmac|\
        (?:app|master|tls|ssl|host|server|client)[_.-]?key$|(?:pass|passcode|creds?)$";
    compile(&format!(r"(?i)(?:{STRONG}|authorization|cookie|credential|token|{more})"))
});

fn build() -> Rules {
    let any = |_: &str, _: usize, _: &str| true;
    let has_digit = |_: &str, _: usize, v: &str| v.bytes().any(|b| b.is_ascii_digit());
    // What joins a key to its value, and a value: quoted, quoted inside an escaped string, or up
    // to the next separator.
    let join = r#"(?:\\*["'])?\s*(?:=>|:=|==|=|:)\s*"#;
    let value = concat!(
        r#"(?:\\+"(?P<escaped>(?:[^"\\]|\\+[^"\\])+)\\+"|"(?P<double>(?:[^"\\]|\\.)+)"|"#,
        r#"'(?P<single>[^']+)'|["']?(?P<bare>(?:[^\s,;&"'<>\\]|\\[^"'nrt\s])+))"#
    );
    let strong = format!("(?i)(?:{STRONG}){join}{value}");
    let weak = format!("(?i)(?:{WEAK}){join}{value}");
    let all = vec![
        rule(
            "[redacted:private-key]",
            r"(?s)-----BEGIN (?:[A-Z0-9]+ ){0,3}PRIVATE KEY(?: BLOCK)?-----.*?(?:-----END (?:[A-Z0-9]+ ){0,3}PRIVATE KEY(?: BLOCK)?-----|\z)",
            any,
        ),
        // RFC 7519: three base64url parts (five when encrypted), the header a JSON object.
        rule(
            "[redacted:jwt]",
            r"eyJ[A-Za-z0-9_-]{8,}\.[A-Za-z0-9_-]{4,}(?:\.[A-Za-z0-9_-]*){1,3}",
            any,
        ),
        rule(
            "[redacted:authorization]",
            r#"(?i)authorization(?:\\*["'])?\s*[:=]\s*(?:\\*["'])?(?:(?:bearer|basic|token|digest|negotiate|apikey|aws4-hmac-sha256)\s+)?(?P<v>[^\s"'\\,;]+)"#,
            |_, _, v| v.len() >= 20 || v.bytes().any(|b| b.is_ascii_digit()),
        ),
        rule("[redacted:bearer]", r"(?i)\bbearer\s+(?P<v>[A-Za-z0-9._~+/=-]{8,})", has_digit),
        rule("[redacted:basic-auth]", r"(?i)\bbasic\s+(?P<v>[A-Za-z0-9+/]{8,}={1,2})", any),
        rule(
            "[redacted:cookie]",
            r#"(?i)\b(?:set-)?cookie(?:\\*["'])?\s*[:=]\s*(?:\\*["'])?(?P<v>[^\s"'=]+=[^\r\n"']+)"#,
            any,
        ),
        rule("[redacted:aws-key]", r"\b(?:AKIA|ASIA|ABIA|ACCA)[A-Z0-9]{16}\b", any),
        rule("[redacted:gcp-key]", r"\bAIza[0-9A-Za-z_-]{35}", any),
        rule("[redacted:gcp-key]", r"\b(?:ya29\.[0-9A-Za-z_-]{20,}|GOCSPX-[0-9A-Za-z_-]{28})", any),
        rule("[redacted:azure-key]", r"\b[0-9A-Za-z_.~-]{3}[0-9]Q~[0-9A-Za-z_.~-]{31,34}", any),
        rule("[redacted:slack-token]", r"\bxox[a-z](?:\.xox[a-z])?-[0-9A-Za-z-]{10,}", any),
        rule("[redacted:slack-token]", r"\bxapp-[0-9]-[0-9A-Za-z-]{10,}", any),
        rule(
            "[redacted:webhook]",
            r"\bhooks\.slack\.com/(?:services|workflows|triggers)/(?P<v>[0-9A-Za-z/_-]{8,})",
            any,
        ),
        rule(
            "[redacted:webhook]",
            r"\bdiscord(?:app)?\.com/api/(?:v[0-9]+/)?webhooks/[0-9]+/(?P<v>[0-9A-Za-z_-]{8,})",
            any,
        ),
        rule(
            "[redacted:discord-token]",
            r"\b[MNO][A-Za-z0-9_-]{23,27}\.[A-Za-z0-9_-]{6}\.[A-Za-z0-9_-]{27,40}",
            any,
        ),
        rule(
            "[redacted:github-token]",
            r"\b(?:gh[pousr]_[0-9A-Za-z]{30,}|github_pat_[0-9A-Za-z_]{22,})",
            any,
        ),
        rule("[redacted:gitlab-token]", r"\bgl(?:pat|dt|rt|cbt|ptt|soat)-[0-9A-Za-z_-]{20,}", any),
        rule("[redacted:stripe-key]", r"\b(?:[sr]k_(?:live|test)_[0-9A-Za-z]{10,})", any),
        rule("[redacted:stripe-key]", r"\bwhsec_[0-9A-Za-z+/=]{16,}", any),
        rule("[redacted:api-key]", r"\bsk-(?:[a-z0-9]{2,12}-)*[0-9A-Za-z_-]{20,}", has_digit),
        rule("[redacted:api-key]", r"\bSG\.[0-9A-Za-z_-]{16,}\.[0-9A-Za-z_-]{16,}", any),
        rule(
            "[redacted:api-key]",
            r"\b(?:npm_[0-9A-Za-z]{36}|hf_[0-9A-Za-z]{30,}|pypi-[0-9A-Za-z_-]{40,}|hv[sbr]\.[0-9A-Za-z_-]{20,}|do[opr]_v1_[0-9a-f]{64}|shp(?:at|ca|pa|ss)_[0-9a-fA-F]{32}|dp\.(?:pt|st|ct|sa)\.[0-9A-Za-z.]{30,})",
            any,
        ),
        // RFC 3986 user information; `@` inside a password is common although it is not allowed.
        rule(
            "[redacted:password]",
            r#"(?i)\b[a-z][a-z0-9+.-]*://[^\s:/@"'<>?#]*:(?P<v>[^\s/"'<>?#]+)@"#,
            any,
        ),
        rule(
            "[redacted:password]",
            r#"(?i)(?:^|[\s"'\[,])--?(?:password|passwd|passphrase|secret|token|api-key|client-secret|access-token|auth-token)(?:\s+|=|["'],\s*["'])(?P<v>[^\s"',\]-][^\s"',\]]*)"#,
            |_, _, v| is_secret_value(v),
        ),
        rule("[redacted:password]", &strong, accept_strong),
        rule("[redacted:password]", &weak, accept_weak),
        rule("[redacted:signature]", r#"[?&](?i:sig|signature)=(?P<v>[^\s&"'<>]{16,})"#, any),
        rule(
            "[redacted:email]",
            r"[A-Za-z0-9._%+-]+(?:@|%40)(?:[A-Za-z0-9-]+\.)+[A-Za-z]{2,}",
            accept_email,
        ),
    ];
    let hint = compile(
        r"(?i)eyj|-----begin|bearer|basic|cookie|authorization|a[ks]ia|abia|acca|aiza|ya29|gocspx|q~|xox|xapp|hooks\.|webhooks|gh[pousr]_|github_pat|gl[a-z]{2,4}-|[sr]k[_-]|whsec|sg\.|npm_|hf_|pypi-|hv[sbr]\.|do[opr]_v1|shp|dp\.|://|pass|pwd|secret|token|key|credential|sessid|sessionid|sig|@|%40|[mno][a-z0-9_-]{23,27}\.",
    );
    Rules { hint, all }
}

fn rule(marker: &'static str, pattern: &str, accepts: fn(&str, usize, &str) -> bool) -> Rule {
    Rule { marker, regex: compile(pattern), accepts }
}

/// Whether a value under a sensitive key is a secret at all, and not a state (`expired`), a
/// placeholder (`${DB_PASSWORD}`) or masked already (`****`).
pub(super) fn is_secret_value(value: &str) -> bool {
    const STATES: [&str; 25] = [
        "true",
        "false",
        "null",
        "none",
        "nil",
        "undefined",
        "yes",
        "no",
        "ok",
        "empty",
        "set",
        "unset",
        "required",
        "missing",
        "invalid",
        "expired",
        "changed",
        "rejected",
        "revoked",
        "passed",
        "failed",
        "redacted",
        "masked",
        "hidden",
        "not",
    ];
    let bare = value.trim_matches(|c: char| ".,:;!?()[]{}<>*\"'".contains(c));
    !(bare.is_empty()
        || ["${", "$(", "{{", "<", "[redacted", "%("].iter().any(|p| value.starts_with(p))
        || bare.bytes().all(|b| matches!(b, b'x' | b'X'))
        || STATES.iter().any(|s| bare.eq_ignore_ascii_case(s)))
}

fn accept_strong(text: &str, start: usize, value: &str) -> bool {
    // `PWD=/srv/app` is a working directory.
    let is_path = value.starts_with('/') && {
        let key = text[..start].trim_end_matches(['=', ':', ' ', '"', '\'', '\\']);
        key.len() >= 3 && key.as_bytes()[key.len() - 3..].eq_ignore_ascii_case(b"pwd")
    };
    is_secret_value(value) && !is_path
}

fn accept_weak(text: &str, start: usize, value: &str) -> bool {
    let numeric = value.bytes().all(|b| b.is_ascii_digit() || b == b'.');
    // `unexpected token: identifier` is prose; a token after a colon and a space has digits.
    let prose = text[..start].ends_with(' ');
    let plausible = !prose || (value.len() >= 8 && value.bytes().any(|b| b.is_ascii_digit()));
    is_secret_value(value) && !numeric && plausible
}

/// Endings that are no top-level domain: systemd units, files, archives.
const NO_DOMAIN: [&str; 22] = [
    "service",
    "socket",
    "timer",
    "mount",
    "automount",
    "target",
    "slice",
    "scope",
    "device",
    "swap",
    "path",
    "png",
    "jpg",
    "jpeg",
    "gif",
    "svg",
    "webp",
    "css",
    "js",
    "tgz",
    "gz",
    "zip",
];

fn accept_email(text: &str, start: usize, value: &str) -> bool {
    let Some((local, domain)) = value.split_once('@').or_else(|| value.split_once("%40")) else {
        return false;
    };
    let ending = domain.rsplit('.').next().unwrap_or("");
    let first = domain.split('.').next().unwrap_or("");
    let is_version = first.trim_start_matches('v').bytes().all(|b| b.is_ascii_digit());
    // `redis://app@cache.example.com` has no password and its host is needed; `git@host` is how
    // repositories are addressed.
    let is_user_info = text[..start].ends_with("//");
    !is_user_info && local != "git" && !is_version && !NO_DOMAIN.contains(&ending)
}
