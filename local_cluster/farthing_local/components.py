"""The command line of each component, from where its files and ports are. Pure."""

from __future__ import annotations

import pathlib
from dataclasses import dataclass

from farthing_local.certificates import Pair

LOOPBACK = "127.0.0.1"
# On loopback, so that a ClusterIP can be listened on by a process; the node agent forwards it.
SERVICE_RANGE = "127.240.0.0/16"
KUBERNETES_SERVICE_IP = "127.240.0.1"
ISSUER = "https://kubernetes.default.svc"

ETCD = "etcd"
API_SERVER = "kube-apiserver"
CONTROLLER_MANAGER = "kube-controller-manager"
SCHEDULER = "kube-scheduler"
NODE_AGENT = "node-agent"
KWOK = "kwok"
PROMETHEUS = "prometheus"
NAMES = (ETCD, API_SERVER, CONTROLLER_MANAGER, SCHEDULER, NODE_AGENT)

# Endpoints in the loopback range are refused by the API server, so these would fail and post
# warnings for ever.
_CONTROLLERS = (
    "*,-endpoints-controller,-endpointslice-controller,-endpointslice-mirroring-controller"
)
# With the defaults (20 a second) 150 pods took 40 s to appear; with these, 5 s.
_CLIENT_RATE = ("--kube-api-qps=500", "--kube-api-burst=1000")

AUDIT_POLICY = """\
apiVersion: audit.k8s.io/v1
kind: Policy
omitStages: [RequestReceived]
rules:
- level: None
  verbs: [get, list, watch]
- level: None
  nonResourceURLs: ["*"]
- level: Metadata
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Ports:
    etcd: int
    etcd_peer: int
    api_server: int
    controller_manager: int
    scheduler: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Layout:
    """The home of one cluster: every file in it has its name here."""

    home: pathlib.Path

    @property
    def pki(self) -> pathlib.Path:
        return self.home / "pki"

    @property
    def kubeconfig(self) -> pathlib.Path:
        return self.home / "kubeconfig"

    @property
    def etcd(self) -> pathlib.Path:
        return self.home / "etcd"

    @property
    def agent(self) -> pathlib.Path:
        return self.home / "agent"

    @property
    def agent_socket(self) -> pathlib.Path:
        return self.agent / "agent.sock"

    @property
    def nodes(self) -> pathlib.Path:
        return self.home / "nodes.yaml"

    @property
    def images(self) -> pathlib.Path:
        return self.home / "images.yaml"

    @property
    def audit_log(self) -> pathlib.Path:
        return self.home / "audit.log"

    @property
    def audit_policy(self) -> pathlib.Path:
        return self.home / "audit-policy.yaml"

    @property
    def lock(self) -> pathlib.Path:
        return self.home / "lock"

    def log(self, component: str) -> pathlib.Path:
        return self.home / "logs" / f"{component}.log"

    def component_kubeconfig(self, component: str) -> pathlib.Path:
        return self.home / "kubeconfigs" / f"{component}.yaml"


@dataclass(frozen=True, slots=True, kw_only=True)
class Keys:
    """Everything that was signed or generated for one cluster."""

    ca: pathlib.Path
    etcd: Pair
    server: Pair
    etcd_client: Pair
    kubelet_client: Pair
    kubelet: Pair
    admin: Pair
    service_accounts: Pair
    users: dict[str, Pair]


def etcd(layout: Layout, ports: Ports, keys: Keys) -> list[str]:
    client, peer = (f"https://{LOOPBACK}:{port}" for port in (ports.etcd, ports.etcd_peer))
    return [
        "--name=local",
        f"--data-dir={layout.etcd}",
        f"--listen-client-urls={client}",
        f"--advertise-client-urls={client}",
        f"--listen-peer-urls={peer}",
        f"--initial-advertise-peer-urls={peer}",
        f"--initial-cluster=local={peer}",
        "--client-cert-auth",
        f"--trusted-ca-file={keys.ca}",
        f"--cert-file={keys.etcd.certificate}",
        f"--key-file={keys.etcd.key}",
        "--peer-client-cert-auth",
        f"--peer-trusted-ca-file={keys.ca}",
        f"--peer-cert-file={keys.etcd.certificate}",
        f"--peer-key-file={keys.etcd.key}",
        # The data is worth nothing once the cluster is down: no waiting for the disk.
        "--unsafe-no-fsync",
        "--logger=zap",
        "--log-level=warn",
    ]


def api_server(layout: Layout, ports: Ports, keys: Keys, *, audit: bool) -> list[str]:
    return [
        f"--bind-address={LOOPBACK}",
        f"--advertise-address={LOOPBACK}",
        f"--secure-port={ports.api_server}",
        f"--etcd-servers=https://{LOOPBACK}:{ports.etcd}",
        f"--etcd-cafile={keys.ca}",
        f"--etcd-certfile={keys.etcd_client.certificate}",
        f"--etcd-keyfile={keys.etcd_client.key}",
        f"--tls-cert-file={keys.server.certificate}",
        f"--tls-private-key-file={keys.server.key}",
        f"--client-ca-file={keys.ca}",
        f"--kubelet-certificate-authority={keys.ca}",
        f"--kubelet-client-certificate={keys.kubelet_client.certificate}",
        f"--kubelet-client-key={keys.kubelet_client.key}",
        "--kubelet-preferred-address-types=InternalIP",
        f"--service-account-issuer={ISSUER}",
        f"--service-account-key-file={keys.service_accounts.certificate}",
        f"--service-account-signing-key-file={keys.service_accounts.key}",
        "--authorization-mode=Node,RBAC",
        f"--service-cluster-ip-range={SERVICE_RANGE}",
        "--endpoint-reconciler-type=none",
        "--profiling=false",
        *(_audit(layout) if audit else ()),
    ]


def _audit(layout: Layout) -> tuple[str, ...]:
    return (
        f"--audit-policy-file={layout.audit_policy}",
        f"--audit-log-path={layout.audit_log}",
        # A request is on record before it is answered, so that counting needs no waiting.
        "--audit-log-mode=blocking",
        "--audit-log-maxsize=2000",
    )


def controller_manager(layout: Layout, ports: Ports, keys: Keys) -> list[str]:
    return [
        *_served(layout, CONTROLLER_MANAGER, ports.controller_manager, keys),
        f"--controllers={_CONTROLLERS}",
        "--use-service-account-credentials",
        f"--service-account-private-key-file={keys.service_accounts.key}",
        f"--root-ca-file={keys.ca}",
        *_CLIENT_RATE,
    ]


def scheduler(layout: Layout, ports: Ports, keys: Keys) -> list[str]:
    return [*_served(layout, SCHEDULER, ports.scheduler, keys), *_CLIENT_RATE]


def _served(layout: Layout, name: str, port: int, keys: Keys) -> list[str]:
    own = layout.component_kubeconfig(name)
    return [
        f"--kubeconfig={own}",
        f"--authentication-kubeconfig={own}",
        f"--authorization-kubeconfig={own}",
        f"--bind-address={LOOPBACK}",
        f"--secure-port={port}",
        f"--tls-cert-file={keys.server.certificate}",
        f"--tls-private-key-file={keys.server.key}",
        "--leader-elect=false",
        "--profiling=false",
    ]


def node_agent(layout: Layout, keys: Keys) -> list[str]:
    return [
        "-m",
        "farthing_local.agent",
        f"--kubeconfig={layout.component_kubeconfig(NODE_AGENT)}",
        f"--nodes={layout.nodes}",
        f"--images={layout.images}",
        f"--state={layout.agent}",
        f"--certificate={keys.kubelet.certificate}",
        f"--key={keys.kubelet.key}",
        f"--client-ca={keys.ca}",
    ]
