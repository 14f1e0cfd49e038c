"""Encodings, digests and identifiers."""

from __future__ import annotations

import base64
import binascii
import hashlib
import uuid
from collections.abc import Callable, Mapping
from typing import Final
from urllib.parse import quote_plus

from boxship.lib.hcl.functions.define import STRING, WHOLE, takes
from boxship.lib.hcl.source import BadValue
from boxship.lib.hcl.values import Value

NAMESPACES: Final = {
    "dns": uuid.NAMESPACE_DNS,
    "url": uuid.NAMESPACE_URL,
    "oid": uuid.NAMESPACE_OID,
    "x500": uuid.NAMESPACE_X500,
}
COST: Final = 10


def _unbase64(said: str) -> str:
    try:
        return base64.b64decode(said.replace("\n", "").replace("\r", ""), validate=True).decode()
    except (binascii.Error, UnicodeDecodeError):
        raise BadValue(f"failed to decode base64 data {said!r}") from None


def _digest(name: str) -> Callable[[str], str]:
    return lambda said: hashlib.new(name, said.encode()).hexdigest()


def _bcrypt(said: str, *cost: int) -> str:
    import bcrypt

    if len(cost) > 1:
        raise BadValue("bcrypt() takes no more than two arguments")
    rounds = cost[0] if cost else COST
    if not 4 <= rounds <= 31:
        raise BadValue("the cost must be between 4 and 31")
    return bcrypt.hashpw(said.encode(), bcrypt.gensalt(rounds, b"2a")).decode()


def _rsa_decrypt(said: str, key: str) -> str:
    from cryptography.hazmat.primitives.asymmetric import padding, rsa
    from cryptography.hazmat.primitives.serialization import load_pem_private_key

    try:
        private = load_pem_private_key(key.encode(), None)
        if not isinstance(private, rsa.RSAPrivateKey):
            raise BadValue("the key is no RSA key")
        return private.decrypt(base64.b64decode(said, validate=True), padding.PKCS1v15()).decode()
    except (ValueError, TypeError, binascii.Error):
        raise BadValue("failed to decrypt") from None


def _uuid5(namespace: str, name: str) -> str:
    try:
        space = NAMESPACES.get(namespace) or uuid.UUID(namespace)
    except ValueError:
        raise BadValue(f"uuidv5() doesn't support namespace {namespace}") from None
    return str(uuid.uuid5(space, name))


FUNCTIONS: Final[Mapping[str, Callable[..., Value]]] = {
    "base64decode": takes(STRING)(_unbase64),
    "base64encode": takes(STRING)(lambda said: base64.b64encode(said.encode()).decode()),
    "bcrypt": takes(STRING, rest=WHOLE)(_bcrypt),
    "md5": takes(STRING)(_digest("md5")),
    "rsadecrypt": takes(STRING, STRING)(_rsa_decrypt),
    "sha1": takes(STRING)(_digest("sha1")),
    "sha256": takes(STRING)(_digest("sha256")),
    "sha512": takes(STRING)(_digest("sha512")),
    "urlencode": takes(STRING)(lambda said: quote_plus(said, safe="~")),
    "uuidv4": takes()(lambda: str(uuid.uuid4())),
    "uuidv5": takes(STRING, STRING)(_uuid5),
}
