"""How to reach the API server: what is needed of a kubeconfig, and how to write one for a pod."""

from __future__ import annotations

import base64
import binascii
import pathlib
import ssl
from dataclasses import dataclass
from typing import Any

import yaml

from farthing_local.agent.documents import Json, part


class InvalidKubeconfigError(Exception):
    """A kubeconfig that cannot be used; names the file and what is missing."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ClusterAccess:
    """One cluster and one identity: a client certificate, a token, or both."""

    server: str
    authority_pem: str
    certificate_pem: str | None = None
    key_pem: str | None = None
    token: str | None = None


def read_kubeconfig(path: pathlib.Path) -> ClusterAccess:
    """The current context of a kubeconfig."""
    try:
        document = yaml.safe_load(path.read_text())
    except OSError as error:
        raise InvalidKubeconfigError(f"{path}: cannot be read: {error.strerror}") from error
    except yaml.YAMLError as error:
        raise InvalidKubeconfigError(f"{path}: is not YAML: {error}") from error
    if not isinstance(document, dict):
        raise InvalidKubeconfigError(f"{path}: must be a mapping")
    context = _entry(path, document, "contexts", document.get("current-context"), "context")
    cluster = _entry(path, document, "clusters", context.get("cluster"), "cluster")
    user = _entry(path, document, "users", context.get("user"), "user")
    server = cluster.get("server")
    authority = _material(path, cluster, "certificate-authority")
    if not server or authority is None:
        raise InvalidKubeconfigError(
            f"{path}: the cluster needs a server and a certificate-authority"
        )
    return ClusterAccess(
        server=str(server).rstrip("/"),
        authority_pem=authority,
        certificate_pem=_material(path, user, "client-certificate"),
        key_pem=_material(path, user, "client-key"),
        token=user.get("token"),
    )


def _entry(path: pathlib.Path, document: Json, group: str, name: Any, kind: str) -> Json:
    for entry in document.get(group) or []:
        if entry.get("name") == name:
            return part(entry, kind)
    raise InvalidKubeconfigError(f"{path}: {group} has no entry named {name!r}")


def _material(path: pathlib.Path, entry: Json, key: str) -> str | None:
    """A certificate or key, embedded as KEY-data or in the file that KEY names."""
    embedded = entry.get(f"{key}-data")
    if embedded:
        try:
            return base64.b64decode(embedded, validate=True).decode()
        except (binascii.Error, UnicodeDecodeError) as error:
            raise InvalidKubeconfigError(f"{path}: {key}-data is not base64 of a text") from error
    if entry.get(key):
        file = path.parent / str(entry[key])
        try:
            return file.read_text()
        except OSError as error:
            raise InvalidKubeconfigError(f"{path}: {key} {file}: {error.strerror}") from error
    return None


def client_context(access: ClusterAccess, scratch: pathlib.Path) -> ssl.SSLContext:
    """TLS towards the API server. The ssl module loads keys from files only, hence `scratch`."""
    context = ssl.create_default_context(cadata=access.authority_pem)
    if access.certificate_pem and access.key_pem:
        pair = scratch / "client.pem"
        pair.touch(mode=0o600)
        pair.write_text(access.certificate_pem + "\n" + access.key_pem)
        context.load_cert_chain(pair)
        pair.unlink()
    return context


def pod_kubeconfig(access: ClusterAccess, token_file: pathlib.Path, namespace: str) -> str:
    """A kubeconfig under which a pod acts as its own ServiceAccount."""
    authority = base64.b64encode(access.authority_pem.encode()).decode()
    document = {
        "apiVersion": "v1",
        "kind": "Config",
        "current-context": "pod",
        "clusters": [
            {
                "name": "local",
                "cluster": {"server": access.server, "certificate-authority-data": authority},
            }
        ],
        "users": [{"name": "pod", "user": {"tokenFile": str(token_file)}}],
        "contexts": [
            {
                "name": "pod",
                "context": {"cluster": "local", "user": "pod", "namespace": namespace},
            }
        ],
    }
    return yaml.safe_dump(document, sort_keys=False)
