"""Quantiles, and results as files."""

from __future__ import annotations

import json
import os
import pathlib
import platform
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime

RESULTS = pathlib.Path(__file__).with_name("results")


def quantile(values: Sequence[float], fraction: float) -> float:
    """The smallest value that at least this share does not exceed: of 50, the 99 % one is the largest."""
    ordered = sorted(values)
    position = max(0, -int(-fraction * len(ordered) // 1) - 1)
    return ordered[position]


def table(rows: Mapping[str, Sequence[float]]) -> str:
    """Median, 99 % quantile and the largest of each row, in seconds."""
    lines = [f"{'':28}{'p50':>8}{'p99':>8}{'max':>8}"]
    for name, values in rows.items():
        figures = (quantile(values, 0.5), quantile(values, 0.99), max(values))
        lines.append(f"{name:28}" + "".join(f"{one:8.3f}" for one in figures))
    return "\n".join(lines)


def summary(values: Sequence[float]) -> dict[str, float]:
    return {
        "count": len(values),
        "p50": round(quantile(values, 0.5), 4),
        "p99": round(quantile(values, 0.99), 4),
        "max": round(max(values), 4),
    }


def write(name: str, figures: Mapping[str, object]) -> pathlib.Path:
    """Results as JSON, with when and on what they were measured."""
    RESULTS.mkdir(exist_ok=True)
    path = RESULTS / f"{name}.json"
    about = {
        "measuredAt": datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
        "machine": {"cores": os.cpu_count(), "python": platform.python_version()},
    }
    path.write_text(json.dumps({**about, **figures}, indent=2) + "\n")
    return path
