"""The control plane that the admission tests share."""

from tests.cluster_fixture import control_plane

__all__ = ["control_plane"]
