"""Keys of files as an ssh agent: what is signed is checked with the public key."""

from __future__ import annotations

import base64
from pathlib import Path

import pytest
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, padding, rsa
from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature

from boxship.client import sshagents
from boxship.client.sshagents import Keys, Messages, NoAgent, read_key

DATA = b"what a server wants signed"
OPENSSH = serialization.PrivateFormat.OpenSSH
PEM, PKCS8 = serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8


def string(data: bytes) -> bytes:
    return len(data).to_bytes(4) + data


def strings(data: bytes) -> list[bytes]:
    found = []
    while data:
        size = int.from_bytes(data[:4])
        found.append(data[4 : 4 + size])
        data = data[4 + size :]
    return found


def written(path: Path, key, form=OPENSSH, how=None) -> str:
    how = how or serialization.NoEncryption()
    path.write_bytes(key.private_bytes(PEM, form, how))
    return str(path)


def signature(keys: Keys, blob: bytes, flags: int = 0) -> tuple[bytes, bytes]:
    answer = keys.answer(b"\x0d" + string(blob) + string(DATA) + flags.to_bytes(4))
    assert answer[:1] == b"\x0e"
    (signed,) = strings(answer[1:])
    kind, value = strings(signed)
    return kind, value


def test_keys_are_listed_and_sign(tmp_path: Path) -> None:
    ed, nist = ed25519.Ed25519PrivateKey.generate(), ec.generate_private_key(ec.SECP384R1())
    old = rsa.generate_private_key(65537, 2048)
    paths = [
        written(tmp_path / "ed", ed),
        written(tmp_path / "ec", nist, PKCS8),
        written(tmp_path / "rsa", old, serialization.PrivateFormat.TraditionalOpenSSL),
    ]
    keys = Keys([read_key(path) for path in paths])
    listed = keys.answer(b"\x0b")
    assert listed[:5] == b"\x0c\0\0\0\x03"
    blobs = strings(listed[5:])[::2]
    assert strings(listed[5:])[1::2] == [path.encode() for path in paths]
    public = ed.public_key().public_bytes(
        serialization.Encoding.OpenSSH, serialization.PublicFormat.OpenSSH
    )
    assert blobs[0] == base64.b64decode(public.split()[1])
    kind, value = signature(keys, blobs[0])
    assert kind == b"ssh-ed25519"
    ed.public_key().verify(value, DATA)
    kind, value = signature(keys, blobs[1])
    assert kind == b"ecdsa-sha2-nistp384"
    r, s = (int.from_bytes(part) for part in strings(value))
    nist.public_key().verify(encode_dss_signature(r, s), DATA, ec.ECDSA(hashes.SHA384()))
    for flags, name, digest in (
        (0, b"ssh-rsa", hashes.SHA1()),
        (2, b"rsa-sha2-256", hashes.SHA256()),
        (4, b"rsa-sha2-512", hashes.SHA512()),
    ):
        kind, value = signature(keys, blobs[2], flags)
        assert kind == name
        old.public_key().verify(value, DATA, padding.PKCS1v15(), digest)


@pytest.mark.parametrize("form", [OPENSSH, PKCS8])
def test_an_encrypted_key_is_refused_clearly(tmp_path: Path, form) -> None:
    locked = serialization.BestAvailableEncryption(b"sesame")
    path = written(tmp_path / "key", ed25519.Ed25519PrivateKey.generate(), form, locked)
    with pytest.raises(NoAgent, match="is encrypted: add it to an agent"):
        read_key(path)


def test_what_is_no_key_is_refused(tmp_path: Path) -> None:
    (tmp_path / "text").write_text("no key")
    with pytest.raises(NoAgent, match="cannot be read"):
        read_key(str(tmp_path / "text"))
    with pytest.raises(NoAgent, match="No such file"):
        read_key(str(tmp_path / "nowhere"))


@pytest.mark.parametrize(
    "message", [b"", b"\x11", b"\x13", b"\x0d", b"\x0d\0\0\0\xff", b"\x0d" + string(b"x") * 2]
)
def test_an_agent_does_nothing_else(tmp_path: Path, message: bytes) -> None:
    path = written(tmp_path / "ed", ed25519.Ed25519PrivateKey.generate())
    assert Keys([read_key(path)]).answer(message) == sshagents.FAILURE


def test_messages_come_in_any_pieces() -> None:
    coming = Messages()
    whole = [
        message for at in string(b"one") + string(b"two") for message in coming.feed(bytes([at]))
    ]
    assert whole == [b"one", b"two"]
    with pytest.raises(NoAgent):
        coming.feed(b"\xff\xff\xff\xff")
