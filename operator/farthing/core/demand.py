"""Arrival series to demand: the rate now, where it is going while a replica starts, and what already waits.

Refused requests are arrivals too: a server that sheds load must not hide it. Worked number: 100 arrivals in the last
10 s and 360 in the last 60 s give 10 and 6 requests per second; the middles of the two windows are 25 s apart, so
the trend is 4 / 25 = 0.16 per second each second, and over a start-up of 20 s the forecast is 10 + 3.2 = 13.2.
"""

from __future__ import annotations

from itertools import pairwise
from math import sqrt

from farthing.core.beliefs import DemandEstimate
from farthing.core.domain import LoadReading, Observation, Workload
from farthing.core.policy import Policy
from farthing.core.profiles import reading_age_s

TREND_LIMIT_S = 30.0
"""A trend is not believed further than this: bursts end."""
BURST_WINDOW_S = 3.0
"""Arrivals this recent replace the rate when they are above it beyond doubt (three standard deviations)."""
MAXIMUM_DISPERSION = 8.0


def estimate(
    workload: Workload, observation: Observation, policy: Policy, ready: int, startup_s: float
) -> DemandEstimate | None:
    """Demand of a workload, or None where its reading is missing or stale."""
    reading = next((r for r in observation.readings if r.workload == workload.id), None)
    if reading is None or reading_age_s(reading, observation.at) > policy.stale_after_s:
        return None
    dispersion = _dispersion(reading)
    rate = _rate(reading.arrivals, reading.bucket_s, policy.rate_window_s)
    burst = _rate(reading.arrivals, reading.bucket_s, BURST_WINDOW_S)
    if burst > rate + 3 * sqrt(max(rate, 1.0 / BURST_WINDOW_S) * dispersion / BURST_WINDOW_S):
        rate = burst
    slow = _rate(reading.arrivals, reading.bucket_s, policy.slow_window_s)
    between_s = (policy.slow_window_s - policy.rate_window_s) / 2
    trend = max(0.0, (rate - slow) / between_s) if between_s > 0 else 0.0
    forecast = rate + trend * min(startup_s, TREND_LIMIT_S)
    excess = max(0.0, reading.queued - workload.target_queue_length * max(ready, 1))
    backlog = excess / policy.drain_backlog_s
    spread = policy.headroom_quantile_z * sqrt(forecast * dispersion / policy.rate_window_s)
    return DemandEstimate(
        workload=workload.id,
        rate_rps=rate,
        forecast_rps=forecast,
        backlog_rps=backlog,
        sizing_rps=forecast + spread + backlog,
        dispersion=dispersion,
        queued=reading.queued,
        refused_rps=_rate(reading.refused, reading.bucket_s, policy.rate_window_s),
        age_s=reading_age_s(reading, observation.at),
        source=reading.source,
    )


def _rate(buckets: tuple[float, ...], bucket_s: float, window_s: float) -> float:
    """Over the last whole buckets that come closest to the window, or over fewer where there are not so many."""
    last = buckets[-max(1, round(window_s / bucket_s)) :]
    return sum(last) / (len(last) * bucket_s) if last else 0.0


def _dispersion(reading: LoadReading) -> float:
    """Variance over mean of the bucket counts around their own moving mean: neither trend nor step is a burst."""
    counts = reading.arrivals[-60:]
    if len(counts) < 10 or sum(counts) < 20:
        return 1.0
    mean = sum(counts) / len(counts)
    # Half the mean squared difference of neighbours estimates the variance and ignores slow changes; the two largest
    # are left out, so that one step or one spike is not taken for burstiness.
    squares = sorted((b - a) ** 2 for a, b in pairwise(counts))[:-2]
    variance = sum(squares) / (2 * len(squares))
    return min(MAXIMUM_DISPERSION, max(1.0, variance / mean))
