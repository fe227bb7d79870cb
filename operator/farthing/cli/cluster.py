"""Reading from the API server, and only reading: what KUBECONFIG gives access to, as plain documents."""

from __future__ import annotations

import json
import os
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

import urllib3.exceptions
import yaml
from kubernetes import config
from kubernetes.client import Configuration
from kubernetes.client.exceptions import ApiException
from kubernetes.client.rest import RESTClientObject

from farthing.cli.errors import AccessError, MissingError, RefusedInputError

Json = dict[str, Any]
# The client is untyped; what it gives is checked where it is read.
_kubeconfig: Any = config
_Transport: Any = RESTClientObject
_GROUP_PATH = "/apis/farthing.dev/v1alpha1"
_DEFAULT_KUBECONFIG = "~/.kube/config"
_CONNECT_AND_READ_S = (5.0, 30.0)
_NEXT_CONFIG = (
    "export KUBECONFIG=FILE; a local cluster prints its own with: farthing local kubeconfig"
)


@dataclass(frozen=True, slots=True)
class Cluster:
    """One API server as one user sees it."""

    name: str
    namespace: str
    configuration: Configuration

    def items(self, plural: str, namespace: str | None = None) -> list[Json]:
        """All objects of a kind, of one namespace or of all."""
        place = f"/namespaces/{quote(namespace, safe='')}" if namespace else ""
        listed = self._get(f"{_GROUP_PATH}{place}/{plural}")
        return [_readable(one) for one in listed.get("items") or []]

    def item(self, plural: str, namespace: str, name: str) -> Json:
        """One object."""
        path = (
            f"{_GROUP_PATH}/namespaces/{quote(namespace, safe='')}/{plural}/{quote(name, safe='')}"
        )
        return _readable(self._get(path))

    def _get(self, path: str) -> Json:
        host = self.configuration.host.rstrip("/")
        headers = {"Accept": "application/json", "User-Agent": "farthing"}
        token = self.configuration.get_api_key_with_prefix("BearerToken", alias="authorization")
        if token:
            headers["Authorization"] = token
        try:
            answer = _Transport(self.configuration).request(
                "GET", host + path, headers=headers, _request_timeout=_CONNECT_AND_READ_S
            )
            status, content = answer.status, answer.read()
        except (ApiException, urllib3.exceptions.HTTPError, OSError) as error:
            raise AccessError(
                f"the API server {host} does not answer: {_first_line(error)}",
                "check that the cluster runs and that KUBECONFIG names it",
            ) from error
        return _accepted(status, content, path, host)


def connect(context_name: str | None) -> Cluster:
    """The cluster of the kubeconfig's context, or of the pod that this runs in."""
    configuration = Configuration()
    configuration.retries = False
    try:
        if _is_inside_a_pod():
            _kubeconfig.load_incluster_config(client_configuration=configuration)
            return Cluster("in-cluster", "default", configuration)
        path = os.environ.get("KUBECONFIG") or _DEFAULT_KUBECONFIG
        contexts, active = _kubeconfig.list_kube_config_contexts(config_file=path)
        chosen = _chosen(contexts, active, context_name)
        _kubeconfig.load_kube_config(
            config_file=path,
            context=context_name,
            client_configuration=configuration,
            persist_config=False,
        )
    except (config.ConfigException, OSError, yaml.YAMLError) as error:
        raise AccessError(f"no access to a cluster: {_first_line(error)}", _NEXT_CONFIG) from error
    namespace = chosen.get("context", {}).get("namespace") or "default"
    return Cluster(str(chosen.get("name")), str(namespace), configuration)


def _is_inside_a_pod() -> bool:
    return "KUBECONFIG" not in os.environ and "KUBERNETES_SERVICE_HOST" in os.environ


def _chosen(contexts: list[Json], active: Json, name: str | None) -> Json:
    if name is None:
        return active
    for one in contexts:
        if one.get("name") == name:
            return one
    known = ", ".join(str(one.get("name")) for one in contexts) or "none"
    raise RefusedInputError(
        f"--context: {name!r} is refused; allowed: the contexts of the kubeconfig: {known}"
    )


def _accepted(status: int, content: bytes, path: str, host: str) -> Json:
    document = _document(content)
    if status == 404 and document.get("details", {}).get("name"):
        raise MissingError(str(document.get("message") or f"{path} does not exist"))
    if status == 404:
        raise AccessError(
            f"{host} does not know the resources of farthing.dev",
            "install them with: kubectl apply -k crds",
        )
    if status in (401, 403):
        raise AccessError(
            f"{host} refuses to tell: {document.get('message') or status}",
            "ask for get and list of the resources of farthing.dev",
        )
    if status >= 300 or not document:
        raise AccessError(
            f"{host} answered GET {path} with {status}: {document.get('message', '')}"
        )
    return document


def _document(content: bytes) -> Json:
    try:
        document = json.loads(content)
    except ValueError:
        return {}
    return document if isinstance(document, dict) else {}


def _readable(document: Json) -> Json:
    """The object without its field ownership, which nobody wants to read."""
    metadata = document.get("metadata")
    if isinstance(metadata, dict):
        metadata.pop("managedFields", None)
    return document


def _first_line(error: BaseException) -> str:
    return str(error).strip().partition("\n")[0] or type(error).__name__
