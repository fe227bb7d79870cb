"""A real Kubernetes control plane on one machine, without containers.

etcd, the API server, the controller manager and the scheduler run as processes of the user who
starts them; a node agent (`farthing_local.agent`) plays the nodes and runs pods as processes too.
Nothing here knows of the operator that it hosts.

    paths, errors, progress          what everything else stands on
    toolchain, recipes, build        from Go modules to binaries in the user's cache
    ports, certificates, kubeconfig  what a component needs before it can start
    components                       the command line of each component. Pure
    processes, state, health         what runs, what is on record, what answers
    cluster, guard                   up, down, status; down when a parent disappears
    prometheus, kwok                 programs that tests and demos add to a running cluster
    commands                         the command line
"""
