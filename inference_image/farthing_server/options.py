"""The command line and its environment variables, checked before anything is loaded.

Every option that the operator sets has a FARTHING_ variable; the command line wins. An empty
variable counts as not set, so that a manifest may always pass all of them.
"""

from __future__ import annotations

import argparse
import dataclasses
import math
import os
import pathlib
import re
from collections.abc import Mapping, Sequence

from farthing_server import VERSION, profile
from farthing_server.errors import OptionError

PRECISIONS = ("Float32", "BFloat16")
METRICS_STYLES = ("farthing", "vllm")
NAME = re.compile(r"[A-Za-z0-9]([A-Za-z0-9._-]{0,61}[A-Za-z0-9])?")

EXAMPLES = """\
examples:
  # A text-embedding model from a folder, on this machine:
  python -m farthing_server --name minilm --model ./all-minilm-l6-v2 --port 8080

  # The same in half the memory, answers within 150 ms or a refusal:
  python -m farthing_server --name minilm --model image:///models/all-minilm-l6-v2 \\
      --precision BFloat16 --slo-milliseconds 150

  # No model: wait as long as a profile says (batches of 1 take 12.5 ms, of 16 take 80 ms):
  python -m farthing_server --emulate --profile \\
      '{"maximumBatchSize": 16, "batches": [{"size": 1, "milliseconds": "12.5"},
        {"size": 16, "milliseconds": "80"}], "startupSeconds": 2}'

environment, used where the option is absent:
  FARTHING_MODEL_NAME, FARTHING_MODEL_URI, FARTHING_PRECISION, FARTHING_SLO_MILLISECONDS,
  FARTHING_VARIANT, FARTHING_PROFILE (with --emulate); FARTHING_IMAGE_ROOT goes before the path of image://
"""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    name: str
    variant: str
    precision: str
    model: pathlib.Path | None  # None: emulated
    profile: profile.Profile
    host: str
    port: int
    maximum_batch_size: int
    maximum_queued_items: int
    slo_s: float
    threads: int
    connection_age_s: float
    drain_delay_s: float
    drain_s: float
    access_log: bool
    vllm_names: bool


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> None:  # type: ignore[override]
        raise OptionError(f"{message}; --help shows every option")


def _parser() -> argparse.ArgumentParser:
    parser = _Parser(
        prog="farthing_server",
        description="Serve one model over the Open Inference Protocol within a latency objective.",
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    add = parser.add_argument
    add("--version", action="version", version=f"farthing_server {VERSION}")
    add("--name", help="the model's name in the protocol")
    add("--variant", help='the variant\'s name in the metrics (default "default")')
    add(
        "--model", help="a folder with config.json and *.safetensors, or image:///path in the image"
    )
    add("--precision", help=f"{' or '.join(PRECISIONS)} (default Float32)")
    add("--host", help="address to listen on (default 127.0.0.1; in a pod: $(POD_IP))")
    add("--port", help="port to listen on (default 8080; 0 takes a free one and logs it)")
    add("--max-batch-size", help="items per batch at most (default 32, or the profile's)")
    add("--max-queued-items", help="items that may wait at most (default 1024)")
    add(
        "--slo-milliseconds", help="a request is answered within this time or refused (default 300)"
    )
    add("--threads", help="threads of the model (default: the CPU limit of the container, else 1)")
    add(
        "--maximum-connection-age-seconds",
        help="close a client's connection after about this long, so that new replicas get "
        "their share (default 20; 0: never)",
    )
    add("--drain-delay-seconds", help="after SIGTERM, go on accepting this long (default 1)")
    add("--drain-seconds", help="after SIGTERM, end within this time (default 20)")
    add(
        "--access-log",
        action="store_true",
        help="one JSON line per inference on stdout, no payloads",
    )
    add("--emulate", action="store_true", help="wait as a profile says instead of computing")
    add("--profile", help="with --emulate: the profile as JSON (default: a small encoder)")
    add("--metrics-style", help="with --emulate: farthing, or vllm to add names as vLLM has them")
    return parser


class _Reader:
    """Takes each option from the command line, else the environment, else the default."""

    def __init__(self, given: Mapping[str, str | None], environment: Mapping[str, str]) -> None:
        self._given = given
        self._environment = environment

    def text(self, option: str, variable: str | None = None) -> tuple[str, str] | None:
        """The raw value and how to name where it came from."""
        value = self._given[option.removeprefix("--").replace("-", "_")]
        if value is not None:
            return value, option
        if variable is not None and (value := self._environment.get(variable, "")):
            return value, f"{option} (from {variable})"
        return None

    def number(
        self, option: str, default: float, least: float, most: float, variable: str | None = None
    ) -> float:
        found = self.text(option, variable)
        if found is None:
            return default
        try:
            value = float(found[0])
        except ValueError:
            value = math.nan
        if not least <= value <= most:
            raise refused(found, f"a number from {least:g} to {most:g}")
        return value

    def whole(self, option: str, default: int, least: int, most: int) -> int:
        found = self.text(option)
        if found is None:
            return default
        if not re.fullmatch(r"[0-9]{1,9}", found[0]) or not least <= int(found[0]) <= most:
            raise refused(found, f"a whole number from {least} to {most}")
        return int(found[0])

    def name(self, option: str, variable: str, default: str | None) -> str:
        found = self.text(option, variable)
        if found is None:
            if default is None:
                raise OptionError(f"{option} is missing; give it or set {variable}")
            return default
        if not NAME.fullmatch(found[0]):
            raise refused(
                found, "1 to 63 letters, digits, '.', '_' and '-', ends are letters or digits"
            )
        return found[0]

    def choice(self, option: str, choices: Sequence[str], variable: str | None = None) -> str:
        found = self.text(option, variable)
        if found is None:
            return choices[0]
        if found[0] not in choices:
            raise refused(found, " or ".join(choices))
        return found[0]


def refused(found: tuple[str, str], allowed: str) -> OptionError:
    value = found[0] if len(found[0]) <= 80 else found[0][:77] + "..."
    return OptionError(f'{found[1]}: "{value}" is not allowed; {allowed}')


def parse(arguments: Sequence[str], environment: Mapping[str, str]) -> Options:
    """Check everything that can be checked without the model. Raises OptionError."""
    given = vars(_parser().parse_args(arguments))
    reader = _Reader(given, environment)
    emulate = bool(given["emulate"])
    _check_combinations(given, emulate)
    known = _profile(reader) if emulate else profile.DEFAULT
    drain_s = reader.number("--drain-seconds", 20.0, 1.0, 3600.0)
    delay_s = reader.number("--drain-delay-seconds", min(1.0, drain_s / 2), 0.0, 600.0)
    if delay_s >= drain_s:
        raise OptionError(
            f"--drain-delay-seconds: {delay_s:g} is not allowed; "
            f"less than --drain-seconds, {drain_s:g}"
        )
    most = known.maximum_batch_size if emulate else 1024
    return Options(
        name=reader.name("--name", "FARTHING_MODEL_NAME", "emulated" if emulate else None),
        variant=reader.name("--variant", "FARTHING_VARIANT", "default"),
        precision=_precision(reader, emulate),
        model=None if emulate else _folder(reader, environment),
        profile=known,
        host=given["host"] or "127.0.0.1",
        port=reader.whole("--port", 8080, 0, 65535),
        maximum_batch_size=reader.whole("--max-batch-size", most if emulate else 32, 1, most),
        maximum_queued_items=reader.whole("--max-queued-items", 1024, 1, 1_000_000),
        slo_s=reader.number(
            "--slo-milliseconds", 300.0, 1.0, 600_000.0, "FARTHING_SLO_MILLISECONDS"
        )
        / 1e3,
        threads=reader.whole("--threads", default_threads(), 1, 1024),
        connection_age_s=reader.number("--maximum-connection-age-seconds", 20.0, 0.0, 86_400.0),
        drain_delay_s=delay_s,
        drain_s=drain_s,
        access_log=bool(given["access_log"]),
        vllm_names=reader.choice("--metrics-style", METRICS_STYLES) == "vllm",
    )


def _check_combinations(given: Mapping[str, object], emulate: bool) -> None:
    """An option that would do nothing is an error, not a surprise."""
    for option in ("profile", "metrics_style"):
        if not emulate and given[option] is not None:
            raise OptionError(f"--{option.replace('_', '-')} is only allowed with --emulate")
    for option in ("model", "threads"):
        if emulate and given[option] is not None:
            raise OptionError(f"--{option} is not allowed with --emulate: nothing is computed")


def _profile(reader: _Reader) -> profile.Profile:
    found = reader.text("--profile", "FARTHING_PROFILE")
    try:
        return profile.parse("" if found is None else found[0])
    except profile.ProfileError as error:
        raise OptionError(f"{'--profile' if found is None else found[1]}: {error}") from None


def _precision(reader: _Reader, emulate: bool) -> str:
    """An emulated precision is a label; a real one has to be computed in."""
    if emulate:
        return reader.name("--precision", "FARTHING_PRECISION", PRECISIONS[0])
    return reader.choice("--precision", PRECISIONS, "FARTHING_PRECISION")


def _folder(reader: _Reader, environment: Mapping[str, str]) -> pathlib.Path:
    found = reader.text("--model", "FARTHING_MODEL_URI")
    if found is None:
        raise OptionError("--model is missing; give a folder or set FARTHING_MODEL_URI")
    allowed = "a folder with config.json and *.safetensors, or image:///path in the image"
    scheme, separator, rest = found[0].partition("://")
    if not separator:
        folder = pathlib.Path(found[0])
    elif scheme == "image" and rest.startswith("/") and ".." not in rest.split("/"):
        folder = pathlib.Path(environment.get("FARTHING_IMAGE_ROOT", "") or "/") / rest.lstrip("/")
    else:
        raise refused(found, allowed)
    if not folder.is_dir():
        raise refused(found, f"{allowed} ({folder} is not a folder)")
    return folder


def default_threads() -> int:
    """The CPU limit of the container; 1 without a limit, since the CPUs are then shared.

    Threads of one model wait for each other at every layer, so a neighbour that takes one CPU stops
    all. Measured on two busy cores: one thread 12 ms at the median and 22 at p99, two 10 and 213.
    """
    available = getattr(os, "sched_getaffinity", None)
    cpus = len(available(0)) if available is not None else os.cpu_count() or 1
    try:
        quota, period = pathlib.Path("/sys/fs/cgroup/cpu.max").read_text().split()
    except (OSError, ValueError):
        return 1
    if quota == "max":
        return 1
    return max(1, min(cpus, int(quota) // int(period)))
