"""What the scan of an image finds, and what it lets pass."""

from __future__ import annotations

import pathlib

import pytest
from tests.images import layers, machine
from tests.images.layers import Mark

CERTIFICATE = "MIIBfirst\nMIDDLEline\nlast=="
SETTINGS = "[global]\ntimeout = 60\n"
MARKS = layers.marks(["index.internal.test"], [CERTIFICATE], SETTINGS)
VARIABLES = {"PATH": "/usr/bin", "PYTHONPATH": "/app"}


def written(layer: pathlib.Path, name: str, content: str) -> pathlib.Path:
    file = layer / name
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(content)
    return layer


def described(**config: object) -> dict[str, object]:
    environment = [f"{key}={value}" for key, value in VARIABLES.items()]
    return {"Config": {"Env": environment, "User": "65532:65532", **config}, "History": []}


@pytest.mark.parametrize(
    ("name", "content", "problem"),
    [
        ("etc/pip.conf", "[global]\n", "is not empty"),
        ("root/.config/pip/pip.conf", "x", "is not empty"),
        ("etc/resolv.conf", "nameserver 192.0.2.1", "is not empty"),
        ("root/.cache/pip/a", "x", "was left behind by the build"),
        (
            "app/settings.py",
            "INDEX = 'https://index.internal.test/simple'",
            "holds the host name index.internal.test",
        ),
        ("app/a.ini", SETTINGS, "holds this machine's settings of pip"),
        (
            "usr/share/bundle.pem",
            CERTIFICATE,
            "holds a certificate that only this machine trusts",
        ),
    ],
)
def test_what_is_of_the_machine_is_found_and_named(
    tmp_path: pathlib.Path, name: str, content: str, problem: str
) -> None:
    assert layers.findings([written(tmp_path, name, content)], MARKS) == [f"/{name} {problem}"]


def test_empty_places_to_mount_over_and_the_image_s_own_files_pass(tmp_path: pathlib.Path) -> None:
    written(tmp_path, "etc/pip.conf", "")
    written(tmp_path, "etc/resolv.conf", "")
    written(tmp_path, "usr/local/lib/python3.11/site-packages/some/hosts", "of a package")
    written(tmp_path, "app/farthing/main.py", "print('hello')")
    (tmp_path / "etc/link").symlink_to("/nowhere")
    assert layers.findings([tmp_path], MARKS) == []


def test_a_mark_across_two_pieces_of_a_large_file_is_found(tmp_path: pathlib.Path) -> None:
    mark = Mark(name="a secret", content=b"SECRET")
    file = tmp_path / "large"
    file.write_bytes(b"." * ((1 << 22) - 3) + b"SECRET" + b"." * 10)
    assert layers.findings([tmp_path], [mark]) == ["/large holds a secret"]


def test_a_configuration_as_the_dockerfile_says_passes() -> None:
    assert layers.configuration_findings(described(), VARIABLES, MARKS) == []


def test_a_variable_a_user_and_a_mark_that_the_dockerfile_did_not_set_are_named() -> None:
    inspected = described(
        Env=["PATH=/usr/bin", "PYTHONPATH=/app", "PIP_INDEX_URL=https://index.internal.test"],
        User="root",
    )
    assert layers.configuration_findings(inspected, VARIABLES, MARKS) == [
        "the environment differs from the Dockerfile's:"
        " {'PIP_INDEX_URL': 'https://index.internal.test'}",
        "the user is 'root', not 65532:65532",
        "its configuration holds the host name index.internal.test",
    ]


def test_only_certificates_beyond_the_public_ones_are_of_the_machine(
    tmp_path: pathlib.Path,
) -> None:
    def pem(body: str) -> str:
        return f"-----BEGIN CERTIFICATE-----\n{body}\n-----END CERTIFICATE-----\n"

    bundle = tmp_path / "bundle.pem"
    bundle.write_text(pem("AAAA\nBBBB") + "# a comment\n" + pem("CCCC"))
    configuration = machine.Configuration(pip={}, bundle=bundle, proxies=())
    assert configuration.certificates([pem("AAAA\nBBBB")]) == ["CCCC"]


def test_hosts_come_from_indexes_and_proxies_but_not_the_public_index() -> None:
    configuration = machine.Configuration(
        pip={
            "index-url": "https://user:pass@index.internal.test/simple",
            "extra-index-url": "https://public.test/simple https://other.test",
            "trusted-host": "trusted.test",
            "timeout": "60",
        },
        bundle=None,
        proxies=("http://proxy.test:3128",),
    )
    assert configuration.hosts("public.test") == {
        "index.internal.test",
        "other.test",
        "trusted.test",
        "proxy.test",
    }


def test_variables_win_over_files_and_paths_of_this_machine_are_left_out(
    tmp_path: pathlib.Path,
) -> None:
    settings = tmp_path / ".config/pip"
    settings.mkdir(parents=True)
    (settings / "pip.conf").write_text(
        "[global]\nindex-url = https://file.test\ntimeout = 60\nfind-links = /opt/packages\n"
    )
    bundle = tmp_path / "bundle.pem"
    bundle.write_text("")
    read = machine.read_configuration(
        {
            "HOME": str(tmp_path),
            "PIP_INDEX_URL": "https://variable.test",
            "PIP_CERT": str(bundle),
            "HTTPS_PROXY": "http://proxy.test",
        }
    )
    assert read == machine.Configuration(
        pip={"index-url": "https://variable.test", "timeout": "60"},
        bundle=bundle,
        proxies=("http://proxy.test",),
    )


def test_a_build_sees_the_configuration_only_through_mounts(tmp_path: pathlib.Path) -> None:
    configuration = machine.Configuration(
        pip={"index-url": "https://index.test"}, bundle=pathlib.Path("/ca.pem"), proxies=()
    )
    assert configuration.mounts(tmp_path) == [
        *("--volume", "/ca.pem:/etc/ssl/certs/ca-certificates.crt:ro"),
        *("--volume", f"{tmp_path}/pip.conf:/etc/pip.conf:ro"),
    ]
    assert (tmp_path / "pip.conf").read_text() == (
        "[global]\nindex-url = https://index.test\ncert = /etc/ssl/certs/ca-certificates.crt\n"
    )
