"""The control plane that tests of this folder share."""

from tests.cluster_fixture import control_plane

__all__ = ["control_plane"]
