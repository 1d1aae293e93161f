//! Where a request comes from: names that are ours, and pages that are ours.

use std::net::IpAddr;

use axum::extract::{Request, State as Shared};
use axum::http::{HeaderMap, StatusCode, header};
use axum::middleware::Next;
use axum::response::Response;

use super::{Failure, State};

fn text<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    headers.get(name).map(|v| v.to_str().unwrap_or_default())
}

/// `https://name:port/path` as `name:port`.
fn authority(url: &str) -> &str {
    let rest = url.split_once("://").map_or(url, |(_, rest)| rest);
    rest.split(['/', '?', '#']).next().unwrap_or_default()
}

/// `name:port` as `name`; brackets of IPv6 addresses go.
fn name(authority: &str) -> &str {
    match authority.strip_prefix('[') {
        Some(rest) => rest.split(']').next().unwrap_or_default(),
        None => authority.split(':').next().unwrap_or_default(),
    }
}

/// Whether no browser says that another site's page sent this.
pub(super) fn is_ours(state: &State, headers: &HeaderMap) -> bool {
    let site = text(headers, "sec-fetch-site").is_none_or(|s| s == "same-origin" || s == "none");
    let Some(origin) = text(headers, "origin") else { return site };
    let origin = authority(origin);
    let host = text(headers, "host").unwrap_or_default();
    let public = state.shared.config.public_url.as_deref().map(authority);
    site && (origin.eq_ignore_ascii_case(host)
        || public.is_some_and(|p| origin.eq_ignore_ascii_case(p)))
}

/// Whether the browser speaks https to us, be it through a proxy.
pub(super) fn is_https(state: &State, headers: &HeaderMap) -> bool {
    let public = state.shared.config.public_url.as_deref().unwrap_or_default();
    public.starts_with("https://")
        || text(headers, "x-forwarded-proto").is_some_and(|p| p.eq_ignore_ascii_case("https"))
}

/// The address that people reach us by: the configured one, or the one of this request.
pub(super) fn base(state: &State, headers: &HeaderMap) -> String {
    if let Some(public) = &state.shared.config.public_url {
        return public.trim_end_matches('/').to_owned();
    }
    let scheme = if is_https(state, headers) { "https" } else { "http" };
    format!("{scheme}://{}", text(headers, "host").unwrap_or("127.0.0.1"))
}

/// Turns away names that are not ours. A page can point its own name at a loopback address and so
/// speak to us as "same origin" (DNS rebinding); it can't do that with an address, and it can't
/// know a token. Signed webhooks and probes need no name.
pub(super) async fn known_host(
    Shared(state): Shared<State>,
    request: Request,
    next: Next,
) -> Result<Response, Failure> {
    let path = request.uri().path();
    let open = path.starts_with("/hooks/") || matches!(path, "/healthz" | "/readyz" | "/metrics");
    let headers = request.headers();
    if open || headers.contains_key(header::AUTHORIZATION) {
        return Ok(next.run(request).await);
    }
    let host = name(text(headers, "host").unwrap_or_default());
    let public = state.shared.config.public_url.as_deref().map(|u| name(authority(u)));
    let known = host.eq_ignore_ascii_case("localhost")
        || host.parse::<IpAddr>().is_ok()
        || public.is_some_and(|p| host.eq_ignore_ascii_case(p));
    if known {
        return Ok(next.run(request).await);
    }
    metrics::counter!("nightjar_web_unknown_hosts_total").increment(1);
    let shown: String = host.chars().take(80).collect();
    let text = format!("`{shown}` is not a name of this server.");
    Err(Failure::new(StatusCode::MISDIRECTED_REQUEST, "host", text))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn authorities_and_names_are_taken_apart() {
        assert_eq!(authority("https://bot.example.org:8443/x?y"), "bot.example.org:8443");
        assert_eq!(name("bot.example.org:8443"), "bot.example.org");
        assert_eq!(name("[::1]:7878"), "::1");
        assert_eq!(name(""), "");
    }
}
