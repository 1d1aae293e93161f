//! Files that stand in threads of the console: pictures to look at, all else to be saved.
//!
//! Name and media type come from whoever wrote the file. A browser is told one of three media
//! types that can do nothing by themselves, never what the file claims to be, and that a document
//! made of it may run nothing.

use axum::extract::State as Shared;
use axum::http::{HeaderName, HeaderValue, header};

use super::{State, VIEWER};
use crate::chat::console::message_id;
use crate::chat::{Content, Message, StoredFile};
use crate::model::{Actor, Fault};
use crate::store::{Filter, Rows};
use crate::web::Failure;
use crate::web::auth::Caller;
use crate::web::extract::{Id, found};
use crate::web::table::Route;

/// Ephemeral messages that are looked through for one that shows a file.
const MOST_EPHEMERAL: usize = 500;
/// Longest name, in characters.
const MOST_CHARS: usize = 100;

pub(super) fn routes() -> Vec<Route> {
    let get = Route::get("/api/v1/files/{key}", VIEWER, "A file of a thread", file);
    vec![
        get.gives_other("image/png", "A picture, shown.")
            .gives_other("image/svg+xml", "A drawing, to be saved: it could carry a script.")
            .gives_other("text/plain", "Words, shown.")
            .gives_other("application/octet-stream", "Anything else, to be saved."),
    ]
}

type Headers = [(HeaderName, HeaderValue); 4];

async fn file(
    Shared(state): Shared<State>,
    Caller(actor): Caller,
    Id(key): Id<String>,
) -> Result<(Headers, Vec<u8>), Failure> {
    let read = state.shared.store.read(move |r| shown(r, &key, &actor));
    let (name, file) = found(read.await?, "file")?;
    let bytes = file.bytes()?;
    let (kind, how) = kind(&file.media_type, &bytes);
    let disposition = HeaderValue::from_str(&disposition(how, &name))
        .map_err(|e| Fault::permanent("a file's name can't be sent", e))?;
    let headers = [
        (header::CONTENT_TYPE, HeaderValue::from_static(kind)),
        (header::CONTENT_DISPOSITION, disposition),
        (header::CACHE_CONTROL, HeaderValue::from_static("private, no-cache")),
        (
            header::CONTENT_SECURITY_POLICY,
            HeaderValue::from_static("default-src 'none'; sandbox; frame-ancestors 'none'"),
        ),
    ];
    Ok((headers, bytes))
}

/// A file with its name, where a message shows it that this person may see.
fn shown(rows: &Rows<'_>, key: &str, actor: &Actor) -> Result<Option<(String, StoredFile)>, Fault> {
    let named = |message: &Message| match &message.content {
        Content::File { name, file, .. } if file == key && message.visible_to(actor) => {
            Some(name.clone())
        }
        _ => None,
    };
    let own = rows.get::<Message>(message_id(key))?;
    let mut name = own.as_ref().and_then(named);
    if name.is_none() {
        let private = Filter::states(["ephemeral"]).newest(MOST_EPHEMERAL);
        name = rows.list::<Message>(&private)?.iter().find_map(named);
    }
    let Some(name) = name else { return Ok(None) };
    Ok(rows.get::<StoredFile>(key)?.map(|file| (name, file)))
}

/// The media type that a browser is told, and whether it shows the file or saves it. What says to
/// be a picture must begin like one.
fn kind(claimed: &str, bytes: &[u8]) -> (&'static str, &'static str) {
    let essence = claimed.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
    match essence.as_str() {
        // The signature of section 5.2 of the PNG specification, third edition.
        "image/png" if bytes.starts_with(b"\x89PNG\r\n\x1a\n") => ("image/png", "inline"),
        "image/svg+xml" => ("image/svg+xml", "attachment"),
        "text/plain" => ("text/plain; charset=utf-8", "inline"),
        _ => ("application/octet-stream", "attachment"),
    }
}

/// RFC 6266: a name of letters, digits and a few signs for old readers, then the whole in UTF-8.
fn disposition(how: &str, name: &str) -> String {
    // A name is no path, and has no sign that turns the direction of reading.
    let hostile = |c: char| {
        c.is_control()
            || matches!(c, '/' | '\\' | ':' | '\u{200e}' | '\u{200f}')
            || ('\u{202a}'..='\u{202e}').contains(&c)
            || ('\u{2066}'..='\u{2069}').contains(&c)
    };
    let name: String = name.chars().filter(|c| !hostile(*c)).take(MOST_CHARS).collect();
    let name = name.trim_matches(['.', ' ']);
    let name = if name.is_empty() { "file" } else { name };
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_' | ' ');
    let ascii: String = name.chars().map(|c| if plain(c) { c } else { '_' }).collect();
    let mut whole = String::new();
    for byte in name.bytes() {
        if byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'-' | b'_') {
            whole.push(char::from(byte));
        } else {
            whole.push_str(&format!("%{byte:02X}"));
        }
    }
    format!("{how}; filename=\"{ascii}\"; filename*=UTF-8''{whole}")
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_browser_is_told_only_what_can_do_nothing() {
        let png = b"\x89PNG\r\n\x1a\n rest";
        assert_eq!(kind("image/png", png), ("image/png", "inline"));
        assert_eq!(kind("IMAGE/PNG; x=1", png), ("image/png", "inline"));
        let saved = ("application/octet-stream", "attachment");
        assert_eq!(kind("image/png", b"<script>"), saved);
        assert_eq!(kind("image/svg+xml", b"<svg onload=x>"), ("image/svg+xml", "attachment"));
        assert_eq!(kind("text/plain", b"<script>"), ("text/plain; charset=utf-8", "inline"));
        for other in ["text/html", "", "text/plain/html", "image/png\r\nX: y", "text/javascript"] {
            assert_eq!(kind(other, png), saved, "{other:?}");
        }
    }

    #[test]
    fn names_keep_their_letters_and_lose_their_tricks() {
        let named = |name: &str| disposition("inline", name);
        assert_eq!(named("p99.png"), "inline; filename=\"p99.png\"; filename*=UTF-8''p99.png");
        assert_eq!(
            named("è \"x\""),
            "inline; filename=\"_ _x_\"; filename*=UTF-8''%C3%A8%20%22x%22"
        );
        assert_eq!(
            named("../../etc/a\u{202e}gnp.exe\r\nSet-Cookie: a=b"),
            "inline; filename=\"etcagnp.exeSet-Cookie a_b\"; \
             filename*=UTF-8''etcagnp.exeSet-Cookie%20a%3Db"
        );
        assert_eq!(named(" .. "), "inline; filename=\"file\"; filename*=UTF-8''file");
    }

    proptest! {
        #[test]
        fn any_name_makes_one_header(name in any::<String>()) {
            let line = disposition("attachment", &name);
            prop_assert!(HeaderValue::from_str(&line).is_ok());
            prop_assert_eq!(line.matches('"').count(), 2);
            prop_assert!(line.len() < 1_400);
        }
    }
}
