"""Sends logs, traces and metrics with OpenTelemetry's own exporters, then one JSON request.

Usage: otlp_exporter.py BASE_URL. Every secret in it is made up.
"""

import json
import logging
import sys
import time
import urllib.request

from opentelemetry import trace
from opentelemetry.exporter.otlp.proto.http import Compression
from opentelemetry.exporter.otlp.proto.http._log_exporter import OTLPLogExporter
from opentelemetry.exporter.otlp.proto.http.metric_exporter import OTLPMetricExporter
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk._logs import LoggerProvider, LoggingHandler
from opentelemetry.sdk._logs.export import BatchLogRecordProcessor
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import PeriodicExportingMetricReader
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from opentelemetry.trace import SpanKind, Status, StatusCode

base = sys.argv[1]


def resource(service):
    return Resource.create(
        {"service.name": service, "service.version": "4.7.2", "host.name": "node-3"}
    )


def tracer(service):
    provider = TracerProvider(resource=resource(service))
    exporter = OTLPSpanExporter(f"{base}/v1/traces", compression=Compression.Gzip)
    provider.add_span_processor(BatchSpanProcessor(exporter))
    return provider, provider.get_tracer("test")


checkout_provider, checkout = tracer("checkout")
orders_provider, orders = tracer("orders")
with checkout.start_as_current_span("POST /checkout", kind=SpanKind.SERVER):
    with checkout.start_as_current_span("POST", kind=SpanKind.CLIENT) as call:
        call.set_attribute("peer.service", "orders")
        with orders.start_as_current_span("POST /orders", kind=SpanKind.SERVER) as server:
            trace_id = f"{server.get_span_context().trace_id:032x}"
            with orders.start_as_current_span("INSERT", kind=SpanKind.CLIENT) as query:
                query.set_attribute("db.system.name", "postgresql")
                query.set_attribute("server.address", "orders-db")
                query.set_attribute(
                    "db.connection_string", "postgres://app:not-a-real-pw-1@orders-db/orders"
                )
                query.set_status(Status(StatusCode.ERROR, "password=not-a-real-pw-2 refused"))
# Caller first or callee first: the order in which batches arrive is nobody's promise.
orders_provider.force_flush()
checkout_provider.force_flush()

logs = LoggerProvider(resource=resource("orders"))
logs.add_log_record_processor(
    BatchLogRecordProcessor(OTLPLogExporter(f"{base}/v1/logs", compression=Compression.Gzip))
)
logger = logging.getLogger("orders")
logger.setLevel(logging.INFO)
logger.addHandler(LoggingHandler(logger_provider=logs))
with checkout.start_as_current_span("POST /checkout"):
    logger.error(
        "payment refused for jo.doe@example.com with Authorization: Bearer not0a1real2token3not4a5real6",
        extra={"api_key": "not-a-real-key-3"},
    )
try:
    raise ValueError("token=not0a1real2token3 is expired")
except ValueError:
    logger.exception("order 17 failed")
logger.info("order 18 stored, total 12.50 EUR")
logs.force_flush()

reader = PeriodicExportingMetricReader(
    OTLPMetricExporter(f"{base}/v1/metrics", compression=Compression.Gzip),
    export_interval_millis=3_600_000,
)
meters = MeterProvider(resource=resource("orders"), metric_readers=[reader])
meter = meters.get_meter("test")
bounds = [0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.25, 0.5, 0.75, 1, 2.5, 5, 7.5, 10]
duration = meter.create_histogram(
    "http.server.request.duration", unit="s", explicit_bucket_boundaries_advisory=bounds
)
used = meter.create_up_down_counter("db.client.connection.count", unit="{connection}")
most = meter.create_up_down_counter("db.client.connection.max", unit="{connection}")
pool = {"db.client.connection.pool.name": "orders-db"}
most.add(20, pool)
used.add(19, pool | {"db.client.connection.state": "used"})
for _ in range(2):
    for n in range(40):
        duration.record(0.04 if n % 4 else 0.4, {"http.response.status_code": 200})
    duration.record(3.0, {"http.response.status_code": 503})
    meters.force_flush()
    time.sleep(1)
meters.shutdown()

# What a hand-written client sends: JSON, nanoseconds as text, enums by name or number.
now = time.time_ns()
body = {
    "resourceLogs": [
        {
            "resource": {
                "attributes": [{"key": "service.name", "value": {"stringValue": "auth"}}]
            },
            "scopeLogs": [
                {
                    "logRecords": [
                        {
                            "timeUnixNano": str(now),
                            "severityNumber": "SEVERITY_NUMBER_WARN",
                            "body": {"stringValue": "login of user 7 took 900 ms"},
                            "fromTheFuture": {"unknown": [1, None]},
                        }
                    ]
                }
            ],
        }
    ]
}
request = urllib.request.Request(
    f"{base}/v1/logs",
    data=json.dumps(body).encode(),
    headers={"Content-Type": "application/json; charset=utf-8"},
)
with urllib.request.urlopen(request) as answer:
    assert json.load(answer) == {}, "no partial success"
    assert answer.headers["Content-Type"] == "application/json"
print(trace_id)
