"""Certificate authorities of the tests' own, as files that docker's clients and registries read."""

from __future__ import annotations

import datetime
import ipaddress
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

DAY = datetime.timedelta(days=1)
Pair = tuple[ec.EllipticCurvePrivateKey, x509.Certificate]
SERVER, CLIENT = ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.CLIENT_AUTH


def make(folder: Path) -> None:
    """Write ca.pem, server-cert.pem, server-key.pem, and cert.pem and key.pem of a client."""
    authority = make_authority()
    write_certificate(folder / "ca.pem", authority)
    for prefix, usage in (("server-", SERVER), ("", CLIENT)):
        made = issued(authority, usage)
        write_certificate(folder / f"{prefix}cert.pem", made)
        write_key(folder / f"{prefix}key.pem", made)


def make_for_registry(folder: Path, *, client: bool = False) -> Path:
    """Write ca.crt, server.crt, server.key and, if asked for, client.cert and client.key."""
    folder.mkdir(parents=True, exist_ok=True)
    authority = make_authority()
    write_certificate(folder / "ca.crt", authority)
    server = issued(authority, SERVER)
    write_certificate(folder / "server.crt", server)
    write_key(folder / "server.key", server)
    if client:
        known = issued(authority, CLIENT)
        write_certificate(folder / "client.cert", known)
        write_key(folder / "client.key", known)
    return folder


def make_authority() -> Pair:
    """Make the key and the certificate by which others are signed."""
    key, name = ec.generate_private_key(ec.SECP256R1()), _named("tests")
    basic = x509.BasicConstraints(ca=True, path_length=0)
    builder = _builder(name, name, key).add_extension(basic, critical=True)
    return key, builder.sign(key, hashes.SHA256())


def issued(authority: Pair, usage: x509.ObjectIdentifier) -> Pair:
    """Make a key and a certificate for it, of this host."""
    key = ec.generate_private_key(ec.SECP256R1())
    here = [x509.DNSName("localhost"), x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]
    builder = (
        _builder(_named("one"), authority[1].subject, key)
        .add_extension(x509.SubjectAlternativeName(here), critical=False)
        .add_extension(x509.ExtendedKeyUsage([usage]), critical=False)
    )
    return key, builder.sign(authority[0], hashes.SHA256())


def write_certificate(path: Path, pair: Pair) -> None:
    path.write_bytes(pair[1].public_bytes(serialization.Encoding.PEM))


def write_key(path: Path, pair: Pair) -> None:
    plain = serialization.NoEncryption()
    pem, pkcs8 = serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8
    path.write_bytes(pair[0].private_bytes(pem, pkcs8, plain))


def _named(name: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])


def _builder(
    subject: x509.Name, issuer: x509.Name, key: ec.EllipticCurvePrivateKey
) -> x509.CertificateBuilder:
    now = datetime.datetime.now(datetime.UTC)
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - DAY)
        .not_valid_after(now + DAY)
    )
