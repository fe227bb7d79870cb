"""What all pods of one agent share."""

from __future__ import annotations

import pathlib
from collections.abc import Callable
from dataclasses import dataclass

import aiohttp

from farthing_local.agent.addresses import AddressPool
from farthing_local.agent.api import ApiClient
from farthing_local.agent.events import EventRecorder
from farthing_local.agent.images import ImageCatalog
from farthing_local.agent.process import ProcessRecords
from farthing_local.agent.volumes import VolumeWriter


@dataclass(frozen=True, slots=True, kw_only=True)
class Host:
    api: ApiClient
    state: pathlib.Path
    images: ImageCatalog
    addresses: AddressPool
    records: ProcessRecords
    volumes: VolumeWriter
    events: EventRecorder
    # For probes and hooks: a new connection each time, as a kubelet opens.
    probe_session: aiohttp.ClientSession
    # Called when a pod may have become ready or stopped being so.
    on_readiness: Callable[[], None]

    def pod_folder(self, pod_uid: str) -> pathlib.Path:
        return self.state / "pods" / pod_uid
