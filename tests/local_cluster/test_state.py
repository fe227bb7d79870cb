"""The record of a cluster survives being written, and is never believed when it is broken."""

from __future__ import annotations

import pathlib
import stat

import pytest

from farthing_local import processes, state

_COMPONENT = state.Component(
    name="etcd",
    process=processes.Identity(pid=4711, start_ticks=99, boot_id="this-boot"),
    port=2379,
)
_STATE = state.State(
    server="https://127.0.0.1:6443", binaries="/cache/bin/x", audit=True
).with_component(_COMPONENT)


def test_what_is_written_is_read_back_whole(tmp_path: pathlib.Path) -> None:
    state.write(tmp_path, _STATE.as_ready())
    assert state.read(tmp_path) == _STATE.as_ready()


def test_the_record_is_for_its_owner_only_and_leaves_no_second_file(tmp_path: pathlib.Path) -> None:
    state.write(tmp_path, _STATE)
    assert [path.name for path in tmp_path.iterdir()] == ["state.json"]
    assert stat.S_IMODE((tmp_path / "state.json").stat().st_mode) == 0o600


@pytest.mark.parametrize(
    "text",
    [
        "",
        "{",
        "[]",
        "null",
        '{"version": 2}',
        '{"version": 1}',
        '{"version": 1, "components": [{"name": "etcd"}]}',
        '{"version": 1, "components": [{"name": "etcd", "port": 1, "process": {"pid": 1}}]}',
    ],
)
def test_a_broken_record_counts_as_none(tmp_path: pathlib.Path, text: str) -> None:
    (tmp_path / "state.json").write_text(text)
    assert state.read(tmp_path) is None


def test_a_home_without_a_record_has_none(tmp_path: pathlib.Path) -> None:
    assert state.read(tmp_path / "missing") is None
