"""What this machine must have, and what of its configuration a build needs but no image may hold."""

from __future__ import annotations

import configparser
import os
import pathlib
import re
import shutil
import subprocess
import urllib.parse
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from tests.images import commands
from tests.images.errors import ImageError

from farthing_local import progress

# Program, and the Debian package that brings it.
PROGRAMS = {
    "buildah": "buildah",
    "podman": "podman",
    "runc": "runc",
    "conmon": "conmon",
    "debootstrap": "debootstrap",
}
BUNDLE_IN_IMAGE = "/etc/ssl/certs/ca-certificates.crt"
PIP_IN_IMAGE = "/etc/pip.conf"
_BUNDLE_VARIABLES = ("PIP_CERT", "REQUESTS_CA_BUNDLE", "SSL_CERT_FILE", "CURL_CA_BUNDLE")
_PROXY_VARIABLES = ("HTTPS_PROXY", "https_proxy", "HTTP_PROXY", "http_proxy")
# Settings of pip that say where packages come from; paths such as find-links mean nothing elsewhere.
_PIP_KEYS = ("index-url", "extra-index-url", "trusted-host", "proxy", "timeout")
_ADDRESS_KEYS = ("index-url", "extra-index-url", "proxy")
_DEFAULT_INDEX = re.compile(r"\(default\s+(https?://[^)\s]+)\)")
_CERTIFICATE = re.compile(
    r"-----BEGIN CERTIFICATE-----\s(.+?)\s-----END CERTIFICATE-----", re.DOTALL
)


def public_index() -> str:
    """The host of pip's default index, from pip itself; empty where there is no pip.

    Most packages name it in their metadata, so finding it in a layer says nothing about this machine.
    """
    python = shutil.which("python3") or "python3"
    told = subprocess.run(
        [python, "-m", "pip", "install", "--help"], capture_output=True, text=True, check=False
    )
    found = _DEFAULT_INDEX.search(told.stdout)
    return (urllib.parse.urlsplit(found[1]).hostname or "") if found else ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Configuration:
    """How this machine reaches a package index; all of it empty where nothing special is set."""

    pip: Mapping[str, str]
    bundle: pathlib.Path | None
    proxies: tuple[str, ...]

    def hosts(self, public: str) -> set[str]:
        """Host names that only this machine's configuration has; `public` is the index that everybody has."""
        addresses = [self.pip[key] for key in _ADDRESS_KEYS if key in self.pip]
        words = " ".join([*addresses, *self.proxies]).split()
        found = {urllib.parse.urlsplit(word).hostname or "" for word in words}
        found |= set(self.pip.get("trusted-host", "").split())
        return found - {"", public}

    def certificates(self, public: Iterable[str]) -> list[str]:
        """Certificates that this machine trusts beyond those of the given public bundles."""
        if self.bundle is None:
            return []
        known = {one for text in public for one in certificates(text)}
        return [one for one in certificates(self.bundle.read_text()) if one not in known]

    def settings(self) -> str:
        """What pip reads during a build; empty where this machine sets nothing."""
        cert = {} if self.bundle is None else {"cert": BUNDLE_IN_IMAGE}
        lines = [f"{key} = {value}\n" for key, value in {**self.pip, **cert}.items()]
        return "".join(["[global]\n", *lines]) if lines else ""

    def mounts(self, folder: pathlib.Path) -> list[str]:
        """Flags that show it to a build and leave nothing behind; files for that go to `folder`."""
        flags = []
        if self.bundle is not None:
            flags += ["--volume", f"{self.bundle}:{BUNDLE_IN_IMAGE}:ro"]
        if text := self.settings():
            file = folder / "pip.conf"
            file.write_text(text)
            flags += ["--volume", f"{file}:{PIP_IN_IMAGE}:ro"]
        return flags


def certificates(bundle: str) -> list[str]:
    """The bodies of the certificates of a PEM bundle."""
    return ["\n".join(body.split()) for body in _CERTIFICATE.findall(bundle)]


def read_configuration(environment: Mapping[str, str]) -> Configuration:
    """pip's files in pip's order, then its variables; and the bundle that they name."""
    home = pathlib.Path(environment.get("HOME", "/root"))
    files = [pathlib.Path("/etc/pip.conf"), home / ".pip/pip.conf", home / ".config/pip/pip.conf"]
    if chosen := environment.get("PIP_CONFIG_FILE"):
        files.append(pathlib.Path(chosen))
    settings: dict[str, str] = {}
    for file in files:
        settings |= _read_file(file)
    for key in (*_PIP_KEYS, "cert"):
        if value := environment.get(f"PIP_{key.upper().replace('-', '_')}"):
            settings[key] = value
    named = [settings.get("cert", ""), *(environment.get(name, "") for name in _BUNDLE_VARIABLES)]
    bundles = [pathlib.Path(name) for name in named if name and pathlib.Path(name).is_file()]
    return Configuration(
        pip={key: " ".join(settings[key].split()) for key in _PIP_KEYS if key in settings},
        bundle=bundles[0] if bundles else None,
        proxies=tuple(environment[name] for name in _PROXY_VARIABLES if environment.get(name)),
    )


def _read_file(file: pathlib.Path) -> dict[str, str]:
    parser = configparser.RawConfigParser()
    try:
        parser.read(file, encoding="utf-8")
    except configparser.Error as error:
        raise ImageError(
            f"{file} is not a configuration of pip ({error.message.splitlines()[0]}).",
            next_step="Correct or remove it.",
        ) from error
    sections = [name for name in ("global", "install") if parser.has_section(name)]
    return {key: value for name in sections for key, value in parser.items(name)}


def prepare() -> None:
    """Refuse a machine that cannot run containers this way; install Debian packages where some are missing."""
    missing = sorted(
        {package for program, package in PROGRAMS.items() if not shutil.which(program)}
    )
    packages = " ".join(missing)
    if os.geteuid() != 0:
        install = f"apt-get install {packages} && " if missing else ""
        raise ImageError(
            "The images are built and run as root.",
            next_step=f"Run as root: {install}make test-images.",
        )
    if not missing:
        return
    if shutil.which("apt-get") is None:
        raise ImageError(
            f"{', '.join(missing)} missing, and this is no Debian.",
            next_step="Install them, or run this on Debian 12 or later.",
        )
    progress.say(f"Installing Debian packages: {packages}")
    _apt("update")
    _apt("install", "--yes", "--no-install-recommends", *missing)


def _apt(*arguments: str) -> None:
    result = subprocess.run(
        ["apt-get", "-q", *arguments],
        env={**os.environ, "DEBIAN_FRONTEND": "noninteractive"},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        check=False,
    )
    if result.returncode:
        cause = commands.last_line(result.stderr)
        raise ImageError(
            f"apt-get {arguments[0]} failed: {cause}.",
            next_step=f"Install {' '.join(PROGRAMS.values())}, then try again.",
        )
