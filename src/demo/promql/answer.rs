//! Answers in Prometheus' JSON format, written by hand because they are large.

use std::fmt::Write as _;

use super::value::QueryError;
use super::{Answer, Instant};
use crate::model::{Labels, Time};

/// The body of a successful answer around its data.
#[must_use]
pub fn success(data: &str) -> String {
    format!("{{\"status\":\"success\",\"data\":{data}}}")
}

/// Status and body of an error.
#[must_use]
pub fn failure(error: &QueryError) -> (u16, String) {
    let (status, kind) = match error {
        QueryError::BadData(_) => (400, "bad_data"),
        QueryError::Execution(_) => (422, "execution"),
    };
    let text = serde_json::json!({
        "status": "error", "errorType": kind, "error": error.to_string(),
    });
    (status, text.to_string())
}

/// Data of a range query.
#[must_use]
pub fn matrix(answers: &[Answer]) -> String {
    let mut out = String::from("{\"resultType\":\"matrix\",\"result\":[");
    list(&mut out, answers, |out, answer| {
        out.push_str("{\"metric\":");
        labels(out, &answer.labels);
        out.push_str(",\"values\":[");
        list(out, &answer.points, |out, point| sample(out, *point));
        out.push_str("]}");
    });
    out.push_str("]}");
    out
}

/// Data of an instant query.
#[must_use]
pub fn instant(answer: &Instant, at: Time) -> String {
    let mut out = String::new();
    match answer {
        Instant::Matrix(answers) => return matrix(answers),
        Instant::Scalar(v) => {
            out.push_str("{\"resultType\":\"scalar\",\"result\":");
            sample(&mut out, (at, *v));
        }
        Instant::Text(text) => {
            let quoted = serde_json::Value::from(text.as_str());
            write!(out, "{{\"resultType\":\"string\",\"result\":[{},{quoted}]", at.seconds())
                .expect("writing to a string can't fail");
        }
        Instant::Vector(answers) => {
            out.push_str("{\"resultType\":\"vector\",\"result\":[");
            list(&mut out, answers, |out, answer| {
                out.push_str("{\"metric\":");
                labels(out, &answer.labels);
                out.push_str(",\"value\":");
                sample(out, answer.points[0]);
                out.push('}');
            });
            out.push(']');
        }
    }
    out.push('}');
    out
}

/// A number as Prometheus writes it.
#[must_use]
pub fn number(v: f64) -> String {
    if v.is_nan() {
        "NaN".to_owned()
    } else if v.is_infinite() {
        if v > 0.0 { "+Inf" } else { "-Inf" }.to_owned()
    } else {
        v.to_string()
    }
}

fn sample(out: &mut String, (at, v): (Time, f64)) {
    write!(out, "[{},\"", at.seconds()).expect("writing to a string can't fail");
    if v.is_finite() {
        write!(out, "{v}").expect("writing to a string can't fail");
    } else {
        out.push_str(&number(v));
    }
    out.push_str("\"]");
}

fn labels(out: &mut String, labels: &Labels) {
    out.push_str(&serde_json::to_string(labels).expect("labels are strings"));
}

fn list<T>(out: &mut String, items: &[T], mut each: impl FnMut(&mut String, &T)) {
    for (i, item) in items.iter().enumerate() {
        if i > 0 {
            out.push(',');
        }
        each(out, item);
    }
}
