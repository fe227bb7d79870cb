"""Service-time profiles: fitted to declared or measured batches, or learned from live ones."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime

from farthing.core.domain import (
    BatchSample,
    LoadReading,
    Observation,
    Provenance,
    ServiceProfile,
    VariantName,
    WorkloadId,
)

ASSUMED_MAXIMUM_BATCH_SIZE = 32
"""The serving image's default, used for a learned profile until larger batches are seen."""
ENOUGH_BATCHES = 5.0
"""Batches of one size below this many say too little about its time."""


def fit(batches: Iterable[tuple[float, float, float]]) -> tuple[float, float]:
    """Fits `base_s + per_item_s * size` to (size, seconds, weight) by least squares, both at least zero.

    One size alone cannot tell the two apart: all of it is then taken as per-item time, which promises no gain from
    batching and so never sizes too small. Worked numbers: (1, 0.02, 1) and (11, 0.12, 1) give 0.01 and 0.01.
    """
    points = [(size, seconds, weight) for size, seconds, weight in batches if weight > 0]
    total = sum(weight for _, _, weight in points)
    if total == 0:
        raise ValueError("a profile needs at least one batch with a positive weight")
    mean_size = sum(s * w for s, _, w in points) / total
    mean_s = sum(t * w for _, t, w in points) / total
    spread = sum(w * (s - mean_size) ** 2 for s, _, w in points)
    if spread == 0:
        return 0.0, mean_s / mean_size
    slope = sum(w * (s - mean_size) * (t - mean_s) for s, t, w in points) / spread
    base = mean_s - slope * mean_size
    if slope <= 0:
        # Larger batches took no longer: the time is all base, and per-item time is what keeps the rate finite.
        return mean_s, 0.0
    if base < 0:
        return 0.0, sum(w * s * t for s, t, w in points) / sum(w * s * s for s, _, w in points)
    return base, slope


def learn(
    observation: Observation, known: tuple[ServiceProfile, ...]
) -> tuple[ServiceProfile, ...]:
    """Profiles learned from the batches of this observation, and the earlier ones where it says nothing."""
    profiles = {_key(p): p for p in known}
    for reading in observation.readings:
        for variant, hardware, samples in reading.batches:
            learned = _from_samples(reading.workload, variant, hardware, samples)
            if learned is not None and not _same(profiles.get(_key(learned)), learned):
                profiles[_key(learned)] = learned
    return tuple(profiles[key] for key in sorted(profiles))


def effective(
    observation: Observation, learned: tuple[ServiceProfile, ...]
) -> dict[tuple[WorkloadId, VariantName, str], ServiceProfile]:
    """The profile that counts for each workload, variant and hardware: given ones before learned ones."""
    profiles = {_key(p): p for p in learned}
    profiles.update({_key(p): p for p in observation.profiles})
    return profiles


def reading_age_s(reading: LoadReading, at: datetime) -> float:
    """How old the newest thing in a reading is."""
    return (at - reading.ends_at).total_seconds()


def _from_samples(
    workload: WorkloadId, variant: VariantName, hardware: str, samples: tuple[BatchSample, ...]
) -> ServiceProfile | None:
    told = [s for s in samples if s.batches >= ENOUGH_BATCHES and s.seconds > 0]
    if not told:
        return None
    base_s, per_item_s = fit((s.size, s.seconds / s.batches, min(s.batches, 100.0)) for s in told)
    return ServiceProfile(
        workload=workload,
        variant=variant,
        hardware=hardware,
        base_s=base_s,
        per_item_s=per_item_s,
        maximum_batch_size=max(ASSUMED_MAXIMUM_BATCH_SIZE, *(s.size for s in samples)),
        provenance=Provenance.LEARNED,
    )


def _same(before: ServiceProfile | None, now: ServiceProfile) -> bool:
    """Within 3 % at a lone request and at a full batch: not worth a new answer, nor a changed decision."""
    if before is None or before.maximum_batch_size != now.maximum_batch_size:
        return False
    sizes = (1, now.maximum_batch_size)
    return all(
        abs((before.base_s + before.per_item_s * n) / (now.base_s + now.per_item_s * n) - 1) <= 0.03
        for n in sizes
    )


def _key(profile: ServiceProfile) -> tuple[WorkloadId, VariantName, str]:
    return profile.workload, profile.variant, profile.hardware
