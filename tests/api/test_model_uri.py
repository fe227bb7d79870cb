"""Addresses of models: nothing inside the pod's reach that the tenant should not reach."""

from __future__ import annotations

import time

import pytest
from pydantic import TypeAdapter, ValidationError

from farthing.api import model_uri

_URI: TypeAdapter[str] = TypeAdapter(model_uri.ModelUri)


@pytest.mark.parametrize(
    "uri",
    [
        "image:///models/sentiment",
        "pvc://claim/models/v1",
        "hf://acme/sentiment-base_v1.2",
        "s3://bucket/a/b.safetensors",
        "gs://bucket/a/b.safetensors",
        "https://models.example.com/a",
        "https://models.example.com:8443/a/b.safetensors",
        "https://minio.store.svc.cluster.local/a",
        "https://metadata.google.internal.example.com/a",
    ],
)
def test_an_ordinary_address_is_taken(uri: str) -> None:
    assert _URI.validate_python(uri) == uri


@pytest.mark.parametrize(
    "uri",
    [
        "https://localhost/a",
        "https://localhost./a",
        "https://LOCALHOST:443/a",
        "https://a.localhost/a",
        "https://127.0.0.1/a",
        "https://127.1/a",
        "https://0/a",
        "https://0.0.0.0/a",
        "https://2130706433/a",
        "https://017700000001/a",
        "https://0x7f000001/a",
        "https://127.0.0.0x1/a",
        "https://[::ffff:127.0.0.1]/a",
        "https://169.254.169.254/latest",
        "https://169.254.169.254./latest",
        "https://metadata.google.internal/a",
        "https://metadata.google.internal./a",
        "https://metadata.goog/a",
        "https://instance-data.ec2.internal/a",
        "https://user@models.example.com/a",
        "https://models.example.com\\@127.0.0.1/a",
        "https://models.example.com/../a",
        "https://models.example.com/a#b",
        "https://models.example.com/a?b",
        "https:///a",
        "https://",
        "http://models.example.com/a",
        "file:///etc/passwd",
        "image://models",
        "hf:acme/sentiment",
        "hf://acme/sentiment\n",
        "",
    ],
)
def test_an_address_that_reaches_too_far_is_refused(uri: str) -> None:
    with pytest.raises(ValidationError):
        _URI.validate_python(uri)


@pytest.mark.parametrize("host", ["a-" * 250, "a." * 250, "a" * 500, "-" * 500])
def test_a_crafted_host_costs_no_time(host: str) -> None:
    began = time.perf_counter()
    with pytest.raises(ValidationError):
        _URI.validate_python(f"https://{host}!")

    assert time.perf_counter() - began < 0.1
