"""One cluster with the operator in it for all tests of this folder."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from tests.cluster import live as cluster
from tests.cluster.live import Live


@pytest.fixture(scope="session")
def live() -> Iterator[Live]:
    with cluster.installed() as running:
        yield running


@pytest.fixture
def shop(live: Live, request: pytest.FixtureRequest) -> Iterator[str]:
    """A namespace of the test's own with a profile in it; its services are gone afterwards."""
    name = f"shop-{abs(hash(request.node.name)) % 100_000}"
    live.plane.apply(
        {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}},
        cluster.profile(name),
    )
    yield name
    live.plane.kubectl("delete", "fis", "--all", "-n", name, "--timeout=30s")
    cluster.until(lambda: not live.items("pods", name), 60)
