"""The cluster's own certificate authority, and what it signs."""

from __future__ import annotations

import datetime
import ipaddress
import os
import pathlib
from collections.abc import Sequence
from dataclasses import dataclass

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

_VALID_FOR = datetime.timedelta(days=365)
# Clocks of a virtual machine and its host may differ a little.
_VALID_BEFORE = datetime.timedelta(minutes=5)
_OWNER_ONLY = 0o600


@dataclass(frozen=True, slots=True, kw_only=True)
class Pair:
    """A certificate and its key, as files."""

    certificate: pathlib.Path
    key: pathlib.Path


class Authority:
    """A certificate authority that exists for one cluster; its own key is never written."""

    def __init__(self, folder: pathlib.Path, *, at: datetime.datetime) -> None:
        self._folder, self._at = folder, at
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        self._key = ec.generate_private_key(ec.SECP256R1())
        self._name = _name("farthing-local-ca", ())
        self._certificate = self._signed_by_itself()
        self.certificate = folder / "ca.crt"
        write_private(self.certificate, _pem(self._certificate))

    def serving(self, name: str, *, addresses: Sequence[str], names: Sequence[str] = ()) -> Pair:
        """A pair for a server that is reached under these addresses and names."""
        alternatives = x509.SubjectAlternativeName(
            [
                *(x509.IPAddress(ipaddress.ip_address(address)) for address in addresses),
                *(x509.DNSName(dns) for dns in names),
            ]
        )
        # etcd's server also dials itself, with the same pair.
        usages = [ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.CLIENT_AUTH]
        return self._issue(name, _name(name, ()), usages, alternatives)

    def client(self, name: str, *, user: str, groups: Sequence[str] = ()) -> Pair:
        """A pair that the API server takes for this user in these groups."""
        return self._issue(name, _name(user, groups), [ExtendedKeyUsageOID.CLIENT_AUTH], None)

    def _issue(
        self,
        file_name: str,
        subject: x509.Name,
        usages: list[x509.ObjectIdentifier],
        alternatives: x509.SubjectAlternativeName | None,
    ) -> Pair:
        key = ec.generate_private_key(ec.SECP256R1())
        builder = (
            self._builder(subject, key.public_key())
            .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
            .add_extension(_key_usage(digital_signature=True), critical=True)
            .add_extension(x509.ExtendedKeyUsage(usages), critical=False)
            .add_extension(
                x509.AuthorityKeyIdentifier.from_issuer_public_key(self._key.public_key()),
                critical=False,
            )
        )
        if alternatives is not None:
            builder = builder.add_extension(alternatives, critical=False)
        pair = Pair(
            certificate=self._folder / f"{file_name}.crt", key=self._folder / f"{file_name}.key"
        )
        write_private(pair.certificate, _pem(builder.sign(self._key, hashes.SHA256())))
        write_private(pair.key, _private_pem(key))
        return pair

    def _signed_by_itself(self) -> x509.Certificate:
        return (
            self._builder(self._name, self._key.public_key())
            .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
            .add_extension(_key_usage(digital_signature=True, signs=True), critical=True)
            .add_extension(
                x509.SubjectKeyIdentifier.from_public_key(self._key.public_key()), critical=False
            )
            .sign(self._key, hashes.SHA256())
        )

    def _builder(
        self, subject: x509.Name, public: ec.EllipticCurvePublicKey
    ) -> x509.CertificateBuilder:
        return (
            x509.CertificateBuilder()
            .subject_name(subject)
            .issuer_name(self._name)
            .public_key(public)
            .serial_number(x509.random_serial_number())
            .not_valid_before(self._at - _VALID_BEFORE)
            .not_valid_after(self._at + _VALID_FOR)
        )


def service_account_keys(folder: pathlib.Path) -> Pair:
    """The keys with which ServiceAccount tokens are checked and signed."""
    key = ec.generate_private_key(ec.SECP256R1())
    public = key.public_key().public_bytes(
        serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
    )
    pair = Pair(certificate=folder / "service-account.pub", key=folder / "service-account.key")
    write_private(pair.certificate, public)
    write_private(pair.key, _private_pem(key))
    return pair


def write_private(path: pathlib.Path, content: bytes) -> None:
    """Write a file that nobody else can read, not even for a moment."""
    path.unlink(missing_ok=True)
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, _OWNER_ONLY)
    with os.fdopen(descriptor, "wb") as file:
        file.write(content)


def _name(common: str, organizations: Sequence[str]) -> x509.Name:
    return x509.Name(
        [
            *(x509.NameAttribute(NameOID.ORGANIZATION_NAME, one) for one in organizations),
            x509.NameAttribute(NameOID.COMMON_NAME, common),
        ]
    )


def _key_usage(*, digital_signature: bool, signs: bool = False) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=digital_signature,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=signs,
        crl_sign=signs,
        encipher_only=False,
        decipher_only=False,
    )


def _pem(certificate: x509.Certificate) -> bytes:
    return certificate.public_bytes(serialization.Encoding.PEM)


def _private_pem(key: ec.EllipticCurvePrivateKey) -> bytes:
    return key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )
