//! What can only be checked by asking: Prometheus servers, the model, the hosts of executors.

use std::time::Duration;

use futures_util::future::join_all;

use super::Row;
use crate::config::Config;
use crate::llm::{self, LanguageModel as _};
use crate::model::time::duration_text;
use crate::model::{Fault, wall_now};
use crate::telemetry::prometheus::{Client, PrometheusConfig, QueryError, survey};
use crate::telemetry::redact;

/// Clocks that differ by more make alerts late or early.
const SKEW_MS: i64 = 30_000;

async fn within<T, E>(
    patience: Duration,
    work: impl Future<Output = Result<T, E>>,
    late: impl FnOnce() -> E,
) -> Result<T, E> {
    tokio::time::timeout(patience, work).await.unwrap_or_else(|_| Err(late()))
}

/// Every Prometheus server: reached, its clock, what will be watched, the configured queries.
pub(super) async fn prometheus(config: &Config, patience: Duration) -> Vec<Row> {
    if config.prometheus.is_empty() {
        let said = "no server is polled: only what is pushed is watched";
        return vec![Row::off("prometheus", said, "add [[prometheus]] with its url")];
    }
    let asked = config.prometheus.iter().enumerate().map(|(i, p)| server(i, p, patience));
    join_all(asked).await.into_iter().flatten().collect()
}

async fn server(i: usize, config: &PrometheusConfig, patience: Duration) -> Vec<Row> {
    let what = format!("prometheus {}", config.name);
    let shown = redact::redact(&config.url).into_owned();
    let client = match Client::new(config) {
        Ok(client) => client,
        Err(e) => return vec![Row::failed(what, e.chain(), format!("mend prometheus[{i}]"))],
    };
    let late = || QueryError::TimedOut(patience.as_secs());
    let told = match within(patience, client.server_time(), late).await {
        Ok(told) => told,
        Err(e) => return vec![Row::failed(what, format!("{shown} {e}"), mend(i, &e))],
    };
    let skew_ms = told.ms_since(wall_now());
    let version = within(patience, client.version(), late).await.unwrap_or_default();
    let version = if version.is_empty() { String::new() } else { format!(", version {version}") };
    let mut rows = vec![Row::ok(what.clone(), format!("{shown} answers{version}"))];
    rows.push(if skew_ms.abs() > SKEW_MS {
        let side = if skew_ms > 0 { "ahead of" } else { "behind" };
        let said = format!("its clock is {} {side} ours", duration_text(skew_ms.abs()));
        Row::warning(format!("{what}: clock"), said, "let both machines keep time by NTP")
    } else {
        Row::ok(format!("{what}: clock"), "agrees with ours")
    });
    // Discovery asks many questions; each has its own time limit.
    match within(patience * 6, survey(&client, config), late).await {
        Ok((scrape_ms, found)) => {
            let said = format!(
                "{} series of {} entities by {} watches; scrapes every {}",
                found.n_series(),
                found.entities.len(),
                found.watches.len(),
                duration_text(scrape_ms)
            );
            let mut lines = found.table();
            lines.extend(found.notes.iter().map(|n| format!("left out: {n}")));
            let row = if found.watches.is_empty() {
                let mend = format!(
                    "check that it has metrics and that prometheus[{i}].matchers fit, or name \
                     queries: [[prometheus.queries]]"
                );
                Row::warning(format!("{what}: watched"), "nothing that is known", mend)
            } else {
                Row::ok(format!("{what}: watched"), said)
            };
            rows.push(row.details(lines));
        }
        Err(e) => rows.push(Row::failed(format!("{what}: watched"), e.to_string(), mend(i, &e))),
    }
    for (n, query) in config.queries.iter().enumerate() {
        let promql = query.watch(config.window_ms(15_000)).promql;
        let what = format!("{what}: {}", query.metric);
        let key = format!("prometheus[{i}].queries[{n}].promql");
        rows.push(match within(patience, client.instant(&promql, None), late).await {
            Ok(found) if found.is_empty() => {
                Row::warning(what, "gives no series now", format!("check {key}: {promql}"))
            }
            Ok(found) => Row::ok(what, format!("{} series", found.len())),
            Err(e) => Row::failed(what, e.to_string(), format!("mend {key}: {promql}")),
        });
    }
    rows
}

/// What to do about an error.
fn mend(i: usize, error: &QueryError) -> String {
    let key = |name: &str| format!("prometheus[{i}].{name}");
    match error {
        QueryError::Unreachable(_) => {
            format!("start it, open the network to it, or mend {}", key("url"))
        }
        QueryError::Status { status: 401 | 403 } => {
            format!(
                "give {} (or {}_file) a token that may read",
                key("bearer_token"),
                key("bearer_token")
            )
        }
        QueryError::Status { .. } | QueryError::NotPrometheus(_) | QueryError::Malformed(_) => {
            format!("check {}: the address of the API without /api/v1", key("url"))
        }
        QueryError::TimedOut(_) => format!("look at its load, or raise {}", key("timeout_s")),
        QueryError::Refused { .. } | QueryError::TooLarge(_) => {
            format!("see the message; {} belongs to it", key("queries"))
        }
    }
}

/// The model: asked for one word, so that address, key and name are all proven.
pub(super) async fn model(config: &Config, patience: Duration) -> Vec<Row> {
    let settings = &config.llm;
    let what = "language model";
    if settings.base_url.is_empty() {
        let said = "none: answers are made offline, from what is stored";
        return vec![Row::off(
            what,
            said,
            "set llm.base_url and llm.model to word them by a model",
        )];
    }
    let messages = vec![llm::Message::User { text: "Answer with the word ready.".into() }];
    let request = llm::Request { messages, tools: Vec::new(), may_call: false, max_tokens: 16 };
    let asked = async {
        let model = llm::openai::OpenAi::new(settings)?;
        model.complete(request, tokio::sync::mpsc::channel(1).0).await
    };
    let late = || Fault::because(format!("no answer within {} s", patience.as_secs()));
    let shown = redact::redact(&settings.base_url).into_owned();
    vec![match within(patience, asked, late).await {
        Ok(reply) => Row::ok(
            what,
            format!(
                "{} at {shown} answers ({} tokens)",
                settings.model,
                reply.usage.tokens_in + reply.usage.tokens_out
            ),
        ),
        Err(e) => {
            let said = format!("{} at {shown}: {}", settings.model, redact::redact(&e.chain()));
            let key = if settings.api_key.is_some() {
                "llm.api_key"
            } else {
                "llm.api_key (none is set)"
            };
            Row::failed(what, said, format!("check llm.base_url, llm.model and {key}"))
        }
    }]
}

/// The hosts that executors may call: a connection, and nothing is sent.
pub(super) async fn hosts(config: &Config, patience: Duration) -> Vec<Row> {
    let mut names: Vec<&String> = config.remediate.hosts.iter().map(|r| &r.host).collect();
    names.sort();
    names.dedup();
    join_all(names.into_iter().map(|host| connect(host, patience))).await
}

async fn connect(host: &str, patience: Duration) -> Row {
    let what = format!("host {host}");
    let ports: &[u16] = &[443, 80];
    let named = host.rsplit_once(':').and_then(|(name, port)| Some((name, port.parse().ok()?)));
    let tries: Vec<(&str, u16)> = match named {
        Some(one) => vec![one],
        None => ports.iter().map(|p| (host, *p)).collect(),
    };
    let mut why = String::new();
    for (name, port) in tries {
        let name = name.trim_matches(['[', ']']);
        let late = || std::io::Error::from(std::io::ErrorKind::TimedOut);
        match within(patience, tokio::net::TcpStream::connect((name, port)), late).await {
            Ok(_) => return Row::ok(what, format!("port {port} takes connections")),
            Err(e) => why = e.to_string(),
        }
    }
    Row::failed(what, why, "open the network to it, or mend remediate.hosts")
}
