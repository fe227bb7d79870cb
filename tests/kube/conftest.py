"""The control plane that the tests on a real API server share."""

from tests.cluster_fixture import control_plane

__all__ = ["control_plane"]
