//! OTLP spans: who did the work, who was called, whether it failed.

use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::trace::v1::span::SpanKind;
use opentelemetry_proto::tonic::trace::v1::status::StatusCode;

use super::resource::{self, Origin};
use super::{Apart, Losses, Rejected, Window};
use crate::model::{Batch, EntityRef, Labels, Span, Time};

/// Converts a request; what is not taken is counted. Refused when it takes too much memory.
pub(super) fn convert(
    request: ExportTraceServiceRequest,
    window: Window<'_>,
    batch: &mut Batch,
    losses: &mut Losses,
) -> Result<(), Rejected> {
    let mut apart = Apart::default();
    for group in request.resource_spans {
        let origin = Origin::new(group.resource);
        apart.add(&origin, group.scope_spans.iter().map(|s| s.spans.len()).sum())?;
        for span in group.scope_spans.into_iter().flat_map(|s| s.spans) {
            let ids = (resource::id(&span.trace_id, 16), resource::id(&span.span_id, 8));
            let (Some(trace_id), Some(span_id)) = ids else {
                losses.add("span without a valid trace id (16 bytes) and span id (8 bytes)");
                continue;
            };
            if span.start_time_unix_nano == 0 {
                losses.add("span without a start time");
                continue;
            }
            let at = match window.check(Time::from_nanos(span.start_time_unix_nano)) {
                Ok(at) => at,
                Err(why) => {
                    losses.add(format!("span: {why}"));
                    continue;
                }
            };
            let nanos = span.end_time_unix_nano.saturating_sub(span.start_time_unix_nano);
            let mut attributes = resource::labels(span.attributes);
            let kind = SpanKind::try_from(span.kind).unwrap_or(SpanKind::Unspecified);
            let peer = match kind {
                SpanKind::Client | SpanKind::Producer => peer(&attributes),
                _ => None,
            };
            for (name, value) in origin.kept.iter() {
                if attributes.get(name).is_none() {
                    attributes.set(name, value);
                }
            }
            let status = span.status.unwrap_or_default();
            if !status.message.is_empty() {
                attributes.set("otel.status_description", resource::cut(status.message, 1_024));
            }
            batch.spans.push(Span {
                at,
                duration_ms: nanos as f64 / 1e6,
                entity: origin.entity.clone(),
                name: resource::cut(span.name, 256),
                is_server: matches!(kind, SpanKind::Server | SpanKind::Consumer),
                peer: peer.filter(|p| *p != origin.entity),
                failed: status.code == StatusCode::Error as i32,
                trace_id,
                span_id,
                parent_span_id: resource::id(&span.parent_span_id, 8),
                attributes,
            });
        }
    }
    Ok(())
}

/// The other side of a client or producer span, by the attributes of the semantic conventions:
/// `peer.service`; a queue by its destination; a server by its address; a database without one by
/// its namespace, else its system.
fn peer(attributes: &Labels) -> Option<EntityRef> {
    let get = |names: &[&str]| {
        names.iter().find_map(|n| attributes.get(n).filter(|v| !v.trim().is_empty()))
    };
    if let Some(service) = get(&["peer.service", "service.peer.name"]) {
        return Some(EntityRef::service(service));
    }
    if let Some(system) = get(&["messaging.system"]) {
        return Some(match get(&["messaging.destination.name"]) {
            Some(name) => EntityRef::new("messaging.destination.name", name),
            None => EntityRef::new("messaging.system", system),
        });
    }
    if let Some(address) = get(&["server.address", "net.peer.name", "network.peer.address"]) {
        return server(address);
    }
    let system = get(&["db.system.name", "db.system"])?;
    Some(match get(&["db.namespace", "db.name"]) {
        Some(name) => EntityRef::new("db.namespace", name),
        None => EntityRef::new("db.system.name", system),
    })
}

/// Who answers at an address. A bare name, or a name of a cluster's own DNS
/// (`orders.shop.svc.cluster.local`), is the service that its own spans and the exporters beside it
/// name; any other name, or a number, is only an address. What is on the same machine has no name.
fn server(address: &str) -> Option<EntityRef> {
    let host = match address.trim().rsplit_once(':') {
        Some((host, port)) if !host.contains(':') && port.bytes().all(|b| b.is_ascii_digit()) => {
            host
        }
        _ => address.trim(),
    };
    let is_number = host.trim_matches(['[', ']']).parse::<std::net::IpAddr>();
    if host == "localhost" || is_number.as_ref().is_ok_and(std::net::IpAddr::is_loopback) {
        return None;
    }
    let first = host.split('.').next().unwrap_or(host);
    let is_ours = !host.contains('.') || host.split('.').any(|part| part == "svc");
    if is_ours && is_number.is_err() && !first.is_empty() {
        return Some(EntityRef::service(first));
    }
    Some(EntityRef::new("server.address", host))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_is_called_follows_from_what_a_span_says() {
        for (attributes, expected) in [
            ("peer.service=orders server.address=10.0.0.1", "service.name=orders"),
            ("server.address=orders", "service.name=orders"),
            ("server.address=orders:8080", "service.name=orders"),
            ("server.address=orders.shop.svc.cluster.local", "service.name=orders"),
            ("net.peer.name=orders.shop.svc", "service.name=orders"),
            ("server.address=api.example.com", "server.address=api.example.com"),
            ("server.address=10.1.2.3:8080", "server.address=10.1.2.3"),
            ("server.address=fd00::1", "server.address=fd00::1"),
            ("server.address=localhost:8080", ""),
            ("server.address=127.0.0.1", ""),
            (
                "db.system.name=postgresql db.namespace=orders server.address=orders-db",
                "service.name=orders-db",
            ),
            ("db.system=redis db.name=0", "db.namespace=0"),
            ("db.system=redis", "db.system.name=redis"),
            ("messaging.system=kafka server.address=kafka", "messaging.system=kafka"),
            ("http.request.method=GET", ""),
        ] {
            let labels: Labels =
                attributes.split(' ').filter_map(|pair| pair.split_once('=')).collect();
            let found = peer(&labels).map(|p| p.to_string()).unwrap_or_default();
            assert_eq!(found, expected, "{attributes}");
        }
    }
}
