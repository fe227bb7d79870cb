"""A home that cannot work, or is somebody else's, is refused before anything happens in it."""

from __future__ import annotations

import errno
import pathlib
import re

import pytest

from farthing_local import cluster, disk, errors, home, locks, paths
from farthing_local.components import Layout


def test_a_folder_with_files_of_somebody_else_is_refused(tmp_path: pathlib.Path) -> None:
    (tmp_path / "thesis.tex").write_text("years of work")
    with pytest.raises(errors.HomeError) as refused:
        home.check(Layout(home=tmp_path))
    assert str(refused.value) == (
        f"{tmp_path} holds files that are not of a local cluster (thesis.tex)."
        " Set FARTHING_LOCAL_HOME to a folder of its own."
    )


def test_files_of_somebody_else_survive_down(tmp_path: pathlib.Path) -> None:
    (tmp_path / "thesis.tex").write_text("years of work")
    (tmp_path / "state.json").write_text("{}")
    (tmp_path / "audit-2026-11-25T12-00-00.000.log").write_text("")
    assert cluster.down(tmp_path) == []
    assert [path.name for path in tmp_path.iterdir()] == ["thesis.tex"]


def test_down_where_nothing_is_does_nothing(tmp_path: pathlib.Path) -> None:
    assert cluster.down(tmp_path / "missing") == []
    assert list(tmp_path.iterdir()) == []


def test_a_path_too_long_for_a_socket_is_refused_with_its_length() -> None:
    long = pathlib.Path("/") / ("x" * 90)
    assert home.check(Layout(home=long.with_name("x" * 89))) is None
    with pytest.raises(errors.HomeError, match="has 108 characters, at most 107 work"):
        home.check(Layout(home=long))


def test_a_file_in_place_of_the_home_is_refused(tmp_path: pathlib.Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(errors.HomeError, match="is not a folder"):
        home.check(Layout(home=tmp_path / "file"))


def test_a_machine_without_the_loopback_range_is_sent_to_kind(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("platform.system", lambda: "Darwin")
    with pytest.raises(errors.PlatformError) as refused:
        paths.require_loopback_range()
    assert str(refused.value) == (
        "The local cluster needs Linux: Darwin binds only 127.0.0.1 of 127.0.0.0/8, and every pod"
        " needs an address of its own. Use kind instead: CLUSTER=kind make demo."
    )


@pytest.mark.parametrize(
    ("environment", "cache", "state"),
    [
        ({"HOME": "/h"}, "/h/.cache/farthing", "/h/.cache/farthing/local"),
        ({"HOME": "/h", "XDG_CACHE_HOME": "/x"}, "/x/farthing", "/x/farthing/local"),
        ({"XDG_CACHE_HOME": "/x", "FARTHING_CACHE": "/c"}, "/c", "/c/local"),
        ({"FARTHING_CACHE": "/c", "FARTHING_LOCAL_HOME": "/l"}, "/c", "/l"),
    ],
)
def test_the_environment_says_where_things_are(
    monkeypatch: pytest.MonkeyPatch, environment: dict[str, str], cache: str, state: str
) -> None:
    for name in ("HOME", "XDG_CACHE_HOME", "FARTHING_CACHE", "FARTHING_LOCAL_HOME"):
        monkeypatch.delenv(name, raising=False)
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    found = (str(paths.cache_directory()), str(paths.home_directory()))
    assert found == (cache, state)


def test_whoever_waits_for_a_lock_whose_file_was_removed_gets_one_of_its_own(
    tmp_path: pathlib.Path,
) -> None:
    lock = tmp_path / "lock"
    with locks.locked(lock):
        lock.unlink()
        with locks.locked(lock):
            assert lock.exists()


@pytest.mark.cluster
def test_a_home_that_cannot_be_made_is_one_line(tmp_path: pathlib.Path) -> None:
    (tmp_path / "file").write_text("")
    where = tmp_path / "file" / "home"
    with pytest.raises(errors.HomeError) as refused:
        cluster.up(cluster.Wanted(home=where, agent=False))
    assert str(refused.value) == (
        f"The folder {where} cannot be written (Not a directory)."
        " Name a folder that can be written in FARTHING_LOCAL_HOME."
    )


def test_a_full_disk_under_the_home_is_one_line() -> None:
    full = "The disk of the folder /x is full. Name a folder that can be written in SOME_VARIABLE."
    with (
        pytest.raises(errors.HomeError, match=f"^{re.escape(full)}$"),
        disk.explained("folder", pathlib.Path("/x"), errors.HomeError, "SOME_VARIABLE"),
    ):
        raise OSError(errno.ENOSPC, "No space left on device")


@pytest.mark.parametrize(
    ("text", "cause"),
    [
        ("", "it said nothing"),
        ("first\nlast\n\n", "last"),
        (f"{'x' * 99} error err=y {'z' * 200}", f"{'x' * 73} error err=y {'z' * 134}"),
        ("starting\npanic: bad\n\tmain.go:58\n", "panic: bad"),
        ("an error\npanic: write x: no space left on device\nmain.go:1", "panic: write x: no space"
         " left on device"),
        ("error: listen tcp 127.0.0.1:1: bind: address already in use\nfatal", "error: listen tcp"
         " 127.0.0.1:1: bind: address already in use"),
    ],
)  # fmt: skip
def test_the_cause_is_picked_out_of_a_log(tmp_path: pathlib.Path, text: str, cause: str) -> None:
    (tmp_path / "log").write_text(text)
    assert home.cause(tmp_path / "log") == cause


def test_a_log_that_is_missing_says_nothing(tmp_path: pathlib.Path) -> None:
    assert home.cause(tmp_path / "log") == "it said nothing"
