//! The console's files. They are part of the program: nothing is read from disk or from elsewhere.

use axum::Router;
use axum::extract::State as Shared;
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse as _, Response};
use axum::routing::get;
use sha2::{Digest as _, Sha256};

use super::State;
use crate::model::id::hex;

const HTML: &str = "text/html; charset=utf-8";
const CSS: &str = "text/css; charset=utf-8";
const SCRIPT: &str = "text/javascript; charset=utf-8";

macro_rules! files {
    ($($kind:ident $name:literal;)*) => {
        /// Path, media type, content.
        const FILES: &[(&str, &str, &str)] =
            &[("/", HTML, include_str!("assets/index.html")),
              // Asked for by browsers on pages that name no icon of their own.
              ("/favicon.ico", ICON, include_str!("assets/icon.svg")),
              $((concat!("/assets/", $name), $kind, include_str!(concat!("assets/", $name)))),*];
    };
}

const ICON: &str = "image/svg+xml";

files! {
    CSS "app.css";
    ICON "icon.svg";
    SCRIPT "app.js";
    SCRIPT "actions.js";
    SCRIPT "ask.js";
    SCRIPT "audit.js";
    SCRIPT "card.js";
    SCRIPT "classifier.js";
    SCRIPT "detectors.js";
    SCRIPT "tuning.js";
    SCRIPT "held.js";
    SCRIPT "dom.js";
    SCRIPT "evidence.js";
    SCRIPT "fields.js";
    SCRIPT "form.js";
    SCRIPT "grounds.js";
    SCRIPT "incident.js";
    SCRIPT "layout.js";
    SCRIPT "lists.js";
    SCRIPT "message.js";
    SCRIPT "net.js";
    SCRIPT "objectives.js";
    SCRIPT "press.js";
    SCRIPT "proposal.js";
    SCRIPT "runbooks.js";
    SCRIPT "services.js";
    SCRIPT "side.js";
    SCRIPT "status.js";
    SCRIPT "words.js";
}

/// The routes of all files. A browser asks each time whether a file is still the same, so that a
/// new version of the program never meets old scripts.
pub(super) fn routes() -> Router<State> {
    FILES.iter().fold(Router::new(), |router, (path, kind, body)| {
        let tag = format!("\"{}\"", &hex(&Sha256::digest(body.as_bytes()))[..32]);
        let serve = move |Shared(_): Shared<State>, asked: HeaderMap| {
            let answer = answer(kind, body, &tag, &asked);
            async move { answer }
        };
        router.route(path, get(serve))
    })
}

fn answer(kind: &'static str, body: &'static str, tag: &str, asked: &HeaderMap) -> Response {
    let headers = [
        (header::CONTENT_TYPE, kind.to_owned()),
        (header::CACHE_CONTROL, "no-cache".to_owned()),
        (header::ETAG, tag.to_owned()),
    ];
    let known = asked.get(header::IF_NONE_MATCH).is_some_and(|v| v.as_bytes() == tag.as_bytes());
    if known {
        return (StatusCode::NOT_MODIFIED, headers).into_response();
    }
    (headers, body).into_response()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_file_is_served_and_every_import_leads_to_one() {
        let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/src/web/assets");
        for entry in std::fs::read_dir(folder).expect("the folder") {
            let name = entry.expect("an entry").file_name().to_string_lossy().into_owned();
            let path = if name == "index.html" { "/".into() } else { format!("/assets/{name}") };
            assert!(FILES.iter().any(|(p, _, _)| *p == path), "{name} is not served");
        }
        let named = regex::Regex::new(r#"(?:from |src=|href=)"(/assets/[^"]+)""#).expect("valid");
        for (path, _, body) in FILES {
            for found in named.captures_iter(body) {
                let target = &found[1];
                assert!(FILES.iter().any(|(p, _, _)| *p == target), "{path} names {target}");
            }
        }
    }

    #[test]
    fn nothing_parses_markup_or_runs_text() {
        // The content policy forbids inline scripts and styles; these would need them or would
        // turn words from telemetry into markup.
        let never = [
            "innerHTML",
            "outerHTML",
            "insertAdjacentHTML",
            "document.write",
            "eval(",
            "new Function",
            "DOMParser",
            "srcdoc",
            " style=\"",
            "javascript:",
        ];
        for (path, _, body) in FILES {
            for word in never {
                assert!(!body.contains(word), "{path} has {word}");
            }
        }
        let html = FILES[0].2;
        let inline =
            regex::Regex::new(r#"\son[a-z]+="|<style|<script(?:[^>]*)>[^<]"#).expect("valid");
        assert!(!inline.is_match(html));
    }
}
