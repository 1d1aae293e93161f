//! OTLP spans: who did the work, who was called, whether it failed.

use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::trace::v1::span::SpanKind;
use opentelemetry_proto::tonic::trace::v1::status::StatusCode;

use super::resource::{self, Origin};
use super::{Losses, Window};
use crate::model::{Batch, EntityRef, Labels, Span, Time};

/// Converts a request; what is not taken is counted.
pub(super) fn convert(
    request: ExportTraceServiceRequest,
    window: Window<'_>,
    batch: &mut Batch,
    losses: &mut Losses,
) {
    for group in request.resource_spans {
        let origin = Origin::new(group.resource);
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
}

/// The other side of a client or producer span, by the attributes of the semantic conventions:
/// `peer.service`; a database by its namespace, else its server, else its system; a queue by its
/// destination; else the server's address.
fn peer(attributes: &Labels) -> Option<EntityRef> {
    let get = |names: &[&str]| {
        names.iter().find_map(|n| attributes.get(n).filter(|v| !v.trim().is_empty()))
    };
    if let Some(service) = get(&["peer.service", "service.peer.name"]) {
        return Some(EntityRef::service(service));
    }
    let address = get(&["server.address", "net.peer.name", "network.peer.address"]);
    if let Some(system) = get(&["db.system.name", "db.system"]) {
        return Some(match get(&["db.namespace", "db.name"]) {
            Some(name) => EntityRef::new("db.namespace", name),
            None => address.map_or_else(
                || EntityRef::new("db.system.name", system),
                |a| EntityRef::new("server.address", a),
            ),
        });
    }
    if let Some(system) = get(&["messaging.system"]) {
        return Some(match get(&["messaging.destination.name"]) {
            Some(name) => EntityRef::new("messaging.destination.name", name),
            None => EntityRef::new("messaging.system", system),
        });
    }
    address.map(|a| EntityRef::new("server.address", a))
}
