"""What `/metrics` exports: the documented names, exact counts, and next to no time."""

from __future__ import annotations

import collections
import os
import pathlib
import re
import time

import pytest
from prometheus_client.parser import text_string_to_metric_families
from tests.serving import processes
from tests.serving.processes import ROOT, text_body

from farthing_server.metrics import LATENCY_BUCKETS_S, Metrics

DOCUMENT = ROOT / "docs/reference/serving-metrics.md"
ROW = re.compile(r"^\| `([a-z][a-z_0-9:]+)` \| (counter|gauge|histogram) \|([^|]*)\|")


def documented() -> dict[str, tuple[str, frozenset[str]]]:
    rows = [ROW.match(line) for line in DOCUMENT.read_text().splitlines()]
    return {
        row[1]: (row[2], frozenset(re.findall(r"`(\w+)`", row[3])))
        for row in rows
        if row is not None
    }


def exported(text: str) -> dict[str, tuple[str, frozenset[str]]]:
    """Name to type and labels; the labels that a histogram adds are its type's own."""
    names: dict[str, tuple[str, frozenset[str]]] = {}
    for family in text_string_to_metric_families(text):
        name = family.name + ("_total" if family.type == "counter" else "")
        labels = {label for sample in family.samples for label in sample.labels} - {"le"}
        names[name] = (family.type, frozenset(labels))
    return names


def test_the_document_lists_exactly_what_is_exported() -> None:
    with processes.emulated("--metrics-style", "vllm") as server:
        server.ready()
        assert server.infer(text_body(["one"])).status == 200
        page = server.get("/metrics")
    assert page.headers["content-type"] == "text/plain; version=0.0.4; charset=utf-8"
    assert exported(page.body.decode()) == documented()


def test_other_engines_names_are_absent_unless_asked_for() -> None:
    with processes.emulated() as server:
        page = server.ready().get("/metrics").body.decode()
    assert exported(page).keys() == {name for name in documented() if name.startswith("farthing_")}


def test_the_documented_reasons_are_those_that_are_counted() -> None:
    counted = Metrics(model="m", variant="v", precision="p", vllm_names=False)
    section = DOCUMENT.read_text().split("## Reasons of a refusal")[1].split("##")[0]
    assert re.findall(r"^\| `(\w+)` \|", section, re.MULTILINE)[1:] == list(counted.refused)


def test_requests_are_counted_once_each_by_how_they_ended() -> None:
    with processes.emulated("--slo-milliseconds", "2000") as server:
        server.ready()
        assert server.infer(text_body(["one", "two"])).status == 200
        assert server.infer(text_body(["one"])).status == 200
        assert server.infer(b"{").status == 400
        hurried = {"farthing-deadline-milliseconds": "1"}
        assert server.infer(text_body(["one"]), hurried).status == 503
        names = [
            *("arrived_total", "completed_total", "refused_total", "failed_total"),
            *("queued", "in_flight"),
        ]
        counted = [server.metric(f"farthing_requests_{name}") for name in names]
        sizes = [
            (sample.labels["size"], sample.value)
            for family in text_string_to_metric_families(server.get("/metrics").body.decode())
            if family.name == "farthing_batches"
            for sample in family.samples
        ]
    assert counted == [4, 2, 1, 1, 0, 0]
    assert sizes == [("1", 1.0), ("2", 1.0)]


def test_the_histogram_is_cumulative_and_a_bound_belongs_to_its_bucket() -> None:
    counted = Metrics(model="m", variant="v", precision="p", vllm_names=False)
    for latency_s in (0.001, 0.0011, 0.3, 61.0):
        counted.answered(latency_s)
    samples = {
        (sample.name, sample.labels.get("le")): sample.value
        for family in text_string_to_metric_families(counted.render().decode())
        if family.name == "farthing_request_latency_seconds"
        for sample in family.samples
    }
    name = "farthing_request_latency_seconds"
    expected = collections.defaultdict(float)
    for bound in LATENCY_BUCKETS_S:
        expected[f"{name}_bucket", str(bound)] = 1 if bound < 0.0011 else 2 if bound < 0.3 else 3
    expected[f"{name}_bucket", "+Inf"] = 4
    expected[f"{name}_sum", None] = 61.3021
    expected[f"{name}_count", None] = 4
    assert samples == expected


def test_a_label_may_hold_any_character() -> None:
    awkward = 'a"b\\c\nd'
    page = Metrics(model=awkward, variant="v", precision="p", vllm_names=True).render().decode()
    families = {family.name: family for family in text_string_to_metric_families(page)}
    assert families["farthing_model_info"].samples[0].labels["model"] == awkward
    assert families["vllm:num_requests_waiting"].samples[0].labels["model_name"] == awkward


def test_rendering_takes_less_than_a_millisecond() -> None:
    counted = Metrics(model="m", variant="v", precision="p", vllm_names=True)
    for size in range(1, 65):
        counted.batch_done(size, 0.01)
    fastest_s = 1.0
    for _ in range(20):
        started_s = time.perf_counter()
        counted.render()
        fastest_s = min(fastest_s, time.perf_counter() - started_s)
    assert fastest_s < 0.001


def test_the_names_as_vllm_has_them_are_those_of_a_real_vllm() -> None:
    folder = os.environ.get("FARTHING_DATA")
    if folder is None:
        pytest.skip("FARTHING_DATA is not set: the metrics of a real vLLM are not there to compare")
    real = (pathlib.Path(folder) / "engine-metrics/vllm-0.32.0.prom").read_text()
    theirs = {
        (sample.name, frozenset(sample.labels), sample.labels.get("le"))
        for family in text_string_to_metric_families(real)
        for sample in family.samples
    }
    page = Metrics(model="m", variant="v", precision="p", vllm_names=True).render().decode()
    ours = {
        (sample.name, frozenset(sample.labels), sample.labels.get("le"))
        for family in text_string_to_metric_families(page)
        for sample in family.samples
        if sample.name.startswith("vllm:")
    }
    assert len(ours) == 27
    assert ours <= theirs
