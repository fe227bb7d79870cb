"""Only the very processes that were started are ever signaled, and they end for certain."""

from __future__ import annotations

import dataclasses
import os
import pathlib
import sys
from collections.abc import Callable, Iterator

import pytest
from tests.cluster_fixture import eventually

from farthing_local import processes

_OBEDIENT = "import time; print('here', flush=True); time.sleep(60)"
_STUBBORN = (
    "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN);"
    "print('here', flush=True); time.sleep(60)"
)
Start = Callable[[str], processes.Identity]


@pytest.fixture
def start(tmp_path: pathlib.Path) -> Iterator[Start]:
    """Starts a Python program and waits until it has said that it is here."""
    started = []

    def now(program: str) -> processes.Identity:
        log = tmp_path / f"{len(started)}.log"
        command = [sys.executable, "-c", program, f"{tmp_path}/marker"]
        started.append(processes.start(command, env={"PATH": os.defpath}, log=log))
        assert eventually(log.read_text, lambda text: "here" in text) == "here\n"
        return started[-1]

    yield now
    processes.stop(started, patience_s=0.1)


def test_a_process_leads_a_session_of_its_own(start: Start) -> None:
    process = start(_OBEDIENT)
    assert os.getsid(process.pid) == process.pid != os.getsid(0)


def test_an_obedient_process_ends_by_itself(start: Start) -> None:
    process = start(_OBEDIENT)
    assert processes.is_alive(process)
    assert processes.stop([process], patience_s=10) == []
    assert not processes.is_alive(process)


def test_a_stubborn_process_is_killed_after_the_time_it_was_given(start: Start) -> None:
    obedient, stubborn = start(_OBEDIENT), start(_STUBBORN)
    assert processes.stop([obedient, stubborn], patience_s=0.5) == [stubborn]
    assert [processes.is_alive(one) for one in (obedient, stubborn)] == [False, False]


@pytest.mark.parametrize("difference", [{"start_ticks": 1}, {"boot_id": "the-boot-before"}])
def test_a_process_that_took_over_a_pid_is_left_alone(
    start: Start, difference: dict[str, object]
) -> None:
    process = start(_OBEDIENT)
    recorded = dataclasses.replace(process, **difference)
    assert not processes.is_alive(recorded)
    assert processes.stop([recorded], patience_s=0.1) == []
    assert processes.is_alive(process)


def test_a_process_that_has_ended_uses_no_memory(start: Start) -> None:
    process = start(_OBEDIENT)
    assert processes.rss_mib(process) > 1
    processes.stop([process], patience_s=10)
    assert processes.rss_mib(process) == 0


def test_strays_are_found_by_their_program_and_their_home(
    start: Start, tmp_path: pathlib.Path
) -> None:
    process = start(_OBEDIENT)
    program = {pathlib.Path(sys.executable).name: "python"}
    assert ("python", process) in processes.strays(program, tmp_path)
    assert processes.strays(program, tmp_path / "other") == []
    assert processes.strays({"etcd": "etcd"}, tmp_path) == []
