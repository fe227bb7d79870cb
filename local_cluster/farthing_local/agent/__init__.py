"""The node agent: kubelet, kube-proxy and cloud of the local cluster, in one process.

Pods become local processes, each with a loopback address of its own. The modules fall in two
halves. Pure: `addresses`, `backoff`, `documents`, `expansion`, `fields`, `nodes`, `pod_status`,
`probes`. With effects: everything else, assembled in `agent`.
"""
