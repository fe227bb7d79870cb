"""The variables of a container: a clean set, then the image's, then the pod's, in this order."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping

from farthing_local.agent import fields
from farthing_local.agent.documents import Json, items, name, part
from farthing_local.agent.expansion import expand
from farthing_local.agent.settings import Image
from farthing_local.agent.volumes import (
    SERVICE_ACCOUNT_MOUNT,
    CannotMountError,
    PodPlace,
    VolumeWriter,
    field_value,
)

# What a program cannot do without on this machine; nothing else of the agent's own is passed on.
PASSED_ON = ("PATH", "LANG", "SSL_CERT_FILE", "SSL_CERT_DIR")


def machine_variables() -> dict[str, str]:
    return {key: os.environ[key] for key in PASSED_ON if key in os.environ}


def volume_variable(volume: str) -> str:
    """FARTHING_VOLUME_MODEL_CACHE for the volume model-cache."""
    return "FARTHING_VOLUME_" + re.sub(r"[^A-Z0-9]", "_", volume.upper())


def base_variables(place: PodPlace, container: Json) -> dict[str, str]:
    """What every container gets, before its image and its own list are heard."""
    variables = {
        "HOSTNAME": name(place.pod),
        "HOME": str(place.folder / "home"),
        "TMPDIR": str(place.folder / "tmp"),
    }
    for mount in items(container, "volumeMounts"):
        if mount["mountPath"] == SERVICE_ACCOUNT_MOUNT:
            variables["KUBECONFIG"] = str(place.kubeconfig)
        else:
            variables[volume_variable(mount["name"])] = str(place.volumes / mount["name"])
    return variables


async def container_variables(
    place: PodPlace, container: Json, image: Image, writer: VolumeWriter
) -> dict[str, str]:
    """All variables of a container; each may refer to those before it."""
    variables = {**machine_variables(), **base_variables(place, container), **image.env}
    for source in items(container, "envFrom"):
        variables |= await _from_source(place, source, writer)
    for entry in items(container, "env"):
        value = await _value(place, container, entry, variables, writer)
        if value is not None:
            variables[str(entry["name"])] = value
    return variables


async def _from_source(place: PodPlace, source: Json, writer: VolumeWriter) -> dict[str, str]:
    prefix = str(source.get("prefix") or "")
    resource, reference = (
        ("configmaps", part(source, "configMapRef"))
        if "configMapRef" in source
        else ("secrets", part(source, "secretRef"))
    )
    contents = await writer.contents(
        place, resource, str(reference.get("name", "")), bool(reference.get("optional"))
    )
    return {f"{prefix}{key}": value.decode(errors="replace") for key, value in contents.items()}


async def _value(
    place: PodPlace,
    container: Json,
    entry: Json,
    variables: Mapping[str, str],
    writer: VolumeWriter,
) -> str | None:
    """The value of one entry; none for an optional reference to something absent."""
    source = part(entry, "valueFrom")
    if not source:
        return expand(str(entry.get("value") or ""), variables)
    if "fieldRef" in source:
        return field_value(place, str(source["fieldRef"]["fieldPath"]))
    if "resourceFieldRef" in source:
        return fields.resource_field(source["resourceFieldRef"], container, place.allocatable)
    for kind, resource in (("configMapKeyRef", "configmaps"), ("secretKeyRef", "secrets")):
        if kind in source:
            return await _key(place, resource, source[kind], writer)
    raise CannotMountError(
        f"env {entry['name']!r} takes its value from {', '.join(source)}: must be one of "
        "fieldRef, resourceFieldRef, configMapKeyRef, secretKeyRef"
    )


async def _key(place: PodPlace, resource: str, reference: Json, writer: VolumeWriter) -> str | None:
    optional = bool(reference.get("optional"))
    wanted, key = str(reference.get("name", "")), str(reference["key"])
    contents = await writer.contents(place, resource, wanted, optional)
    if key in contents:
        return contents[key].decode(errors="replace")
    if optional:
        return None
    raise CannotMountError(f"{resource} {wanted!r} has no key {key!r}")
