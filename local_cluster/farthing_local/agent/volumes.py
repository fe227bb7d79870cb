"""A pod's volumes and variables, fetched from the API server and written to the pod's own folder.

A process sees the machine's file system, so a volume cannot appear at its mount path. It lies
under the pod's folder instead, and FARTHING_VOLUME_<NAME> says where. The ServiceAccount's token,
which the API server's admission adds as a volume, is given as a kubeconfig.
"""

from __future__ import annotations

import asyncio
import base64
import os
import pathlib
import re
from dataclasses import dataclass
from typing import TypeAlias

from farthing_local.agent import access, fields
from farthing_local.agent.api import ApiClient, NotFoundError
from farthing_local.agent.documents import Json, items, name, namespace, part, uid

SERVICE_ACCOUNT_MOUNT = "/var/run/secrets/kubernetes.io/serviceaccount"
# Once in so long everything is fetched anew: tokens before they expire, changed ConfigMaps.
REFRESH_S = 60.0
_RENEW_AT_FRACTION = 0.8
_SUPPORTED = "emptyDir, configMap, secret, projected, downwardAPI"
_FILE_KEY = re.compile(r"^[A-Za-z0-9._-]+$")

Files: TypeAlias = dict[str, bytes]


class CannotMountError(Exception):
    """A volume or variable that cannot be had, now or ever; named as the reason of waiting."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PodPlace:
    """Where one pod lives: its object, folder and addresses."""

    pod: Json
    folder: pathlib.Path
    pod_ip: str
    host_ip: str
    allocatable: Json

    @property
    def volumes(self) -> pathlib.Path:
        return self.folder / "volumes"

    @property
    def kubeconfig(self) -> pathlib.Path:
        return self.folder / "kubeconfig"


def field_value(place: PodPlace, path: str) -> str:
    return fields.pod_field(path, place.pod, pod_ip=place.pod_ip, host_ip=place.host_ip)


def prepare_folder(folder: pathlib.Path) -> None:
    for inner in ("home", "tmp", "volumes", "logs"):
        (folder / inner).mkdir(parents=True, exist_ok=True, mode=0o700)
    folder.chmod(0o700)


class VolumeWriter:
    """Writes the volumes of pods, and keeps their tokens fresh."""

    def __init__(self, api: ApiClient) -> None:
        self._api = api
        self._tokens: dict[pathlib.Path, tuple[float, str]] = {}

    async def write(self, place: PodPlace) -> None:
        """Write every volume of the pod; the same call later brings what has changed."""
        for volume in items(place.pod, "spec", "volumes"):
            folder = place.volumes / str(volume["name"])
            folder.mkdir(parents=True, exist_ok=True, mode=0o700)
            for path, content in (await self._files(place, volume)).items():
                _write_file(folder, path, content)
        token_volume = _token_volume(place.pod)
        if token_volume is not None:
            text = access.pod_kubeconfig(
                self._api.access, place.volumes / token_volume / "token", namespace(place.pod)
            )
            _write_file(place.folder, "kubeconfig", text.encode())

    def forget(self, place: PodPlace) -> None:
        for path in [one for one in self._tokens if one.is_relative_to(place.folder)]:
            del self._tokens[path]

    async def _files(self, place: PodPlace, volume: Json) -> Files:
        if "emptyDir" in volume:
            return {}
        if "configMap" in volume:
            return await self._keys(place, "configmaps", "name", volume["configMap"])
        if "secret" in volume:
            return await self._keys(place, "secrets", "secretName", volume["secret"])
        if "downwardAPI" in volume:
            return _downward(place, volume["downwardAPI"])
        if "projected" in volume:
            files: Files = {}
            for source in items(volume, "projected", "sources"):
                files |= await self._projected(place, str(volume["name"]), source)
            return files
        kinds = ", ".join(sorted(volume.keys() - {"name"}))
        raise CannotMountError(f"volume {volume['name']!r} is {kinds}: must be one of {_SUPPORTED}")

    async def _projected(self, place: PodPlace, volume: str, source: Json) -> Files:
        if "serviceAccountToken" in source:
            wanted = source["serviceAccountToken"]
            path = str(wanted["path"])
            token = await self._token(place, place.volumes / volume / path, wanted)
            return {path: token.encode()}
        if "configMap" in source:
            return await self._keys(place, "configmaps", "name", source["configMap"])
        if "secret" in source:
            return await self._keys(place, "secrets", "name", source["secret"])
        if "downwardAPI" in source:
            return _downward(place, source["downwardAPI"])
        raise CannotMountError(
            f"volume {volume!r} projects {', '.join(source)}: must be one of "
            "serviceAccountToken, configMap, secret, downwardAPI"
        )

    async def _keys(self, place: PodPlace, resource: str, name_key: str, source: Json) -> Files:
        wanted = str(source.get(name_key, ""))
        files = await self.contents(place, resource, wanted, bool(source.get("optional")))
        chosen = items(source, "items")
        if not chosen:
            return files
        picked: Files = {}
        for one in chosen:
            if one["key"] in files:
                picked[one["path"]] = files[one["key"]]
            elif not source.get("optional"):
                raise CannotMountError(f"{resource} {wanted!r} has no key {one['key']!r}")
        return picked

    async def contents(self, place: PodPlace, resource: str, wanted: str, optional: bool) -> Files:
        """All keys of a ConfigMap or Secret of the pod's namespace."""
        path = f"/api/v1/namespaces/{namespace(place.pod)}/{resource}/{wanted}"
        try:
            document = await self._api.get(path)
        except NotFoundError as error:
            if optional:
                return {}
            raise CannotMountError(f"{resource} {wanted!r} not found") from error
        encoded = part(document, "binaryData") if resource == "configmaps" else {}
        plain = part(document, "data") if resource == "configmaps" else {}
        if resource == "secrets":
            encoded = part(document, "data")
        return {key: str(value).encode() for key, value in plain.items()} | {
            key: base64.b64decode(value) for key, value in encoded.items()
        }

    async def _token(self, place: PodPlace, path: pathlib.Path, wanted: Json) -> str:
        """The token for this file: the one asked for before, until most of its time is over."""
        clock_s = asyncio.get_running_loop().time()
        known = self._tokens.get(path)
        if known is not None and clock_s < known[0]:
            return known[1]
        account = str(part(place.pod, "spec").get("serviceAccountName") or "default")
        lifetime_s = int(wanted.get("expirationSeconds") or 3600)
        spec: Json = {
            "expirationSeconds": lifetime_s,
            "boundObjectRef": {
                "apiVersion": "v1",
                "kind": "Pod",
                "name": name(place.pod),
                "uid": uid(place.pod),
            },
        }
        if wanted.get("audience"):
            spec["audiences"] = [wanted["audience"]]
        answer = await self._api.create(
            f"/api/v1/namespaces/{namespace(place.pod)}/serviceaccounts/{account}/token",
            {"apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest", "spec": spec},
        )
        token = str(answer["status"]["token"])
        self._tokens[path] = (clock_s + lifetime_s * _RENEW_AT_FRACTION, token)
        return token


def _token_volume(pod: Json) -> str | None:
    """The volume that admission mounts where a ServiceAccount's token is expected."""
    for container in items(pod, "spec", "containers"):
        for mount in items(container, "volumeMounts"):
            if mount["mountPath"] == SERVICE_ACCOUNT_MOUNT:
                return str(mount["name"])
    return None


def _downward(place: PodPlace, source: Json) -> Files:
    files: Files = {}
    for one in items(source, "items"):
        if "fieldRef" in one:
            text = field_value(place, str(one["fieldRef"]["fieldPath"]))
        else:
            reference = part(one, "resourceFieldRef")
            container = next(
                each
                for each in items(place.pod, "spec", "containers")
                if each["name"] == reference.get("containerName")
            )
            text = fields.resource_field(reference, container, place.allocatable)
        files[str(one["path"])] = text.encode()
    return files


def _write_file(folder: pathlib.Path, path: str, content: bytes) -> None:
    """Replace a file in one step, so that a reader sees the old content or the new one."""
    if not all(_FILE_KEY.match(step) and step != ".." for step in path.split("/")):
        raise CannotMountError(
            f"file path {path!r}: must be relative, of A-Z, a-z, 0-9, -, _ and ."
        )
    target = folder / path
    if target.exists() and target.read_bytes() == content:
        return
    target.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    fresh = target.with_name(f".{target.name}.new")
    with open(os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as file:
        file.write(content)
    fresh.replace(target)
