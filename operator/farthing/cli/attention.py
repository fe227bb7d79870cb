"""What needs somebody: conditions that do not hold, each with the command to run next. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime

from farthing.cli import wording
from farthing.kube import documents
from farthing.kube.documents import Json

# An aspect needs somebody when its condition has one of these states; absent counts as Unknown.
_SERVICE = {
    "Stalled": ("True",),
    "Ready": ("False", "Unknown"),
    "MetricsAvailable": ("False", "Unknown"),
    "SLOAttained": ("False",),
    "WithinBudget": ("False",),
    "CapacityAvailable": ("False",),
    "ScalingEffective": ("False",),
}
_BUDGET = {"WithinBudget": ("False",), "Stalled": ("True",)}
_DESCRIBED = ("Stalled", "Status")


@dataclass(frozen=True, slots=True, kw_only=True)
class Attention:
    """One thing that needs somebody."""

    subject: str
    aspect: str
    state: str
    reason: str
    since: datetime | None
    message: str
    next_command: str

    def line(self, now: datetime) -> str:
        """`! shop/sentiment: MetricsAvailable False 22m (MetricsMissing): no answer. Next: farthing explain ...`."""
        since = f" {wording.age(self.since, now)}" if self.since else ""
        message = f": {self.message.rstrip('.')}" if self.message else ""
        return (
            f"! {self.subject}: {self.aspect} {self.state}{since} ({self.reason}){message}. "
            f"Next: {self.next_command}"
        )

    def document(self) -> Json:
        return {
            "subject": self.subject,
            "aspect": self.aspect,
            "state": self.state,
            "reason": self.reason,
            "since": None if self.since is None else documents.timestamp(self.since),
            "message": self.message,
            "next": self.next_command,
        }


def of_service(service: Json, program: str) -> tuple[Attention, ...]:
    """What is wrong with an InferenceService."""
    namespace = str(documents.part(service, "metadata").get("namespace", ""))
    name = str(documents.part(service, "metadata").get("name", ""))
    described = f"kubectl describe inferenceservices.farthing.dev {name} -n {namespace}"
    if not documents.items(service, "status", "conditions"):
        return (
            Attention(
                subject=documents.key(service),
                aspect="Status",
                state="unknown",
                reason="NotObserved",
                since=documents.instant(
                    documents.part(service, "metadata").get("creationTimestamp")
                ),
                message="the operator has not written a status; it may not run",
                next_command=described,
            ),
        )
    explained = f"{program} explain {name} -n {namespace}"
    return tuple(
        _attention(service, aspect, described if aspect in _DESCRIBED else explained)
        for aspect in _failing(service, _SERVICE)
    )


def of_budget(budget: Json) -> tuple[Attention, ...]:
    """What is wrong with a ClusterBudget."""
    name = documents.part(budget, "metadata").get("name")
    command = f"kubectl describe clusterbudgets.farthing.dev {name}"
    return tuple(_attention(budget, aspect, command) for aspect in _failing(budget, _BUDGET))


def _failing(document: Json, wanted: Mapping[str, tuple[str, ...]]) -> Iterator[str]:
    for aspect, failing in wanted.items():
        if documents.condition(document, aspect).get("status", "Unknown") in failing:
            yield aspect


def _attention(document: Json, aspect: str, command: str) -> Attention:
    found = documents.condition(document, aspect)
    kind = "ClusterBudget " if document.get("kind") == "ClusterBudget" else ""
    return Attention(
        subject=f"{kind}{documents.key(document)}",
        aspect=aspect,
        state=str(found.get("status", "Unknown")),
        reason=str(found.get("reason") or "NotObserved"),
        since=documents.instant(found.get("lastTransitionTime")),
        message=wording.printable(str(found.get("message") or "")),
        next_command=command,
    )
