"""Every certificate and kubeconfig of a new cluster."""

from __future__ import annotations

import datetime

from farthing_local import certificates, components, kubeconfig

_USERS = {
    components.CONTROLLER_MANAGER: ("system:kube-controller-manager", ()),
    components.SCHEDULER: ("system:kube-scheduler", ()),
    # It is every node at once, which no node's own rights would allow; its own name keeps its
    # writes apart from an admin's in the audit log.
    components.NODE_AGENT: ("farthing-node-agent", ("system:masters",)),
    components.KWOK: ("kwok", ("system:masters",)),
}


def create(layout: components.Layout, ports: components.Ports) -> components.Keys:
    """Sign and write everything that the components need; returns where it is."""
    authority = certificates.Authority(layout.pki, at=datetime.datetime.now(datetime.UTC))
    loopback = [components.LOOPBACK]
    keys = components.Keys(
        ca=authority.certificate,
        etcd=authority.serving("etcd", addresses=loopback, names=["localhost"]),
        server=authority.serving(
            "server",
            addresses=[*loopback, components.KUBERNETES_SERVICE_IP],
            names=["localhost", "kubernetes", "kubernetes.default", "kubernetes.default.svc"],
        ),
        etcd_client=authority.client("etcd-client", user="kube-apiserver"),
        kubelet_client=authority.client("kubelet-client", user="kube-apiserver-kubelet-client"),
        kubelet=authority.serving("kubelet", addresses=loopback),
        admin=authority.client("admin", user="admin", groups=["system:masters"]),
        service_accounts=certificates.service_account_keys(layout.pki),
        users={
            name: authority.client(name, user=user, groups=groups)
            for name, (user, groups) in _USERS.items()
        },
    )
    server = server_url(ports)
    kubeconfig.write(layout.kubeconfig, server=server, ca=keys.ca, pair=keys.admin)
    for name, pair in keys.users.items():
        path = layout.component_kubeconfig(name)
        kubeconfig.write(path, server=server, ca=keys.ca, pair=pair)
    return keys


def server_url(ports: components.Ports) -> str:
    return f"https://{components.LOOPBACK}:{ports.api_server}"
