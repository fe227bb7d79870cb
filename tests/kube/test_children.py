"""The objects that serve an InferenceService."""

from __future__ import annotations

from typing import Any

from tests.kube import objects
from tests.kube.objects import AT, DEFAULT, SENTIMENT, SPOT

from farthing.core.domain import Plan, Target
from farthing.kube import children, desired
from farthing.kube.translate import Resources

PROFILE = '{"maximumBatchSize":11,"batches":[{"size":1,"milliseconds":"20"},{"size":11,"milliseconds":"120"}]}'
LABELS = {
    "app.kubernetes.io/name": "sentiment",
    "app.kubernetes.io/managed-by": "farthing",
    "farthing.dev/service": "sentiment",
}
OWNER = {
    "apiVersion": "farthing.dev/v1alpha1",
    "kind": "InferenceService",
    "name": "sentiment",
    "uid": "uid-sentiment",
    "controller": True,
}


def plan(replicas: int) -> Plan:
    target = Target(workload=SENTIMENT, variant=DEFAULT, pool=SPOT, replicas=replicas)
    return Plan(at=AT, targets=(target,), decisions=(), service_budgets=(), cluster_budgets=())


def of_one(found: Resources, replicas: int = 1, deployments: Any = None) -> desired.ServiceChildren:
    (only,) = desired.children_of(plan(replicas), found, deployments or {})
    return only


def everything(**spec: Any) -> Resources:
    return objects.found(
        objects.service(**spec), objects.pool(), objects.runtime(), objects.profile()
    )


def kinds(found: desired.ServiceChildren) -> list[str]:
    return [one["kind"] for one in found.wanted]


def test_one_replica_is_a_service_and_a_deployment() -> None:
    service, deployment = of_one(everything()).wanted
    assert service == {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {
            "name": "sentiment",
            "namespace": "shop",
            "labels": LABELS,
            "ownerReferences": [OWNER],
        },
        "spec": {
            "selector": {"farthing.dev/service": "sentiment"},
            "ports": [{"name": "http", "port": 80, "protocol": "TCP", "targetPort": "http"}],
        },
    }
    labels = LABELS | {"farthing.dev/pool": "spot", "farthing.dev/variant": "default"}
    assert deployment["metadata"] == {
        "name": "sentiment-default-spot",
        "namespace": "shop",
        "labels": labels,
        "annotations": {"farthing.dev/target": "1"},
        "ownerReferences": [OWNER],
    }
    assert deployment["spec"]["strategy"] == {
        "type": "RollingUpdate",
        "rollingUpdate": {"maxUnavailable": 0, "maxSurge": 1},
    }
    assert deployment["spec"]["template"]["metadata"] == {"labels": labels}


def test_a_pod_is_restricted_bound_to_its_pool_and_leaves_within_the_notice() -> None:
    pod = of_one(everything()).wanted[1]["spec"]["template"]["spec"]
    container = pod.pop("containers")[0]
    assert pod == {
        "automountServiceAccountToken": False,
        "enableServiceLinks": False,
        # The server wants 30 s, the pool's notice is 20 s.
        "terminationGracePeriodSeconds": 20,
        "securityContext": {"runAsNonRoot": True, "seccompProfile": {"type": "RuntimeDefault"}},
        "nodeSelector": {"farthing.dev/pool": "spot"},
    }
    assert container["securityContext"] == {
        "allowPrivilegeEscalation": False,
        "capabilities": {"drop": ["ALL"]},
    }
    assert container["env"] == [
        {"name": "POD_IP", "valueFrom": {"fieldRef": {"fieldPath": "status.podIP"}}},
        {"name": "FARTHING_MODEL_NAME", "value": "sentiment"},
        {"name": "FARTHING_MODEL_URI", "value": "image:///models/sentiment"},
        {"name": "FARTHING_PRECISION", "value": "Float32"},
        {"name": "FARTHING_SLO_MILLISECONDS", "value": "300"},
        {"name": "FARTHING_VARIANT", "value": "default"},
        {"name": "FARTHING_PROFILE", "value": PROFILE},
    ]


def test_a_replica_of_several_slots_takes_that_many_bundles() -> None:
    variants = [{"name": "default", "slots": 2}]
    container = of_one(everything(variants=variants)).wanted[1]["spec"]["template"]["spec"][
        "containers"
    ][0]
    assert container["resources"] == {
        "requests": {"cpu": "16", "memory": "64Gi", "nvidia.com/gpu": "2"},
        "limits": {"memory": "64Gi", "nvidia.com/gpu": "2"},
    }


def test_quantities_are_multiplied_in_their_own_unit() -> None:
    assert [children.multiplied(text, 3) for text in ("500m", "1.5", "2", "4Gi")] == [
        "1500m",
        "4.5",
        "6",
        "12Gi",
    ]


def test_a_model_on_a_claim_is_mounted_read_only() -> None:
    found = everything(model={"uri": "pvc://weights/sentiment/v2"})
    pod = of_one(found).wanted[1]["spec"]["template"]["spec"]
    assert pod["volumes"] == [
        {"name": "model", "persistentVolumeClaim": {"claimName": "weights", "readOnly": True}}
    ]
    container = pod["containers"][0]
    assert container["volumeMounts"] == [
        {"name": "model", "mountPath": "/mnt/model", "readOnly": True}
    ]
    assert {"name": "FARTHING_MODEL_URI", "value": "/mnt/model/sentiment/v2"} in container["env"]


def test_only_several_replicas_get_a_disruption_budget() -> None:
    assert kinds(of_one(everything(), 1)) == ["Service", "Deployment"]
    assert kinds(of_one(everything(), 2)) == ["Service", "Deployment", "PodDisruptionBudget"]


def test_a_name_that_is_too_long_ends_in_a_digest() -> None:
    name = children.deployment_name("s" * 50, "v" * 30, "p" * 30)
    assert len(name) == 63
    assert name != children.deployment_name("s" * 50, "v" * 30, "q" * 30)


def test_a_place_without_replicas_is_emptied_first_and_deleted_then() -> None:
    there = {
        "metadata": {
            "name": "sentiment-default-spot",
            "namespace": "shop",
            "labels": LABELS | {"farthing.dev/pool": "spot", "farthing.dev/variant": "default"},
        },
        "spec": {"replicas": 1},
        "status": {"replicas": 1},
    }
    key = "shop/sentiment-default-spot"
    emptied = of_one(everything(), 0, {key: there})
    assert (kinds(emptied), emptied.unwanted) == (["Service", "Deployment"], ())
    empty = there | {"spec": {"replicas": 0}, "status": {}}
    deleted = of_one(everything(), 0, {key: empty})
    assert (kinds(deleted), deleted.unwanted) == (["Service"], (empty,))
    assert kinds(of_one(everything(), 0)) == ["Service"]


def test_a_missing_runtime_is_named_and_ends_nothing() -> None:
    found = objects.found(objects.service(), objects.pool(), objects.runtime("other"))
    problem = desired.Problem(
        "RuntimeNotFound", 'spec.runtimeRef.name: "torch" does not exist; allowed: other'
    )
    assert of_one(found, 1) == desired.ServiceChildren(
        service=found.services[0], problems=(problem,)
    )


def test_a_precision_that_the_runtime_cannot_serve_is_named() -> None:
    found = everything(variants=[{"name": "default", "precision": "Int8"}])
    assert of_one(found).problems == (
        desired.Problem(
            "PrecisionNotServed",
            "spec.variants[default].precision: Int8 is not served by InferenceRuntime torch; allowed: Float32",
        ),
    )


def test_a_paused_service_is_left_alone() -> None:
    assert desired.children_of(plan(3), everything(paused=True), {}) == ()
