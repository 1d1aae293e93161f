//! A client of Prometheus' HTTP API that gives up in time, says why, and never trusts an answer.

use std::time::Duration;

use serde::de::DeserializeOwned;
use url::Url;

use super::PrometheusConfig;
use super::wire::{
    Answer, BuildInfo, Metadata, MetricMetadata, QueryData, RangeRow, Targets, common_longest,
    duration_ms,
};
use crate::model::{Fault, Gap, Labels, Time};

/// Points a series that Prometheus answers at most (its own limit, `exceeded maximum resolution`).
pub const MAX_POINTS: i64 = 11_000;

/// Pause before the second and third try; a random half is added so that many clients that failed
/// together don't come back together.
const BACKOFF: [Duration; 2] = [Duration::from_millis(250), Duration::from_millis(1_500)];

/// Why a question was not answered. The text is fit for a person: what happened and, where it is
/// known, what to do.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum QueryError {
    /// No answer in time.
    #[error("no answer within {0} s; raise `timeout_s` or narrow the query")]
    TimedOut(u64),
    /// No connection, or it broke.
    #[error("can't be reached: {0}")]
    Unreachable(String),
    /// An answer of HTTP, without Prometheus' own explanation.
    #[error("answered HTTP {status}{}", hint(*.status))]
    Status {
        /// The code.
        status: u16,
    },
    /// Prometheus' own explanation.
    #[error("refused ({kind}): {text}")]
    Refused {
        /// HTTP status.
        status: u16,
        /// `bad_data`, `execution`, `timeout`, …
        kind: String,
        /// What it said.
        text: String,
    },
    /// Something else lives at this address.
    #[error("did not answer as Prometheus does: {0}; check `url` (a proxy or a login page?)")]
    NotPrometheus(String),
    /// JSON that ends too early or has another shape.
    #[error("sent JSON that can't be read: {0}")]
    Malformed(String),
    /// More than `max_body_bytes`.
    #[error("the answer is longer than {0} MiB; narrow the query or raise `max_body_mib`")]
    TooLarge(u64),
}

fn hint(status: u16) -> &'static str {
    match status {
        401 => " (unauthorised); check `bearer_token`",
        403 => " (forbidden); the token may not read this",
        404 => " (not found); check the path in `url`",
        429 => " (too many requests)",
        502..=504 => " (a proxy can't reach it)",
        _ => "",
    }
}

impl QueryError {
    /// Whether the same question may be answered a moment later.
    #[must_use]
    pub fn is_transient(&self) -> bool {
        match self {
            Self::TimedOut(_) | Self::Unreachable(_) | Self::Malformed(_) => true,
            Self::Status { status } => *status >= 500 || *status == 429 || *status == 408,
            Self::Refused { status, .. } => *status == 503 || *status == 429 || *status >= 502,
            Self::NotPrometheus(_) | Self::TooLarge(_) => false,
        }
    }

    /// One word for the counter.
    #[must_use]
    pub fn kind(&self) -> &'static str {
        match self {
            Self::TimedOut(_) => "timeout",
            Self::Unreachable(_) => "unreachable",
            Self::Status { .. } => "status",
            Self::Refused { .. } => "refused",
            Self::NotPrometheus(_) => "not_prometheus",
            Self::Malformed(_) => "malformed",
            Self::TooLarge(_) => "too_large",
        }
    }

    /// What is missing because of it.
    #[must_use]
    pub fn gap(&self, what: String, since: Option<Time>, until: Option<Time>) -> Gap {
        Gap { what, why: self.to_string(), since, until }
    }
}

/// One Prometheus server (or anything that speaks its API: Thanos, Mimir, `VictoriaMetrics`).
/// Cheap to clone.
#[derive(Clone)]
pub struct Client {
    http: reqwest::Client,
    base: Url,
    name: String,
    timeout_s: u64,
    max_body_mib: u64,
    matchers: String,
}

impl Client {
    /// A client for a configured server. A TLS provider must have been installed before.
    ///
    /// # Errors
    /// A header that can't be sent, or an address that is none.
    pub fn new(config: &PrometheusConfig) -> Result<Self, Fault> {
        use reqwest::header::{AUTHORIZATION, HeaderMap, HeaderName, HeaderValue};
        let name = &config.name;
        let mut base = Url::parse(&config.url)
            .map_err(|e| Fault::permanent(format!("prometheus `{name}`: url"), e))?;
        if !matches!(base.scheme(), "http" | "https") {
            return Err(Fault::because(format!(
                "prometheus `{name}`: url must start with http:// or https://"
            )));
        }
        // A trailing slash makes `join` keep a path prefix such as `/prometheus`.
        if !base.path().ends_with('/') {
            base.set_path(&format!("{}/", base.path()));
        }
        let mut headers = HeaderMap::new();
        let mut add = |key: HeaderName, value: &str| -> Result<(), Fault> {
            let mut value = HeaderValue::from_str(value).map_err(|_| {
                Fault::because(format!("prometheus `{name}`: header {key} has control characters"))
            })?;
            value.set_sensitive(true);
            headers.insert(key, value);
            Ok(())
        };
        if let Some(token) = &config.bearer_token {
            add(AUTHORIZATION, &format!("Bearer {}", token.reveal().trim()))?;
        }
        for (key, value) in &config.headers {
            let key = HeaderName::try_from(key.as_str()).map_err(|e| {
                Fault::permanent(format!("prometheus `{name}`: header name `{key}`"), e)
            })?;
            add(key, value.reveal())?;
        }
        let http = reqwest::Client::builder()
            .user_agent(concat!("nightjar/", env!("CARGO_PKG_VERSION")))
            .default_headers(headers)
            .connect_timeout(Duration::from_secs(u64::from(config.timeout_s).min(10)))
            .timeout(Duration::from_secs(u64::from(config.timeout_s)))
            .redirect(reqwest::redirect::Policy::limited(3))
            .build()
            .map_err(|e| Fault::permanent(format!("prometheus `{name}`: HTTP client"), e))?;
        Ok(Self {
            http,
            base,
            name: name.clone(),
            timeout_s: u64::from(config.timeout_s),
            max_body_mib: u64::from(config.max_body_mib),
            matchers: config.matchers.join(","),
        })
    }

    /// The configured name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Extra matchers of the configuration, joined with commas; empty where there are none.
    #[must_use]
    pub fn matchers(&self) -> &str {
        &self.matchers
    }

    /// The value of every series of an expression, at a time or now. Values that are not finite
    /// are left out.
    ///
    /// # Errors
    /// See [`QueryError`].
    pub async fn instant(
        &self,
        promql: &str,
        at: Option<Time>,
    ) -> Result<Vec<(Labels, f64)>, QueryError> {
        let at = at.map(|t| t.seconds().to_string());
        let form: Vec<(&str, &str)> =
            [("query", promql)].into_iter().chain(at.as_deref().map(|t| ("time", t))).collect();
        match self.ask("api/v1/query", &form).await? {
            QueryData::Vector(rows) => Ok(rows
                .into_iter()
                .filter_map(|r| r.value.map(|v| (r.metric, v.value)))
                .filter(|(_, v)| v.is_finite())
                .collect()),
            QueryData::Scalar(sample) => Ok(vec![(Labels::default(), sample.value)]),
            QueryData::Matrix(_) | QueryData::String(_) => {
                Err(QueryError::Malformed("a range or a text instead of values".into()))
            }
        }
    }

    /// The server's own time, from an answer's timestamp.
    ///
    /// # Errors
    /// See [`QueryError`].
    pub async fn server_time(&self) -> Result<Time, QueryError> {
        let no_time = || QueryError::Malformed("an answer without a time".into());
        match self.ask("api/v1/query", &[("query", "1")]).await? {
            QueryData::Scalar(sample) => sample.at.ok_or_else(no_time),
            QueryData::Vector(rows) => rows.iter().find_map(|r| r.value?.at).ok_or_else(no_time),
            QueryData::Matrix(_) | QueryData::String(_) => Err(no_time()),
        }
    }

    /// The values of an expression at `since`, `since + step`, … up to `until` (both included),
    /// in as many questions as the limit of [`MAX_POINTS`] needs, the earliest first.
    ///
    /// # Errors
    /// See [`QueryError`]; what earlier questions gave is then lost.
    pub async fn range(
        &self,
        promql: &str,
        since: Time,
        until: Time,
        step_ms: i64,
    ) -> Result<Vec<RangeRow>, QueryError> {
        let mut rows: Vec<RangeRow> = Vec::new();
        for (start, end) in chunks(since, until, step_ms) {
            let form = [
                ("query", promql),
                ("start", &start.seconds().to_string()),
                ("end", &end.seconds().to_string()),
                ("step", &(step_ms as f64 / 1_000.0).to_string()),
            ];
            let QueryData::Matrix(chunk) = self.ask("api/v1/query_range", &form).await? else {
                return Err(QueryError::Malformed("values instead of a range".into()));
            };
            merge(&mut rows, chunk);
        }
        Ok(rows)
    }

    /// All metric names.
    ///
    /// # Errors
    /// See [`QueryError`].
    pub async fn metric_names(&self) -> Result<Vec<String>, QueryError> {
        let path = if self.matchers.is_empty() {
            "api/v1/label/__name__/values".to_owned()
        } else {
            let selector = format!("{{{}}}", self.matchers);
            let encoded: String =
                url::form_urlencoded::byte_serialize(selector.as_bytes()).collect();
            format!("api/v1/label/__name__/values?match[]={encoded}")
        };
        self.get(&path).await
    }

    /// Type, help and unit by metric; empty where the server keeps none.
    pub async fn metadata(&self) -> Vec<(String, MetricMetadata)> {
        let metadata: Metadata = self.get("api/v1/metadata").await.unwrap_or_default();
        metadata
            .into_iter()
            .filter_map(|(name, all)| all.into_iter().next().map(|m| (name, m)))
            .collect()
    }

    /// The longest scrape interval in milliseconds that at least a fifth of the targets has: one
    /// slow job (a cloud bill, a switch) must not coarsen every service. `None` where the server
    /// does not tell (Thanos, Mimir).
    pub async fn scrape_interval_ms(&self) -> Option<i64> {
        let targets: Targets = self.get("api/v1/targets?state=active").await.ok()?;
        let all = targets.active_targets.iter().filter_map(|t| duration_ms(&t.scrape_interval));
        common_longest(all.collect())
    }

    /// The server's version; empty where it does not tell.
    ///
    /// # Errors
    /// See [`QueryError`].
    pub async fn version(&self) -> Result<String, QueryError> {
        match self.get::<BuildInfo>("api/v1/status/buildinfo").await {
            Ok(info) => Ok(info.version),
            // Not every server that speaks the query API has this address.
            Err(QueryError::Status { status: 404 } | QueryError::NotPrometheus(_)) => {
                self.server_time().await.map(|_| String::new())
            }
            Err(e) => Err(e),
        }
    }

    async fn get<T: DeserializeOwned>(&self, path: &str) -> Result<T, QueryError> {
        let url = self.base.join(path).map_err(|e| QueryError::Unreachable(e.to_string()))?;
        self.tried(|| self.http.get(url.clone())).await
    }

    async fn ask(&self, path: &str, form: &[(&str, &str)]) -> Result<QueryData, QueryError> {
        let url = self.base.join(path).map_err(|e| QueryError::Unreachable(e.to_string()))?;
        self.tried(|| self.http.post(url.clone()).form(form)).await
    }

    async fn tried<T: DeserializeOwned>(
        &self,
        request: impl Fn() -> reqwest::RequestBuilder,
    ) -> Result<T, QueryError> {
        let mut pauses = BACKOFF.iter();
        loop {
            let error = match self.once(request()).await {
                Ok(data) => return Ok(data),
                Err(error) => error,
            };
            metrics::counter!(
                "nightjar_prometheus_failures_total",
                "source" => self.name.clone(), "kind" => error.kind()
            )
            .increment(1);
            match pauses.next() {
                // A server that was too slow once is not asked the same thing three times.
                Some(pause)
                    if error.is_transient() && !matches!(error, QueryError::TimedOut(_)) =>
                {
                    tokio::time::sleep(*pause + jitter(*pause)).await;
                }
                _ => return Err(error),
            }
        }
    }

    async fn once<T: DeserializeOwned>(
        &self,
        request: reqwest::RequestBuilder,
    ) -> Result<T, QueryError> {
        let mut response = request.send().await.map_err(|e| self.transport(e))?;
        let status = response.status().as_u16();
        let is_html = response
            .headers()
            .get(reqwest::header::CONTENT_TYPE)
            .and_then(|v| v.to_str().ok())
            .is_some_and(|t| t.contains("html"));
        let mut body = Vec::new();
        while let Some(chunk) = response.chunk().await.map_err(|e| self.transport(e))? {
            body.extend_from_slice(&chunk);
            if body.len() as u64 > self.max_body_mib << 20 {
                return Err(QueryError::TooLarge(self.max_body_mib));
            }
        }
        read(status, is_html, &body)
    }

    fn transport(&self, error: reqwest::Error) -> QueryError {
        if error.is_timeout() {
            return QueryError::TimedOut(self.timeout_s);
        }
        // Without the address, which may carry a password; with the chain, which has the reason.
        let error = error.without_url();
        let mut text = error.to_string();
        let mut next = std::error::Error::source(&error);
        while let Some(cause) = next {
            text = cause.to_string();
            next = cause.source();
        }
        QueryError::Unreachable(text)
    }
}

/// Reads an answer, whatever it is.
fn read<T: DeserializeOwned>(status: u16, is_html: bool, body: &[u8]) -> Result<T, QueryError> {
    let is_ok = (200..300).contains(&status);
    match serde_json::from_slice::<Answer<T>>(body) {
        Ok(Answer { status: word, data: Some(data), warnings, .. })
            if is_ok && word == "success" =>
        {
            for warning in warnings {
                metrics::counter!("nightjar_prometheus_warnings_total").increment(1);
                tracing::debug!(warning, "prometheus warned");
            }
            Ok(data)
        }
        Ok(answer) if answer.status == "error" || !answer.error.is_empty() => {
            Err(QueryError::Refused { status, kind: answer.error_type, text: answer.error })
        }
        _ if !is_ok => Err(QueryError::Status { status }),
        Ok(_) => Err(QueryError::Malformed("neither data nor an error".into())),
        Err(_) if is_html || body.trim_ascii_start().starts_with(b"<") => {
            Err(QueryError::NotPrometheus("it sent a web page".into()))
        }
        Err(_) if body.trim_ascii().is_empty() => {
            Err(QueryError::Malformed("an empty answer".into()))
        }
        Err(e) if e.is_eof() => {
            Err(QueryError::Malformed(format!("it ends after {} bytes", body.len())))
        }
        Err(e) if e.is_syntax() && !body.trim_ascii_start().starts_with(b"{") => {
            Err(QueryError::NotPrometheus("it sent no JSON".into()))
        }
        Err(e) => Err(QueryError::Malformed(e.to_string())),
    }
}

/// Splits a range into ranges of at most [`MAX_POINTS`] points, without overlap.
fn chunks(since: Time, until: Time, step_ms: i64) -> impl Iterator<Item = (Time, Time)> {
    let step_ms = step_ms.max(1);
    let span_ms = (MAX_POINTS - 1) * step_ms;
    let mut start = since;
    std::iter::from_fn(move || {
        if start > until {
            return None;
        }
        let end = start.plus_ms(span_ms).min(until);
        let chunk = (start, end);
        start = end.plus_ms(step_ms);
        Some(chunk)
    })
}

/// Adds the rows of a later range to those of the earlier ones.
fn merge(rows: &mut Vec<RangeRow>, later: Vec<RangeRow>) {
    if rows.is_empty() {
        *rows = later;
        return;
    }
    let place: std::collections::BTreeMap<Labels, usize> =
        rows.iter().enumerate().map(|(i, r)| (r.metric.clone(), i)).collect();
    for row in later {
        match place.get(&row.metric) {
            Some(&i) => rows[i].values.extend(row.values),
            None => rows.push(row),
        }
    }
}

fn jitter(most: Duration) -> Duration {
    // Without randomness the pause is only less spread.
    let random = getrandom::u32().unwrap_or(0);
    most.mul_f64(f64::from(random) / f64::from(u32::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_are_cut_below_the_limit_without_overlap_or_hole() {
        let (since, until) = (Time::from_ms(0), Time::from_ms(25_000_000));
        let parts: Vec<(Time, Time)> = chunks(since, until, 1_000).collect();
        assert_eq!(parts.len(), 3);
        for (start, end) in &parts {
            assert!(end.ms_since(*start) / 1_000 < MAX_POINTS);
        }
        for pair in parts.windows(2) {
            assert_eq!(pair[1].0.ms_since(pair[0].1), 1_000);
        }
        assert_eq!(parts[2].1, until);
        assert_eq!(chunks(until, since, 1_000).count(), 0);
        assert_eq!(chunks(since, since, 1_000).count(), 1);
    }

    #[test]
    fn every_bad_answer_has_its_word() {
        let read =
            |status, body: &str| read::<QueryData>(status, false, body.as_bytes()).map(|_| ());
        let cases = [
            (200, "<html>login</html>", "not_prometheus", false),
            (200, "hello", "not_prometheus", false),
            (200, "", "malformed", true),
            (200, r#"{"status":"success","data":{"resultType":"vec"#, "malformed", true),
            (200, r#"{"status":"success"}"#, "malformed", true),
            (
                200,
                r#"{"status":"success","data":{"resultType":"vector","result":[{"metric":{},"value":[1,2]}]}}"#,
                "malformed",
                true,
            ),
            (
                400,
                r#"{"status":"error","errorType":"bad_data","error":"parse error"}"#,
                "refused",
                false,
            ),
            (
                503,
                r#"{"status":"error","errorType":"timeout","error":"query timed out"}"#,
                "refused",
                true,
            ),
            (502, "<html>bad gateway</html>", "status", true),
            (401, "", "status", false),
        ];
        for (status, body, kind, transient) in cases {
            let error = read(status, body).expect_err(body);
            assert_eq!((error.kind(), error.is_transient()), (kind, transient), "{body}: {error}");
        }
    }
}
