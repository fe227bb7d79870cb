"""Every tunable of the planner in one place, with its unit."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Policy:
    """Defaults are those that the scenarios are tested with."""

    rate_window_s: float = 10.0
    """Arrivals of this long make the estimate of the rate now."""
    slow_window_s: float = 60.0
    """The trend is the rate now minus the rate over this long."""
    stale_after_s: float = 10.0
    """A reading older than this is a gap: the workload is held."""
    drain_backlog_s: float = 20.0
    """A backlog adds the rate that drains it in this long."""
    headroom_quantile_z: float = 1.64
    """Standard deviations of the arrival count that are held above the forecast (1.64: one-sided 95 %)."""
    minimum_retention_s: float = 60.0
    """A lower target must persist at least this long before a replica leaves."""
    correction_limits: tuple[float, float] = (0.5, 1.25)
    """The measured correction of a modelled rate stays inside these factors."""
    expected_life_s: float = 3600.0
    """A new replica's start-up is spread over this long when it is weighed against one that runs."""
    missed_request_price_ratio: float = 12.0
    """Money of a missed replica-hour over the dearest price of one: what an interruption costs in late requests."""
    minimum_launch_retry_s: float = 120.0
    """A pool that refused a launch is tried again after this long, doubled with each further refusal."""
    pacing_burst: float = 3.0
    """A capped service may spend at this multiple of the even pace of its remaining money."""
    cluster_pacing_burst: float = 1.0
    """The same for a cluster budget: 1 spreads what is left evenly over the time left."""
