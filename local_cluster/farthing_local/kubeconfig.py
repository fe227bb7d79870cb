"""Kubeconfig files that carry everything they need."""

from __future__ import annotations

import base64
import pathlib

import yaml

from farthing_local import certificates

CONTEXT = "farthing-local"


def write(path: pathlib.Path, *, server: str, ca: pathlib.Path, pair: certificates.Pair) -> None:
    """A kubeconfig of one cluster and one user, readable by its owner only."""
    document = {
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [
            {
                "name": CONTEXT,
                "cluster": {"server": server, "certificate-authority-data": _encoded(ca)},
            }
        ],
        "users": [
            {
                "name": CONTEXT,
                "user": {
                    "client-certificate-data": _encoded(pair.certificate),
                    "client-key-data": _encoded(pair.key),
                },
            }
        ],
        "contexts": [{"name": CONTEXT, "context": {"cluster": CONTEXT, "user": CONTEXT}}],
        "current-context": CONTEXT,
    }
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    certificates.write_private(path, yaml.safe_dump(document, sort_keys=False).encode())


def _encoded(path: pathlib.Path) -> str:
    return base64.b64encode(path.read_bytes()).decode()
