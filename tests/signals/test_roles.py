"""A page becomes a sample by roles, or is refused whole."""

from __future__ import annotations

import dataclasses

import pytest
from tests.signals import pages

from farthing.signals.errors import UnusablePageError
from farthing.signals.roles import MetricNames, read_sample

VLLM = MetricNames(
    path="/metrics",
    port=8000,
    completed="vllm:request_success_total",
    queued="vllm:num_requests_waiting",
    in_flight="vllm:num_requests_running",
    latency="vllm:e2e_request_latency_seconds",
)


def test_our_own_page_is_read_by_role() -> None:
    body = pages.page(
        10, completed=7, refused=2, queued=1, slow=3, batches={1: (4, 0.5), 8: (2, 1.5)}
    )
    sample = read_sample(pages.names(), body)
    assert sample.latency is not None
    assert (sample.latency.bounds_s, sample.latency.counts.tolist()) == ((0.1, 0.5), [4, 3, 0])
    assert dataclasses.replace(sample, latency=None) == dataclasses.replace(
        sample,
        arrived=10.0,
        completed=7.0,
        refused=2.0,
        queued=1.0,
        in_flight=0.0,
        latency=None,
        batches={1: (4.0, 0.5), 8: (2.0, 1.5)},
        started_unix_s=None,
    )


def test_another_runtime_is_read_by_its_own_names_summed_over_labels() -> None:
    body = b"""
vllm:request_success_total{finished_reason="stop",model_name="m"} 5
vllm:request_success_total{finished_reason="length",model_name="m"} 2
vllm:num_requests_waiting{engine="0"} 1
vllm:num_requests_waiting{engine="1"} 3
vllm:num_requests_running{engine="0"} 4
vllm:e2e_request_latency_seconds_bucket{le="1.0",engine="0"} 4
vllm:e2e_request_latency_seconds_bucket{le="+Inf",engine="0"} 5
vllm:e2e_request_latency_seconds_bucket{le="1.0",engine="1"} 1
vllm:e2e_request_latency_seconds_bucket{le="+Inf",engine="1"} 2
process_start_time_seconds 1.7e9
"""
    sample = read_sample(VLLM, body)
    assert sample.latency is not None
    assert (sample.completed, sample.queued, sample.in_flight, sample.arrived) == (7, 4, 4, None)
    assert (sample.latency.bounds_s, sample.latency.counts.tolist()) == ((1.0,), [5, 2])
    assert sample.started_unix_s == 1.7e9


@pytest.mark.parametrize(
    ("body", "message"),
    [
        (b"", "no series farthing_requests_completed_total on the page"),
        (b"<html>queue</html>", "no series farthing_requests_completed_total on the page"),
        (
            pages.page("NaN"),
            "farthing_requests_completed_total is nan; allowed is 0 to 9007199254740992",
        ),
        (
            pages.page(5, queued="+Inf"),
            "farthing_requests_queued is inf; allowed is 0 to 9007199254740992",
        ),
        (
            pages.page(5, in_flight=-1),
            "farthing_requests_in_flight is -1.0; allowed is 0 to 9007199254740992",
        ),
        (
            pages.page(5, slow=-2),
            "histogram farthing_request_latency_seconds falls from one bucket to the next",
        ),
        (
            pages.page(5) + b'farthing_request_latency_seconds_bucket{le="x"} 1\n',
            "farthing_request_latency_seconds_bucket has le='x', which cannot be read",
        ),
        (
            pages.page(5).replace(b"+Inf", b"9"),
            "histogram farthing_request_latency_seconds lacks the bucket +Inf or has no other",
        ),
        (
            pages.page(5) + b'farthing_batches_total{size="2"} 1\n',
            "farthing_batches_total and farthing_batch_seconds_total differ in their sizes",
        ),
        (
            pages.page(5) + b'farthing_batches_total{size="0"} 1\n',
            "farthing_batches_total has size='0', which cannot be read",
        ),
    ],
)
def test_a_page_with_an_impossible_value_is_refused_with_the_value_named(
    body: bytes, message: str
) -> None:
    with pytest.raises(UnusablePageError) as caught:
        read_sample(pages.names(), body)
    assert str(caught.value) == message


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"path": "metrics"}, "path is 'metrics'; it must start with '/'"),
        ({"port": 0}, "port is 0; allowed is 1 to 65535"),
        ({"queued": "a b"}, "queued is 'a b'; it must be a Prometheus metric name"),
        (
            {"batches": None},
            "batches and batch_seconds must be given together or not at all",
        ),
    ],
)
def test_names_that_cannot_be_are_refused(change: dict[str, object], message: str) -> None:
    with pytest.raises(ValueError) as caught:
        dataclasses.replace(pages.names(), **change)
    assert str(caught.value) == message
