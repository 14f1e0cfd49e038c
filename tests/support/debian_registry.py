"""Debian's docker-registry as a program of the test's own, with a password and TLS if asked for."""

from __future__ import annotations

import contextlib
import datetime
import ipaddress
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.support.engine import CLIENTS
from tests.support.remote import free_port


@contextlib.contextmanager
def debian_registry(
    folder: Path, *, user: str = "", password: str = "", tls: Path | None = None
) -> Iterator[str]:
    """Yield the host and port of a registry; `tls` is a folder made by `certificates`."""
    program = shutil.which("docker-registry") or shutil.which("docker-registry", path=str(CLIENTS))
    if program is None:
        pytest.skip("docker-registry is not installed")
    folder.mkdir(parents=True, exist_ok=True)
    port = free_port()
    config: dict[str, Any] = {
        "version": 0.1,
        "log": {"level": "error", "accesslog": {"disabled": True}},
        "storage": {
            "filesystem": {"rootdirectory": str(folder / "data")},
            "delete": {"enabled": True},
        },
        "http": {"addr": f"127.0.0.1:{port}"},
    }
    if user:
        import bcrypt

        hashed = bcrypt.hashpw(password.encode(), bcrypt.gensalt(4)).decode()
        (folder / "htpasswd").write_text(f"{user}:{hashed}\n")
        config["auth"] = {"htpasswd": {"realm": "test", "path": str(folder / "htpasswd")}}
    if tls is not None:
        config["http"]["tls"] = {"certificate": f"{tls}/server.crt", "key": f"{tls}/server.key"}
        if (tls / "client.cert").exists():
            config["http"]["tls"]["clientcas"] = [f"{tls}/ca.crt"]
    (folder / "config.yml").write_text(yaml.safe_dump(config))
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen(
            [program, "serve", str(folder / "config.yml")],
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
        )
    try:
        _wait(port, process, folder / "log")
        yield f"127.0.0.1:{port}"
    finally:
        process.terminate()
        process.wait(10)


def _wait(port: int, process: subprocess.Popen[bytes], log: Path) -> None:
    deadline = time.monotonic() + 20
    while time.monotonic() < deadline:
        assert process.poll() is None, log.read_text()
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
            return
        time.sleep(0.02)
    raise AssertionError(f"docker-registry does not listen: {log.read_text()}")


def certificates(folder: Path, *, client: bool = False) -> Path:
    """Make an authority, a certificate for 127.0.0.1 and, if asked for, one for clients."""
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec

    folder.mkdir(parents=True, exist_ok=True)
    now = datetime.datetime.now(datetime.UTC)

    def make(name: str, issuer: tuple[Any, Any] | None) -> tuple[Any, Any]:
        key = ec.generate_private_key(ec.SECP256R1())
        subject = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, name)])
        builder = (
            x509.CertificateBuilder()
            .subject_name(subject)
            .issuer_name(issuer[1].subject if issuer else subject)
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - datetime.timedelta(days=1))
            .not_valid_after(now + datetime.timedelta(days=1))
            .add_extension(x509.BasicConstraints(issuer is None, None), True)
        )
        if issuer is not None:
            names = [x509.IPAddress(ipaddress.ip_address("127.0.0.1")), x509.DNSName("localhost")]
            builder = builder.add_extension(x509.SubjectAlternativeName(names), False)
        return key, builder.sign(issuer[0] if issuer else key, hashes.SHA256())

    def write(stem: str, suffix: str, pair: tuple[Any, Any]) -> None:
        pem = serialization.Encoding.PEM
        (folder / f"{stem}{suffix}").write_bytes(pair[1].public_bytes(pem))
        (folder / f"{stem}.key").write_bytes(
            pair[0].private_bytes(
                pem, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
            )
        )

    authority = make("test authority", None)
    write("ca", ".crt", authority)
    write("server", ".crt", make("127.0.0.1", authority))
    if client:
        write("client", ".cert", make("client", authority))
    return folder
