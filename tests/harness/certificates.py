"""Authorities and the certificates that they sign, good ones and bad ones, as PEM.

Promise: every certificate has what its call says, and nothing that a client could stumble over besides.
"""

from __future__ import annotations

import ipaddress
from dataclasses import dataclass
from datetime import datetime, timedelta, timezone
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

Key = ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey | ed25519.Ed25519PrivateKey

#: What `new_key` makes.
KINDS = ("P-256", "P-384", "P-521", "RSA", "Ed25519")


def new_key(kind: str = "P-256") -> Key:
    if kind == "RSA":
        return rsa.generate_private_key(65537, 2048)
    if kind == "Ed25519":
        return ed25519.Ed25519PrivateKey.generate()
    curves = {"P-256": ec.SECP256R1(), "P-384": ec.SECP384R1(), "P-521": ec.SECP521R1()}
    return ec.generate_private_key(curves[kind])


def key_pem(key: Key, *, form: str = "PKCS8", passphrase: bytes | None = None) -> str:
    """A key in PEM: `PKCS8`, or `Traditional` (PKCS1, SEC1)."""
    encryption = serialization.BestAvailableEncryption(passphrase) if passphrase else serialization.NoEncryption()
    forms = {
        "PKCS8": serialization.PrivateFormat.PKCS8,
        "Traditional": serialization.PrivateFormat.TraditionalOpenSSL,
    }
    return key.private_bytes(serialization.Encoding.PEM, forms[form], encryption).decode()


@dataclass(frozen=True)
class Pair:
    """A certificate with its key."""

    certificate: x509.Certificate
    key: Key

    @property
    def pem(self) -> str:
        return self.certificate.public_bytes(serialization.Encoding.PEM).decode()

    def write(self, file: Path, *chain: Pair) -> Path:
        """Certificate, chain and key in one file, as a server takes them."""
        file.write_text(self.pem + "".join(one.pem for one in chain) + key_pem(self.key))
        return file


@dataclass(frozen=True)
class Authority(Pair):
    """A pair that signs others."""

    @classmethod
    def new(cls, name: str, *, days: tuple[float, float] = (-1, 100)) -> Authority:
        key = new_key()
        return cls(_signed(name, key, None, days, authority=True), key)

    @classmethod
    def read(cls, certificate: Path, key: Path) -> Authority:
        """One that is in files."""
        read = serialization.load_pem_private_key(key.read_bytes(), None)
        assert isinstance(read, ec.EllipticCurvePrivateKey)
        return cls(x509.load_pem_x509_certificate(certificate.read_bytes()), read)

    def authority(self, name: str) -> Authority:
        """One below this."""
        key = new_key()
        return Authority(_signed(name, key, self, (-1, 100), authority=True), key)

    def server(
        self,
        *names: str,
        common_name: str = "server",
        days: tuple[float, float] = (-1, 100),
        kind: str = "P-256",
        authority: bool = False,
        purpose: x509.ObjectIdentifier = ExtendedKeyUsageOID.SERVER_AUTH,
    ) -> Pair:
        """For these DNS names and addresses, valid from and to so many days from now."""
        key = new_key(kind)
        return Pair(_signed(common_name, key, self, days, names=names, purpose=purpose, authority=authority), key)

    def client(self, user: str, *groups: str, kind: str = "P-256", days: tuple[float, float] = (-1, 100)) -> Pair:
        key = new_key(kind)
        return Pair(_signed(user, key, self, days, groups=groups, purpose=ExtendedKeyUsageOID.CLIENT_AUTH), key)


def self_signed(
    *names: str, common_name: str = "server", authority: bool = False, days: tuple[float, float] = (-1, 100)
) -> Pair:
    """A server that nobody but itself proves."""
    key = new_key()
    purpose = ExtendedKeyUsageOID.SERVER_AUTH
    return Pair(_signed(common_name, key, None, days, names=names, purpose=purpose, authority=authority), key)


def _signed(
    name: str,
    key: Key,
    by: Authority | None,
    days: tuple[float, float],
    *,
    names: tuple[str, ...] = (),
    groups: tuple[str, ...] = (),
    authority: bool = False,
    purpose: x509.ObjectIdentifier | None = None,
) -> x509.Certificate:
    attributes = [x509.NameAttribute(NameOID.ORGANIZATION_NAME, group) for group in groups]
    subject = x509.Name([*attributes, x509.NameAttribute(NameOID.COMMON_NAME, name)])
    now = datetime.now(timezone.utc)
    built = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(by.certificate.subject if by else subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now + timedelta(days=days[0]))
        .not_valid_after(now + timedelta(days=days[1]))
        .add_extension(x509.BasicConstraints(ca=authority, path_length=None), critical=True)
    )
    if names:
        built = built.add_extension(x509.SubjectAlternativeName([_general(one) for one in names]), critical=False)
    if purpose:
        built = built.add_extension(x509.ExtendedKeyUsage([purpose]), critical=False)
    signer = by.key if by else key
    return built.sign(signer, None if isinstance(signer, ed25519.Ed25519PrivateKey) else hashes.SHA256())


def _general(name: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(name))
    except ValueError:
        return x509.DNSName(name)
