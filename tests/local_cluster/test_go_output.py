"""What `go` says when it fails becomes one line with the next step."""

from __future__ import annotations

import pytest

from farthing_local import errors, go_output

_REFUSED = "dial tcp 127.0.0.1:9: connect: connection refused"
_CASES = [
    (
        [f'go: k8s.io/api@v0.37.2: Get "http://x": {_REFUSED}'],
        f"X could not be built: its Go modules could not be downloaded (go: k8s.io/api@v0.37.2:"
        f' Get "http://x": {_REFUSED}). Check the network or GOPROXY, then run this again: what'
        " is here already is kept.",
    ),
    (
        ["k8s.io/api/core/v1", "write /c/b123: no space left on device", "exit 2"],
        "X could not be built: the disk of /c is full (write /c/b123: no space left on device)."
        " Free some room, or name a folder on another disk in FARTHING_CACHE; then run this again.",
    ),
    (
        ["verifying k8s.io/api@v0.37.2: checksum mismatch", "SECURITY ERROR"],
        "X could not be built: a downloaded module is not the one that go.sum names"
        " (SECURITY ERROR). Do not go on with what a proxy has changed; check GOPROXY and GOFLAGS.",
    ),
    (
        ["/go/pkg/tool/link: signal: killed"],
        "X could not be built: the compiler was killed, probably for want of memory"
        " (/go/pkg/tool/link: signal: killed)."
        " Free some memory (about 3 GiB are needed), then run this again.",
    ),
    (
        ["# farthing.dev/x", "main.go:3:1: syntax error", ""],
        "X could not be built: go ended with 1 (main.go:3:1: syntax error)."
        " All of its output is in /c/log.",
    ),
    (
        [],
        "X could not be built: go ended with 1 (no output). All of its output is in /c/log.",
    ),
]


@pytest.mark.parametrize(("lines", "message"), _CASES)
def test_each_cause_has_its_line(lines: list[str], message: str) -> None:
    failed = go_output.failure("X", lines, code=1, log="/c/log", cache="/c")
    assert str(failed) == message
    assert "\n" not in message


def test_of_a_long_line_the_end_is_shown_where_the_cause_stands() -> None:
    assert errors.shortened(f"{'x' * 900} the cause") == f"…{'x' * 210} the cause"


@pytest.mark.parametrize(
    ("line", "is_package"),
    [
        ("k8s.io/api/core/v1", True),
        ("fmt", True),
        ("go: downloading k8s.io/api v0.37.2", False),
        ("# k8s.io/api/core/v1", False),
        ("\tmain.go:3: bad", False),
        ("", False),
    ],
)
def test_packages_are_told_from_other_lines(line: str, is_package: bool) -> None:
    assert go_output.is_package(line) == is_package
