"""The custom resources of Farthing: typed once here, and nowhere else.

This package is the border between the outside spelling (camelCase YAML, money as
decimal strings) and the typed objects the hosts work with. The CRDs under `crds/`
are generated from these models, so the API server and `farthing plan -f` refuse
the same files for the same reasons. Nothing in here talks to a cluster.
"""

from farthing.api.capacity_pool import CapacityPool, CapacityPoolStatus
from farthing.api.cluster_budget import ClusterBudget, ClusterBudgetStatus
from farthing.api.condition import Condition
from farthing.api.decoding import KINDS, AnyResource, InvalidResource, Problem, decode
from farthing.api.fields import UNKNOWN, number_or_unknown, rounded
from farthing.api.inference_runtime import InferenceRuntime
from farthing.api.inference_service import InferenceService
from farthing.api.inference_service_status import InferenceServiceStatus
from farthing.api.model_profile import ModelProfile
from farthing.api.part import Part
from farthing.api.resource import GROUP, VERSION, Resource

__all__ = [
    "GROUP",
    "KINDS",
    "UNKNOWN",
    "VERSION",
    "AnyResource",
    "CapacityPool",
    "CapacityPoolStatus",
    "ClusterBudget",
    "ClusterBudgetStatus",
    "Condition",
    "InferenceRuntime",
    "InferenceService",
    "InferenceServiceStatus",
    "InvalidResource",
    "ModelProfile",
    "Part",
    "Problem",
    "Resource",
    "decode",
    "number_or_unknown",
    "rounded",
]
