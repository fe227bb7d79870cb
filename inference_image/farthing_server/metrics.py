"""What the server counts, and its Prometheus text.

Scraped every second by whoever decides about replicas, so rendering is string work on a few
integers. The table of names is docs/reference/serving-metrics.md; a test compares it with what is
exported.
"""

from __future__ import annotations

import bisect
import collections
from collections.abc import Sequence

CONTENT_TYPE = b"text/plain; version=0.0.4; charset=utf-8"
LATENCY_BUCKETS_S = (
    *(0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.15, 0.2, 0.25, 0.3, 0.4, 0.5, 0.75),
    *(1.0, 1.5, 2.5, 5.0, 10.0, 30.0, 60.0),
)
VLLM_BUCKETS_S = (
    *(0.3, 0.5, 0.8, 1.0, 1.5, 2.0, 2.5, 5.0, 10.0, 15.0, 20.0, 30.0, 40.0, 50.0, 60.0),
    *(120.0, 240.0, 480.0, 960.0, 1920.0, 7680.0),
)
REFUSAL_REASONS = ("deadline", "late", "queue_full", "draining", "not_ready")


class Histogram:
    """Counts of durations by bucket; rendered cumulatively, as Prometheus wants it."""

    def __init__(self, buckets_s: Sequence[float]) -> None:
        self._buckets_s = buckets_s
        self._counts = [0] * (len(buckets_s) + 1)
        self._sum_s = 0.0
        self._bounds = [*(repr(float(bound)) for bound in buckets_s), "+Inf"]

    def observe(self, duration_s: float) -> None:
        self._counts[bisect.bisect_left(self._buckets_s, duration_s)] += 1
        self._sum_s += duration_s

    def lines(self, name: str, labels: str = "") -> list[str]:
        lines: list[str] = []
        before = f"{labels}," if labels else ""
        total = 0
        for bound, count in zip(self._bounds, self._counts, strict=True):
            total += count
            lines.append(f'{name}_bucket{{{before}le="{bound}"}} {total}')
        braces = f"{{{labels}}}" if labels else ""
        lines += [f"{name}_sum{braces} {self._sum_s:.6f}", f"{name}_count{braces} {total}"]
        return lines


def escaped(value: str) -> str:
    """A label's value, with the three characters that the text format escapes."""
    return value.replace("\\", "\\\\").replace("\n", "\\n").replace('"', '\\"')


class Metrics:
    """Everything counted in requests (one HTTP inference), batches in items."""

    def __init__(self, *, model: str, variant: str, precision: str, vllm_names: bool) -> None:
        self.arrived = 0
        self.completed = 0
        self.failed = 0
        self.refused = dict.fromkeys(REFUSAL_REASONS, 0)
        self.queued = 0
        self.in_flight = 0
        self.batches: collections.Counter[int] = collections.Counter()
        self.batch_seconds: dict[int, float] = collections.defaultdict(float)
        self.startup_s: dict[str, float] = {}
        self._latency = Histogram(LATENCY_BUCKETS_S)
        self._labels = ",".join(
            f'{label}="{escaped(value)}"'
            for label, value in (("model", model), ("variant", variant), ("precision", precision))
        )
        self._vllm_latency = Histogram(VLLM_BUCKETS_S) if vllm_names else None
        self._vllm_labels = f'engine="0",model_name="{escaped(model)}"'

    def answered(self, latency_s: float) -> None:
        self.completed += 1
        self._latency.observe(latency_s)
        if self._vllm_latency is not None:
            self._vllm_latency.observe(latency_s)

    def batch_done(self, size: int, duration_s: float) -> None:
        self.batches[size] += 1
        self.batch_seconds[size] += duration_s

    def render(self) -> bytes:
        lines = [
            *_single("farthing_requests_arrived_total", "counter", self.arrived, _ARRIVED),
            *_single("farthing_requests_completed_total", "counter", self.completed, _COMPLETED),
            *_head("farthing_requests_refused_total", "counter", _REFUSED),
            *(
                f'farthing_requests_refused_total{{reason="{reason}"}} {count}'
                for reason, count in self.refused.items()
            ),
            *_single("farthing_requests_failed_total", "counter", self.failed, _FAILED),
            *_single("farthing_requests_queued", "gauge", self.queued, _QUEUED),
            *_single("farthing_requests_in_flight", "gauge", self.in_flight, _IN_FLIGHT),
            *_head("farthing_request_latency_seconds", "histogram", _LATENCY),
            *self._latency.lines("farthing_request_latency_seconds"),
            *self._batch_lines(),
            *_head("farthing_startup_seconds", "gauge", _STARTUP),
            *(
                f'farthing_startup_seconds{{phase="{phase}"}} {seconds:.6f}'
                for phase, seconds in self.startup_s.items()
            ),
            *_head("farthing_model_info", "gauge", _MODEL),
            f"farthing_model_info{{{self._labels}}} 1",
            *self._vllm_lines(),
            "",
        ]
        return "\n".join(lines).encode()

    def _batch_lines(self) -> list[str]:
        sizes = sorted(self.batches)
        return [
            *_head("farthing_batches_total", "counter", _BATCHES),
            *(f'farthing_batches_total{{size="{size}"}} {self.batches[size]}' for size in sizes),
            *_head("farthing_batch_seconds_total", "counter", _BATCH_SECONDS),
            *(
                f'farthing_batch_seconds_total{{size="{size}"}} {self.batch_seconds[size]:.6f}'
                for size in sizes
            ),
        ]

    def _vllm_lines(self) -> list[str]:
        if self._vllm_latency is None:
            return []
        labels = f"{{{self._vllm_labels}}}"
        success = f'{{engine="0",finished_reason="stop",{self._vllm_labels.split(",", 1)[1]}}}'
        return [
            *_head("vllm:num_requests_running", "gauge", _IN_FLIGHT),
            f"vllm:num_requests_running{labels} {self.in_flight}",
            *_head("vllm:num_requests_waiting", "gauge", _QUEUED),
            f"vllm:num_requests_waiting{labels} {self.queued}",
            *_head("vllm:request_success_total", "counter", _COMPLETED),
            f"vllm:request_success_total{success} {self.completed}",
            *_head("vllm:e2e_request_latency_seconds", "histogram", _LATENCY),
            *self._vllm_latency.lines("vllm:e2e_request_latency_seconds", self._vllm_labels),
        ]


_ARRIVED = "Requests that reached the server, refused and failed ones included."
_COMPLETED = "Requests answered with a result."
_REFUSED = "Valid requests answered with 503, by reason."
_FAILED = "Requests that were invalid, or whose computation failed."
_QUEUED = "Requests that wait for their first batch."
_IN_FLIGHT = "Requests of which a part is being computed."
_LATENCY = "From the arrival of a completed request to its answer."
_BATCHES = "Batches computed, by number of items."
_BATCH_SECONDS = "Time spent computing batches, by number of items."
_STARTUP = "How long each phase of the start took."
_MODEL = "What is served; always 1."


def _head(name: str, kind: str, text: str) -> tuple[str, str]:
    return (f"# HELP {name} {text}", f"# TYPE {name} {kind}")


def _single(name: str, kind: str, value: int, text: str) -> tuple[str, str, str]:
    return (*_head(name, kind, text), f"{name} {value}")
