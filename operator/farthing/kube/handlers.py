"""The custom kinds, watched by kopf in a thread and a loop of its own.

Only `on.event` is used: without create, update or delete handlers, timers and daemons, kopf
writes nothing (no finalizers, no annotations), so deletion works while the operator is down.
kopf does not notice what was deleted while its watch was broken, hence the sweep: a full list
twice a minute.
"""

from __future__ import annotations

import asyncio
import logging
import threading
from typing import Any

import kopf

from farthing.api import GROUP, VERSION
from farthing.api.decoding import KINDS
from farthing.kube.connection import ApiError, Connection, load_access
from farthing.kube.reflector import list_all
from farthing.kube.store import Store

SWEEP_S = 30.0
_JOIN_S = 5.0
# An API server may be away for long, an upgrade say, before it is worth starting anew: an hour.
_BACKOFFS_S = (1, 2, 5, *(10 for _ in range(360)))
_log = logging.getLogger(__name__)


def path_of(kind: str) -> str:
    """Where all objects of a custom kind are listed."""
    return f"/apis/{GROUP}/{VERSION}/{KINDS[kind].definition.plural}"


async def sweep(connection: Connection, store: Store) -> None:
    """List every custom kind and make the store agree. Raises ApiError where one cannot be."""
    for kind in KINDS:
        listed, version = await list_all(connection, path_of(kind))
        ghosts = store.replace(kind, listed, int(version) if version.isdigit() else 0)
        if ghosts:
            _log.warning("%d %s had been deleted unnoticed", ghosts, kind)


async def sweep_forever(connection: Connection, store: Store) -> None:
    """Sweep until cancelled; a server that is away is asked again next time."""
    while True:
        await asyncio.sleep(SWEEP_S)
        try:
            await sweep(connection, store)
        except ApiError as error:
            _log.warning("the custom kinds could not be listed: %s", error)


class Watcher:
    """Runs kopf; what it sees reaches the store on the loop that made this."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._loop = asyncio.get_running_loop()
        self._stop, self._ready = threading.Event(), threading.Event()
        self._thread = threading.Thread(target=self._run, name="kopf", daemon=True)
        self.ended = asyncio.Event()
        self.failure: BaseException | None = None

    @property
    def is_ready(self) -> bool:
        return self._ready.is_set() and self._thread.is_alive()

    def start(self) -> None:
        self._thread.start()

    async def stop(self) -> None:
        self._stop.set()
        await asyncio.to_thread(self._thread.join, _JOIN_S)

    def _run(self) -> None:
        try:
            asyncio.run(
                kopf.operator(
                    registry=self._registry(),
                    settings=_settings(),
                    standalone=True,
                    clusterwide=True,
                    stop_flag=self._stop,
                    ready_flag=self._ready,
                )
            )
        except Exception as error:  # noqa: BLE001 - carried to the main thread, which ends the process
            self.failure = error
        finally:
            if not self._loop.is_closed():
                self._loop.call_soon_threadsafe(self.ended.set)

    def _registry(self) -> kopf.OperatorRegistry:
        registry = kopf.OperatorRegistry()
        kopf.on.login(registry=registry)(_login)
        for kind in KINDS:
            kopf.on.event(
                GROUP, VERSION, KINDS[kind].definition.plural, id="watch", registry=registry
            )(self._on_event)
        return registry

    async def _on_event(self, event: Any, **_: Any) -> None:
        document = {**event["object"], "metadata": {**event["object"]["metadata"]}}
        take = self._store.remove if event["type"] == "DELETED" else self._store.put
        self._loop.call_soon_threadsafe(take, document)


def _settings() -> kopf.OperatorSettings:
    settings = kopf.OperatorSettings()
    settings.posting.enabled = False
    settings.scanning.disabled = True
    settings.watching.connect_timeout = 5.0
    settings.watching.server_timeout = 300  # an integer: it is sent as it stands
    settings.watching.inactivity_timeout = 70.0
    settings.networking.request_timeout = 30.0
    settings.networking.error_backoffs = _BACKOFFS_S
    settings.queueing.error_delays = (1, 2, 5, 10, 30, 60)
    return settings


async def _login(**_: Any) -> kopf.ConnectionInfo:
    access = await load_access()
    scheme, token = access.authorization.split() if access.authorization else (None, None)
    return kopf.ConnectionInfo(
        server=access.host,
        ca_path=access.authority_file,
        insecure=not access.verify,
        scheme=scheme,
        token=token,
        certificate_path=access.certificate_file,
        private_key_path=access.key_file,
        trust_env=False,
    )
