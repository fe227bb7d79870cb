"""A server that works in batches: which rate it sustains within a latency objective.

The server takes what waits, at most `maximum_batch_size` items, whenever it is idle; a batch of n takes
`base_s + per_item_s * n`. The number waiting at each dispatch is a Markov chain: from q waiting, n = min(q, B) are
taken, A arrive during the batch, and max(1, q - n + A) wait at the next dispatch (one, after an idle time, when
nothing did). Its stationary distribution gives the response time of an arrival: the rest of the running batch, full
batches ahead of it, then its own. Arrivals are Poisson, or negative binomial where counts are measured to be more
dispersed than that.

The queue ahead of an arrival inside a running batch is taken at its mean given the instant, which is exact for
Poisson counts up to the spread of that mean; `tests/core/test_queueing.py` holds the model to an exact simulation.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]

INSTANTS = 16
"""Instants within a batch at which an arrival is looked at (midpoints of equal parts)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class BatchServer:
    """Service times of one replica, in seconds."""

    base_s: float
    per_item_s: float
    maximum_batch_size: int

    def batch_s(self, size: int) -> float:
        """Seconds that a batch of `size` items takes."""
        return self.base_s + self.per_item_s * size

    @property
    def greatest_rate_rps(self) -> float:
        """Throughput of full batches; no queue is stable at or above it."""
        return self.maximum_batch_size / self.batch_s(self.maximum_batch_size)


@dataclass(frozen=True, slots=True, kw_only=True)
class ResponseTimes:
    """A distribution of response times: values in seconds with weights that sum to one."""

    values_s: Array
    weights: Array

    def late_fraction(self, threshold_s: float) -> float:
        """Share of requests that take longer than `threshold_s`."""
        return float(self.weights[self.values_s > threshold_s].sum())

    def quantile_s(self, fraction: float) -> float:
        """The smallest response time that `fraction` of requests do not exceed."""
        order = np.argsort(self.values_s)
        reached = np.cumsum(self.weights[order])
        index = int(np.searchsorted(reached, fraction * reached[-1]))
        return float(self.values_s[order[min(index, len(order) - 1)]])


def response_times(
    server: BatchServer, rate_rps: float, dispersion: float = 1.0
) -> ResponseTimes | None:
    """Response times at `rate_rps`, or None where no stable queue exists or it is too long to matter.

    `dispersion` is the variance of arrival counts over their mean, at least 1 (Poisson).
    """
    if rate_rps >= 0.995 * server.greatest_rate_rps:
        return None
    largest = server.maximum_batch_size
    states = np.arange(1, 6 * largest + 16)
    taken = np.minimum(states, largest)
    batch_s = server.base_s + server.per_item_s * taken
    counts = _count_probabilities(rate_rps * batch_s, max(1.0, dispersion), len(states) + largest)
    stationary = _stationary(states, taken, counts)
    if stationary[-largest // 2 :].sum() > 1e-3:
        # The truncated tail carries weight: the queue is longer than six full batches for a visible share of time.
        return None
    return _of_arrivals(server, rate_rps, states - taken, batch_s, counts, stationary)


@lru_cache(maxsize=4096)
def rate_within(
    server: BatchServer, threshold_s: float, quantile_fraction: float, dispersion: float = 1.0
) -> float:
    """The highest rate (requests per second) at which the quantile of response times stays within `threshold_s`.

    0.0 when even a lone request takes longer. Found by bisection to 0.5 %. Memoised: same values, same answer.
    """
    if server.batch_s(1) > threshold_s:
        return 0.0
    low, high = 0.0, server.greatest_rate_rps
    while high - low > 0.005 * high:
        middle = (low + high) / 2
        times = response_times(server, middle, dispersion)
        if times is not None and times.late_fraction(threshold_s) <= 1 - quantile_fraction:
            low = middle
        else:
            high = middle
    return low


def _count_probabilities(means: Array, dispersion: float, length: int) -> Array:
    """Row i: probabilities of 0 .. length-1 arrivals with mean `means[i]` and variance `dispersion` times that."""
    numbers = np.arange(1, length)
    with np.errstate(divide="ignore"):
        if dispersion <= 1.0 + 1e-9:
            steps = np.log(means)[:, None] - np.log(numbers)[None, :]
            first = -means
        else:
            # Negative binomial with r = mean / (d - 1) and success probability 1 / d.
            shape = means / (dispersion - 1)
            ratio = np.log((shape[:, None] + numbers[None, :] - 1) / numbers[None, :])
            steps = ratio + np.log(1 - 1 / dispersion)
            first = -shape * np.log(dispersion)
    logs = np.concatenate([first[:, None], first[:, None] + np.cumsum(steps, axis=1)], axis=1)
    return np.asarray(np.exp(logs), dtype=np.float64)


def _stationary(states: NDArray[np.int64], taken: NDArray[np.int64], counts: Array) -> Array:
    size = len(states)
    transition = np.zeros((size, size))
    for row, (state, batch) in enumerate(zip(states, taken, strict=True)):
        left = int(state - batch)
        probabilities = counts[row]
        # Column j stands for j + 1 waiting; zero and one waiting both lead to a dispatch of one.
        reach = min(size - max(left - 1, 0), len(probabilities))
        if left == 0:
            transition[row, 0] = probabilities[0]
            width = min(size, len(probabilities) - 1)
            transition[row, :width] += probabilities[1 : width + 1]
        else:
            transition[row, left - 1 : left - 1 + reach] = probabilities[:reach]
        transition[row, -1] += max(0.0, 1.0 - transition[row].sum())
    equations = np.vstack([(transition.T - np.eye(size))[:-1], np.ones(size)])
    right = np.zeros(size)
    right[-1] = 1.0
    return np.clip(np.linalg.solve(equations, right), 0.0, None)


def _of_arrivals(
    server: BatchServer,
    rate_rps: float,
    left: NDArray[np.int64],
    batch_s: Array,
    counts: Array,
    stationary: Array,
) -> ResponseTimes:
    largest = server.maximum_batch_size
    others = np.arange(counts.shape[1])
    instants = (np.arange(INSTANTS) + 0.5) / INSTANTS
    rest_s = batch_s[:, None, None] * (1 - instants)[None, :, None]
    ahead = left[:, None, None] + instants[None, :, None] * others[None, None, :]
    full_batches = np.floor(ahead / largest)
    own = np.where(
        full_batches > 0,
        largest,
        np.minimum(largest, left[:, None, None] + others[None, None, :] + 1),
    )
    own_s = server.base_s + server.per_item_s * own
    values = rest_s + full_batches * server.batch_s(largest) + own_s
    weights = (stationary * rate_rps * batch_s)[:, None, None] * counts[:, None, :] / INSTANTS
    # An arrival that finds the server idle starts at once, alone.
    idle = float((stationary * (left == 0) * counts[:, 0]).sum())
    flat_values = np.append(values.ravel(), server.batch_s(1))
    flat_weights = np.append(np.broadcast_to(weights, values.shape).ravel(), idle)
    kept = flat_weights > 1e-12
    return ResponseTimes(
        values_s=flat_values[kept], weights=flat_weights[kept] / flat_weights[kept].sum()
    )
