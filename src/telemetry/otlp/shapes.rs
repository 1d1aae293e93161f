//! The repeated fields of OTLP's messages, to find out what a request takes before it is decoded
//! (<https://github.com/open-telemetry/opentelemetry-proto>).

use opentelemetry_proto::tonic::common::v1 as common;
use opentelemetry_proto::tonic::logs::v1 as logs;
use opentelemetry_proto::tonic::metrics::v1 as metrics;
use opentelemetry_proto::tonic::trace::v1 as trace;

use super::Signal;
use crate::telemetry::weight::{Field, Shape};

/// What an allocation of a short text takes.
const TEXT: usize = 32;
/// What an attribute takes: two texts at most.
const PAIR_BYTES: usize = size_of::<common::KeyValue>() + 2 * TEXT;
const PAIR: Field = Field::Message(&KEY_VALUE, PAIR_BYTES);

/// The message of a signal's requests.
pub(super) fn of(signal: Signal) -> &'static Shape {
    match signal {
        Signal::Logs => &LOGS,
        Signal::Traces => &TRACES,
        Signal::Metrics => &METRICS,
    }
}

static KEY_VALUE: Shape = Shape::new(&[(2, Field::Message(&ANY_VALUE, 0))]);
static ANY_VALUE: Shape =
    Shape::new(&[(5, Field::Message(&LIST, 0)), (6, Field::Message(&MAP, 0))]);
static LIST: Shape =
    Shape::new(&[(1, Field::Message(&ANY_VALUE, size_of::<common::AnyValue>() + TEXT))]);
static MAP: Shape = Shape::new(&[(1, Field::Message(&KEY_VALUE, PAIR_BYTES))]);
static ENTITY: Shape =
    Shape::new(&[(3, Field::Texts(size_of::<String>())), (4, Field::Texts(size_of::<String>()))]);
static RESOURCE: Shape =
    Shape::new(&[(1, PAIR), (3, Field::Message(&ENTITY, size_of::<common::EntityRef>()))]);
static SCOPE: Shape = Shape::new(&[(3, PAIR)]);

static LOGS: Shape =
    Shape::new(&[(1, Field::Message(&RESOURCE_LOGS, size_of::<logs::ResourceLogs>()))]);
static RESOURCE_LOGS: Shape = Shape::new(&[
    (1, Field::Message(&RESOURCE, 0)),
    (2, Field::Message(&SCOPE_LOGS, size_of::<logs::ScopeLogs>())),
]);
static SCOPE_LOGS: Shape = Shape::new(&[
    (1, Field::Message(&SCOPE, 0)),
    (2, Field::Message(&LOG_RECORD, size_of::<logs::LogRecord>())),
]);
static LOG_RECORD: Shape = Shape::new(&[(5, Field::Message(&ANY_VALUE, 0)), (6, PAIR)]);

static TRACES: Shape =
    Shape::new(&[(1, Field::Message(&RESOURCE_SPANS, size_of::<trace::ResourceSpans>()))]);
static RESOURCE_SPANS: Shape = Shape::new(&[
    (1, Field::Message(&RESOURCE, 0)),
    (2, Field::Message(&SCOPE_SPANS, size_of::<trace::ScopeSpans>())),
]);
static SCOPE_SPANS: Shape = Shape::new(&[
    (1, Field::Message(&SCOPE, 0)),
    (2, Field::Message(&SPAN, size_of::<trace::Span>())),
]);
static SPAN: Shape = Shape::new(&[
    (9, PAIR),
    (11, Field::Message(&EVENT, size_of::<trace::span::Event>())),
    (13, Field::Message(&LINK, size_of::<trace::span::Link>())),
]);
static EVENT: Shape = Shape::new(&[(3, PAIR)]);
static LINK: Shape = Shape::new(&[(4, PAIR)]);

static METRICS: Shape =
    Shape::new(&[(1, Field::Message(&RESOURCE_METRICS, size_of::<metrics::ResourceMetrics>()))]);
static RESOURCE_METRICS: Shape = Shape::new(&[
    (1, Field::Message(&RESOURCE, 0)),
    (2, Field::Message(&SCOPE_METRICS, size_of::<metrics::ScopeMetrics>())),
]);
static SCOPE_METRICS: Shape = Shape::new(&[
    (1, Field::Message(&SCOPE, 0)),
    (2, Field::Message(&METRIC, size_of::<metrics::Metric>())),
]);
static METRIC: Shape = Shape::new(&[
    (5, Field::Message(&NUMBERS, 0)),
    (7, Field::Message(&NUMBERS, 0)),
    (9, Field::Message(&HISTOGRAM, 0)),
    (10, Field::Message(&EXPONENTIAL, 0)),
    (11, Field::Message(&SUMMARY, 0)),
    (12, PAIR),
]);
static NUMBERS: Shape =
    Shape::new(&[(1, Field::Message(&NUMBER, size_of::<metrics::NumberDataPoint>()))]);
static HISTOGRAM: Shape =
    Shape::new(&[(1, Field::Message(&HISTOGRAM_POINT, size_of::<metrics::HistogramDataPoint>()))]);
static EXPONENTIAL: Shape = Shape::new(&[(
    1,
    Field::Message(&EXPONENTIAL_POINT, size_of::<metrics::ExponentialHistogramDataPoint>()),
)]);
static SUMMARY: Shape =
    Shape::new(&[(1, Field::Message(&SUMMARY_POINT, size_of::<metrics::SummaryDataPoint>()))]);
const EXEMPLARS: Field = Field::Message(&EXEMPLAR, size_of::<metrics::Exemplar>());
static NUMBER: Shape = Shape::new(&[(7, PAIR), (5, EXEMPLARS)]);
static HISTOGRAM_POINT: Shape = Shape::new(&[(9, PAIR), (8, EXEMPLARS)]);
static EXPONENTIAL_POINT: Shape = Shape::new(&[
    (1, PAIR),
    (8, Field::Message(&BUCKETS, 0)),
    (9, Field::Message(&BUCKETS, 0)),
    (11, EXEMPLARS),
]);
static BUCKETS: Shape = Shape::new(&[(2, Field::Numbers(size_of::<u64>()))]);
static QUANTILE: Shape = Shape::new(&[]);
static SUMMARY_POINT: Shape = Shape::new(&[
    (7, PAIR),
    (6, Field::Message(&QUANTILE, size_of::<metrics::summary_data_point::ValueAtQuantile>())),
]);
static EXEMPLAR: Shape = Shape::new(&[(7, PAIR)]);
