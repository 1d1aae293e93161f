//! OTLP's JSON, read strictly: the generated reader drops some wrong values in silence.
//!
//! Before it decodes, this pass walks the document: enum names become their numbers, the texts
//! `NaN` and `Infinity` of optional numbers are taken out, a oneof with a wrong value inside is
//! an error that names the place.

use opentelemetry_proto::tonic::metrics::v1 as m;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value};

use super::Signal;

/// Decodes one request.
pub(super) fn read<T: DeserializeOwned>(body: &[u8], signal: Signal) -> Result<T, String> {
    let mut value: Value =
        serde_json::from_slice(body).map_err(|e| format!("not OTLP JSON: {e}"))?;
    let (key, snake) = match signal {
        Signal::Logs => ("resourceLogs", "resource_logs"),
        Signal::Traces => ("resourceSpans", "resource_spans"),
        Signal::Metrics => ("resourceMetrics", "resource_metrics"),
    };
    let Value::Object(top) = &value else {
        return Err(format!("not OTLP JSON: expected an object with `{key}`"));
    };
    if top.contains_key(snake) {
        return Err(format!("OTLP JSON has lowerCamelCase keys: write `{key}`, not `{snake}`"));
    }
    if !top.is_empty() && !top.contains_key(key) {
        return Err(format!("not an OTLP request for this path: `{key}` is missing"));
    }
    walk(&mut value, &mut String::new())?;
    serde_json::from_value(value).map_err(|e| format!("not OTLP JSON: {e}"))
}

fn walk(value: &mut Value, path: &mut String) -> Result<(), String> {
    let length = path.len();
    match value {
        Value::Array(items) => {
            for (i, item) in items.iter_mut().enumerate() {
                path.push_str(&format!("[{i}]"));
                walk(item, path)?;
                path.truncate(length);
            }
        }
        Value::Object(map) => {
            // In the JSON mapping of protobuf, null is the field's absence.
            map.retain(|_, v| !v.is_null());
            let keys: Vec<String> = map.keys().cloned().collect();
            for key in keys {
                path.push('.');
                path.push_str(&key);
                mend(map, &key, path)?;
                // The contents of attributes are free; the keys of the protocol end there.
                if let Some(inner) = map.get_mut(&key)
                    && !matches!(key.as_str(), "attributes" | "body")
                {
                    walk(inner, path)?;
                }
                check_oneof(map, &key, path)?;
                path.truncate(length);
            }
        }
        _ => {}
    }
    Ok(())
}

/// Enum names to numbers, and optional numbers that are no numbers out.
fn mend(map: &mut Map<String, Value>, key: &str, path: &str) -> Result<(), String> {
    let Some(Value::String(text)) = map.get(key) else { return Ok(()) };
    let number = match key {
        "kind" => opentelemetry_proto::tonic::trace::v1::span::SpanKind::from_str_name(text)
            .map(|k| k as i32),
        "severityNumber" => {
            opentelemetry_proto::tonic::logs::v1::SeverityNumber::from_str_name(text)
                .map(|k| k as i32)
        }
        "code" => opentelemetry_proto::tonic::trace::v1::status::StatusCode::from_str_name(text)
            .map(|k| k as i32),
        "aggregationTemporality" => {
            m::AggregationTemporality::from_str_name(text).map(|k| k as i32)
        }
        "sum" | "min" | "max" if matches!(text.as_str(), "NaN" | "Infinity" | "-Infinity") => {
            map.remove(key);
            return Ok(());
        }
        "asDouble" => return double(map, key, path),
        _ => return Ok(()),
    };
    let shown: String = text.chars().take(40).collect();
    let number = number.or_else(|| text.parse().ok());
    let number = number.ok_or_else(|| format!("{path}: `{shown}` is not a value of this enum"))?;
    map.insert(key.to_owned(), Value::from(number));
    Ok(())
}

/// A double as text. `NaN` and infinities have no JSON number: the point is left without a value,
/// which is counted later as a point that was rejected.
fn double(map: &mut Map<String, Value>, key: &str, path: &str) -> Result<(), String> {
    let Some(Value::String(text)) = map.remove(key) else { return Ok(()) };
    match text.as_str() {
        "NaN" | "Infinity" | "-Infinity" => Ok(()),
        other => {
            let number = other.parse::<f64>().ok().and_then(serde_json::Number::from_f64);
            let number = number.ok_or_else(|| {
                let shown: String = other.chars().take(40).collect();
                format!("{path}: `{shown}` is not a number")
            })?;
            map.insert(key.to_owned(), Value::Number(number));
            Ok(())
        }
    }
}

/// A flattened oneof that fails to decode would vanish: decode it here and say why.
fn check_oneof(map: &Map<String, Value>, key: &str, path: &str) -> Result<(), String> {
    fn check<T: DeserializeOwned>(value: &Value, path: &str) -> Result<(), String> {
        serde_json::from_value::<T>(value.clone())
            .map(|_| ())
            .map_err(|e| format!("{}: {e}", path.trim_start_matches('.')))
    }
    // Objects only: `sum` is also a number inside a histogram's point.
    let Some(value) = map.get(key) else { return Ok(()) };
    match (key, value) {
        ("gauge", _) => check::<m::Gauge>(value, path),
        ("sum", Value::Object(_)) => check::<m::Sum>(value, path),
        ("sum", v) if !v.is_number() => Err(format!("{path}: expected a number or a sum")),
        ("histogram", _) => check::<m::Histogram>(value, path),
        ("exponentialHistogram", _) => check::<m::ExponentialHistogram>(value, path),
        ("summary", _) => check::<m::Summary>(value, path),
        ("asDouble", v) if !v.is_number() => Err(format!("{path}: expected a number")),
        ("asInt", v) => match v {
            Value::String(s) if s.parse::<i64>().is_ok() => Ok(()),
            v if v.is_i64() => Ok(()),
            _ => Err(format!("{path}: expected a 64-bit integer")),
        },
        _ => Ok(()),
    }
}
