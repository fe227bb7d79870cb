"""Pages and samples with complete defaults, so that a test states only what matters."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta

from farthing.core.domain import VariantName, WorkloadId
from farthing.signals.roles import MetricNames

EPOCH = datetime(2026, 3, 1, tzinfo=UTC)
"""The wall clock when the monotonic clock of a test reads zero."""
WORKLOAD = WorkloadId(namespace="search", name="embed")
FAST = (VariantName("fast"), "a100")
NO_BATCHES: Mapping[int, tuple[float, float]] = {}


def names(port: int = 8080) -> MetricNames:
    """The names of our own server."""
    return MetricNames(
        path="/metrics",
        port=port,
        completed="farthing_requests_completed_total",
        queued="farthing_requests_queued",
        in_flight="farthing_requests_in_flight",
        latency="farthing_request_latency_seconds",
        arrived="farthing_requests_arrived_total",
        refused="farthing_requests_refused_total",
        batches="farthing_batches_total",
        batch_seconds="farthing_batch_seconds_total",
    )


def page(
    arrived: object = 0,
    *,
    completed: object | None = None,
    refused: object = 0,
    queued: object = 0,
    in_flight: object = 0,
    slow: int = 0,
    batches: Mapping[int, tuple[float, float]] = NO_BATCHES,
    started_unix_s: float | None = None,
) -> bytes:
    """A page of our own server; `slow` of the completed ones took more than 0.1 s."""
    done = arrived if completed is None else completed
    quick = int(float(str(done))) - slow if str(done) not in ("NaN", "+Inf") else 0
    lines = [
        "# HELP farthing_requests_arrived_total Requests {that} arrived.",
        "# TYPE farthing_requests_arrived_total counter",
        f"farthing_requests_arrived_total {arrived}",
        f"farthing_requests_completed_total {done}",
        f'farthing_requests_refused_total{{reason="late"}} {refused}',
        'farthing_requests_refused_total{reason="queue_full"} 0',
        f"farthing_requests_queued {queued}",
        f"farthing_requests_in_flight {in_flight}",
        f'farthing_request_latency_seconds_bucket{{le="0.1"}} {quick}',
        f'farthing_request_latency_seconds_bucket{{le="0.5"}} {quick + slow}',
        f'farthing_request_latency_seconds_bucket{{le="+Inf"}} {quick + slow}',
        *(f'farthing_batches_total{{size="{size}"}} {n}' for size, (n, _) in batches.items()),
        *(f'farthing_batch_seconds_total{{size="{size}"}} {s}' for size, (_, s) in batches.items()),
    ]
    if started_unix_s is not None:
        lines.append(f"process_start_time_seconds {started_unix_s}")
    return "\n".join([*lines, ""]).encode()


def instant(at_s: float) -> datetime:
    """The wall clock at that reading of the monotonic one."""
    return EPOCH + timedelta(seconds=at_s)
