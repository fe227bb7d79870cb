"""Certificates hold in a real handshake, and only between those that they were made for."""

from __future__ import annotations

import datetime
import pathlib
import socket
import ssl
import stat
import threading

import pytest
import yaml
from cryptography import x509
from cryptography.hazmat.primitives import serialization
from cryptography.x509.oid import NameOID

from farthing_local import certificates, kubeconfig

_NOW = datetime.datetime.now(datetime.UTC)


@pytest.fixture
def authority(tmp_path: pathlib.Path) -> certificates.Authority:
    return certificates.Authority(tmp_path / "pki", at=_NOW)


def _handshake(
    server: certificates.Pair, client: certificates.Pair, ca: pathlib.Path, host: str
) -> str:
    """The user that the server sees, or the client's complaint."""
    accepting = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH, cafile=str(ca))
    accepting.load_cert_chain(server.certificate, server.key)
    accepting.verify_mode = ssl.CERT_REQUIRED
    asking = ssl.create_default_context(cafile=str(ca))
    asking.verify_flags |= ssl.VERIFY_X509_STRICT
    asking.load_cert_chain(client.certificate, client.key)
    near, far = socket.socketpair()
    seen: list[object] = []

    def serve() -> None:
        try:
            with accepting.wrap_socket(far, server_side=True) as secured:
                seen.append(secured.getpeercert())
        except ssl.SSLError as error:
            seen.append(error)
        finally:
            far.close()

    thread = threading.Thread(target=serve)
    thread.start()
    try:
        with asking.wrap_socket(near, server_hostname=host):
            pass
    except ssl.SSLCertVerificationError as error:
        return error.verify_message
    finally:
        near.close()
        thread.join()
    assert isinstance(seen[0], dict)
    return str(dict(pair[0] for pair in seen[0]["subject"])["commonName"])


def test_server_and_client_accept_each_other(authority: certificates.Authority) -> None:
    server = authority.serving("server", addresses=["127.0.0.1"], names=["localhost"])
    client = authority.client("admin", user="admin", groups=["system:masters"])
    for host in ("127.0.0.1", "localhost"):
        assert _handshake(server, client, authority.certificate, host) == "admin"


def test_a_server_is_refused_under_an_address_it_was_not_made_for(
    authority: certificates.Authority,
) -> None:
    server = authority.serving("server", addresses=["127.0.0.1"])
    client = authority.client("admin", user="admin")
    said = _handshake(server, client, authority.certificate, "127.0.0.2")
    assert said == "IP address mismatch, certificate is not valid for '127.0.0.2'."


def test_a_server_of_another_cluster_is_refused(
    authority: certificates.Authority, tmp_path: pathlib.Path
) -> None:
    other = certificates.Authority(tmp_path / "other", at=_NOW)
    server = other.serving("server", addresses=["127.0.0.1"])
    client = authority.client("admin", user="admin")
    said = _handshake(server, client, authority.certificate, "127.0.0.1")
    assert "verify failed" in said or "unable to get" in said or "signature" in said


def test_a_client_carries_its_user_and_its_groups(authority: certificates.Authority) -> None:
    pair = authority.client("admin", user="admin", groups=["system:masters"])
    subject = x509.load_pem_x509_certificate(pair.certificate.read_bytes()).subject
    assert {one.oid: one.value for one in subject} == {
        NameOID.ORGANIZATION_NAME: "system:masters",
        NameOID.COMMON_NAME: "admin",
    }


def test_certificates_are_valid_from_a_little_before_now_for_a_year(
    authority: certificates.Authority,
) -> None:
    pair = authority.client("admin", user="admin")
    certificate = x509.load_pem_x509_certificate(pair.certificate.read_bytes())
    second = _NOW.replace(microsecond=0)
    valid = (certificate.not_valid_before_utc, certificate.not_valid_after_utc)
    assert valid == (
        second - datetime.timedelta(minutes=5),
        second + datetime.timedelta(days=365),
    )


def test_service_account_keys_belong_together(tmp_path: pathlib.Path) -> None:
    pair = certificates.service_account_keys(tmp_path)
    private = serialization.load_pem_private_key(pair.key.read_bytes(), password=None)
    public = serialization.load_pem_public_key(pair.certificate.read_bytes())
    assert private.public_key() == public


def test_every_file_is_for_its_owner_only(
    authority: certificates.Authority, tmp_path: pathlib.Path
) -> None:
    authority.serving("server", addresses=["127.0.0.1"])
    files = list((tmp_path / "pki").iterdir())
    assert sorted(path.name for path in files) == ["ca.crt", "server.crt", "server.key"]
    assert {stat.S_IMODE(path.stat().st_mode) for path in files} == {0o600}


def test_a_kubeconfig_carries_all_it_needs(
    authority: certificates.Authority, tmp_path: pathlib.Path
) -> None:
    pair = authority.client("admin", user="admin")
    path = tmp_path / "deep" / "kubeconfig"
    kubeconfig.write(path, server="https://127.0.0.1:1", ca=authority.certificate, pair=pair)
    document = yaml.safe_load(path.read_text())
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert document["current-context"] == "farthing-local"
    assert document["clusters"][0]["cluster"]["server"] == "https://127.0.0.1:1"
    assert sorted(document["users"][0]["user"]) == ["client-certificate-data", "client-key-data"]
    assert str(tmp_path) not in path.read_text()
