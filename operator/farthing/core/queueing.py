"""A server that works in batches: which rate it sustains within a latency objective.

The server takes what waits, at most `maximum_batch_size` items, whenever it is idle; a batch of n takes
`base_s + per_item_s * n`. The number waiting at each dispatch is a Markov chain: from q waiting, n = min(q, B) are
taken, A arrive during the batch, and q - n + A wait at the next dispatch (after an idle time, when nothing did: what
arrives together next). Its stationary distribution gives the response time of an arrival: the rest of the running
batch, full batches ahead of it, then its own. Arrivals are Poisson, or negative binomial where counts are measured to
be more dispersed than that: then they come in clumps, and a request is likelier to be found in a large one.

How many of the other arrivals of its batch are ahead of a request is taken at two points, one standard deviation below
and above its mean given the instant. Where queues are longer than a few hundred, items are counted in groups, so that
one answer takes milliseconds whatever the size of a batch. `tests/core/test_queueing.py` holds the model to an exact
simulation.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]

INSTANTS = 12
"""Instants within a batch at which an arrival is looked at (midpoints of equal parts)."""
MAXIMUM_STATES = 224
"""Lengths of the queue that are told apart; where more are needed, items are counted in groups."""
NEGLIGIBLE = 1e-9
LEAST_SHARE = 0.05
"""No burst is a reason to serve nothing: this share of the greatest rate is the least that is believed."""


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
    dispersion = max(1.0, dispersion)
    length = _queue_length(server, rate_rps, dispersion)
    group = -(-length // MAXIMUM_STATES)
    largest = max(1, round(server.maximum_batch_size / group))
    states = np.arange(1, -(-length // group) + 1)
    taken = np.minimum(states, largest)
    batch_s = server.base_s + server.per_item_s * taken * group
    width = len(states) + min(largest, len(states))
    # All full batches take the same time: their counts are worked out once.
    means = rate_rps * batch_s[:largest]
    counts = _count_probabilities(means, dispersion, width, group)[taken - 1]
    clump = _clump_probabilities(dispersion if group == 1 else 1.0, len(states))
    stationary = _stationary(states, taken, counts, clump)
    if stationary[-max(1, len(states) // 10) :].sum() > 1e-3:
        # The truncated tail carries weight: the queue is longer than several full batches for a visible share of time.
        return None
    chain = _Chain(
        server=server, group=group, left=states - taken, batch_s=batch_s, stationary=stationary
    )
    return _of_arrivals(chain, largest, counts, clump)


@lru_cache(maxsize=4096)
def rate_within(
    server: BatchServer, threshold_s: float, quantile_fraction: float, dispersion: float = 1.0
) -> float:
    """The highest rate (requests per second) at which the quantile of response times stays within `threshold_s`.

    0.0 only when even a lone request takes longer. Found by bisection to 0.5 %. Memoised: same values, same answer.
    """
    if server.batch_s(1) > threshold_s:
        return 0.0
    low, high = LEAST_SHARE * server.greatest_rate_rps, server.greatest_rate_rps
    while high - low > 0.005 * high:
        middle = (low + high) / 2
        times = response_times(server, middle, dispersion)
        if times is not None and times.late_fraction(threshold_s) <= 1 - quantile_fraction:
            low = middle
        else:
            high = middle
    return low


@dataclass(frozen=True, slots=True, kw_only=True)
class _Chain:
    """The queue at dispatches, in groups of items: what a batch leaves behind, how long it takes, how often it is."""

    server: BatchServer
    group: int
    left: NDArray[np.int64]
    batch_s: Array
    stationary: Array


def _queue_length(server: BatchServer, rate_rps: float, dispersion: float) -> int:
    """Items up to which the queue must be followed: far beyond its mean, or several full batches."""
    longest = 5 * server.maximum_batch_size + 15
    busy = rate_rps * server.per_item_s
    if longest <= MAXIMUM_STATES or busy >= 0.98:
        return longest
    # In the mean a batch takes what arrived in the one before: n = rate × (base + per_item × n).
    mean = rate_rps * server.base_s / (1 - busy) + 1
    spread = (dispersion * mean / (1 - busy**2)) ** 0.5
    return min(longest, int(1.2 * (mean + 8 * spread + 16 * dispersion)))


@lru_cache(maxsize=4096)
def quantile_at(
    server: BatchServer, rate_rps: float, quantile_fraction: float, dispersion: float = 1.0
) -> float | None:
    """The modelled quantile of response times at `rate_rps`, in seconds; None where no stable queue exists."""
    if rate_rps <= 0:
        return server.batch_s(1)
    times = response_times(server, rate_rps, dispersion)
    return None if times is None else times.quantile_s(quantile_fraction)


def _count_probabilities(means: Array, dispersion: float, length: int, group: int) -> Array:
    """Row i: probabilities of 0 .. length-1 groups of arrivals; `means[i]` and its `dispersion` are in items."""
    edges = group * (np.arange(length) + 0.5) if group > 1 else np.arange(length) + 0.0
    whole = np.floor(edges).astype(np.int64)
    counts = np.arange(whole[-1] + 1.0)
    log_factorials = np.concatenate([[0.0], np.cumsum(np.log(counts[1:]))])
    positive = np.maximum(means, np.finfo(np.float64).tiny)[:, None]
    if dispersion <= 1.0 + 1e-9:
        logs = counts * np.log(positive) - positive - log_factorials
    else:
        # Negative binomial with r = mean / (d - 1) and success probability 1 / d.
        shape = positive / (dispersion - 1)
        rising = np.cumsum(np.log(shape + counts[:-1]), axis=1)
        logs = np.pad(rising, ((0, 0), (1, 0))) - log_factorials
        logs += counts * np.log1p(-1 / dispersion) - shape * np.log(dispersion)
    reached = np.minimum(np.cumsum(np.exp(logs), axis=1), 1.0)[:, whole]
    return np.asarray(np.diff(reached, axis=1, prepend=0.0), dtype=np.float64)


def _clump_probabilities(dispersion: float, length: int) -> Array:
    """Probabilities of 1 .. length arrivals at one instant: logarithmic, as negative binomial counts imply."""
    if dispersion <= 1.0 + 1e-9:
        return np.asarray(np.eye(length)[0], dtype=np.float64)
    share = 1 - 1 / dispersion
    sizes = np.arange(1, length + 1)
    weights = share**sizes / sizes
    return np.asarray(weights / weights.sum(), dtype=np.float64)


def _stationary(
    states: NDArray[np.int64], taken: NDArray[np.int64], counts: Array, clump: Array
) -> Array:
    size = len(states)
    transition = np.zeros((size, size))
    for row, (state, batch) in enumerate(zip(states, taken, strict=True)):
        left = int(state - batch)
        # Column j stands for j + 1 waiting.
        if left == 0:
            width = min(size, counts.shape[1] - 1)
            transition[row, :width] = counts[row, 1 : width + 1]
            transition[row] += counts[row, 0] * clump
        else:
            reach = min(size - left + 1, counts.shape[1])
            transition[row, left - 1 : left - 1 + reach] = counts[row, :reach]
    transition[:, -1] += np.clip(1.0 - transition.sum(axis=1), 0.0, None)
    equations = np.vstack([(transition.T - np.eye(size))[:-1], np.ones(size)])
    right = np.zeros(size)
    right[-1] = 1.0
    return np.clip(np.linalg.solve(equations, right), 0.0, None)


def _of_arrivals(chain: _Chain, largest: int, counts: Array, clump: Array) -> ResponseTimes:
    """Every arrival of every batch, and those that find the server idle."""
    arrived = np.arange(counts.shape[1])
    by_count = chain.stationary[:, None] * counts * arrived[None, :]
    rows = by_count.sum(axis=1) > NEGLIGIBLE
    columns = by_count.sum(axis=0) > NEGLIGIBLE
    left, others = chain.left[rows][:, None, None], arrived[columns][None, None, :] - 1
    instants = ((np.arange(INSTANTS) + 0.5) / INSTANTS)[None, :, None]
    rest_s = chain.batch_s[rows][:, None, None] * (1 - instants)
    weights = np.broadcast_to(
        by_count[rows][:, columns][:, None, :] / (2 * INSTANTS),
        (int(rows.sum()), INSTANTS, int(columns.sum())),
    ).ravel()
    spread = np.sqrt(others * instants * (1 - instants) / chain.group)
    values, shares = [], []
    for sign in (-1.0, 1.0):
        ahead = left + np.clip(others * instants + sign * spread, 0.0, others)
        values.append((rest_s + _served_s(chain, largest, ahead, left + others + 1)).ravel())
        shares.append(weights)
    idle = float((chain.stationary * (chain.left == 0) * counts[:, 0]).sum())
    sizes = np.flatnonzero(clump > NEGLIGIBLE) + 1
    for size in sizes:
        places = np.arange(size, dtype=np.float64)
        values.append(_served_s(chain, largest, places, np.full(size, float(size))))
        shares.append(np.full(size, idle * clump[size - 1]))
    found = np.concatenate(shares)
    return ResponseTimes(values_s=np.concatenate(values), weights=found / found.sum())


def _served_s(chain: _Chain, largest: int, ahead: Array, waiting: Array) -> Array:
    """Seconds from a dispatch until a request with `ahead` before it is answered, when `waiting` wait in all."""
    full_batches = np.floor(ahead / largest)
    own = np.where(full_batches > 0, largest, np.minimum(largest, waiting))
    full_s = chain.server.batch_s(largest * chain.group)
    own_s = chain.server.base_s + chain.server.per_item_s * chain.group * own
    return np.asarray(full_batches * full_s + own_s, dtype=np.float64)
