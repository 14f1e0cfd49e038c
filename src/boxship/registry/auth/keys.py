"""Keys that sign tokens, and the names they go by in a token's head.

A key is named by the RFC 7638 thumbprint or, in the reference server's older way, by the first 240
bits of the hash of its DER form in base 32: `ABCD:EFGH:...`.
"""

from __future__ import annotations

import base64
import hashlib
import itertools
import json
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from typing import Any

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa

from boxship.registry.config import BadConfig

PublicKey = rsa.RSAPublicKey | ec.EllipticCurvePublicKey | ed25519.Ed25519PublicKey
SHORTEST = 2048  # bits of an RSA key
CHAIN = 10  # certificates in a token


def libtrust_id(key: PublicKey) -> str:
    """Return the older name of a key."""
    der = key.public_bytes(
        serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo
    )
    text = base64.b32encode(hashlib.sha256(der).digest()[:30]).decode()
    return ":".join(text[at : at + 4] for at in range(0, len(text), 4))


def thumbprint(key: PublicKey) -> str:
    """Return a key's RFC 7638 name."""
    document = json.dumps(_jwk(key), sort_keys=True, separators=(",", ":")).encode()
    return base64.urlsafe_b64encode(hashlib.sha256(document).digest()).rstrip(b"=").decode()


def _jwk(key: PublicKey) -> dict[str, str]:
    if isinstance(key, rsa.RSAPublicKey):
        numbers = key.public_numbers()
        return {"kty": "RSA", "n": _number(numbers.n), "e": _number(numbers.e)}
    if isinstance(key, ec.EllipticCurvePublicKey):
        point = key.public_numbers()
        size = (key.curve.key_size + 7) // 8
        names = {256: "P-256", 384: "P-384", 521: "P-521"}
        x, y = _number(point.x, size), _number(point.y, size)
        return {"kty": "EC", "crv": names[key.curve.key_size], "x": x, "y": y}
    raw = key.public_bytes(serialization.Encoding.Raw, serialization.PublicFormat.Raw)
    return {"kty": "OKP", "crv": "Ed25519", "x": _text(raw)}


def _number(value: int, size: int = 0) -> str:
    return _text(value.to_bytes(size or (value.bit_length() + 7) // 8, "big"))


def _text(raw: bytes) -> str:
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()


class Trust:
    """The keys whose tokens are believed."""

    def __init__(self, roots: Sequence[x509.Certificate], keys: dict[str, PublicKey]) -> None:
        self._roots = list(roots)
        self._keys = dict(keys)
        for root in roots:
            if (key := _usable(root.public_key())) is not None:
                self._keys[libtrust_id(key)] = key
                self._keys[thumbprint(key)] = key

    @classmethod
    def read(cls, bundle: str, jwks: str) -> Trust:
        """Read a bundle of certificates and a JSON Web Key Set; BadConfig."""
        roots: list[x509.Certificate] = []
        keys: dict[str, PublicKey] = {}
        try:
            if bundle:
                with open(bundle, "rb") as file:
                    roots = x509.load_pem_x509_certificates(file.read())
            if jwks:
                with open(jwks, "rb") as file:
                    keys = _key_set(json.load(file))
        except (OSError, ValueError) as error:
            raise BadConfig(f"auth.token: cannot read the keys: {error}") from error
        if not roots and not keys:
            raise BadConfig("auth.token: rootcertbundle or jwks must name a key")
        return cls(roots, keys)

    def key_for(self, head: dict[str, Any]) -> PublicKey | None:
        """Return the key that a token's head names, if it is one to believe."""
        chain = head.get("x5c")
        if isinstance(chain, list) and chain:
            return self._from_chain(chain)
        identity = head.get("kid")
        if isinstance(identity, str):
            return self._keys.get(identity)
        distinct = set(self._keys.values())
        return distinct.pop() if identity is None and len(distinct) == 1 else None

    def _from_chain(self, encoded: Sequence[Any]) -> PublicKey | None:
        if len(encoded) > CHAIN or not all(isinstance(one, str) for one in encoded):
            return None
        try:
            chain = [x509.load_der_x509_certificate(base64.b64decode(one)) for one in encoded]
        except ValueError:
            return None
        now = datetime.now(UTC)
        for certificate in chain:
            if not certificate.not_valid_before_utc <= now <= certificate.not_valid_after_utc:
                return None
        for lower, upper in itertools.pairwise(chain):
            if not (_is_authority(upper) and _issued(lower, upper)):
                return None
        if chain[-1] in self._roots or any(_issued(chain[-1], root) for root in self._roots):
            return _usable(chain[0].public_key())
        return None


def _key_set(document: Any) -> dict[str, PublicKey]:
    import jwt

    found: dict[str, PublicKey] = {}
    listed: Iterable[Any] = document.get("keys", ()) if isinstance(document, dict) else ()
    for one in listed:
        try:
            key = _usable(jwt.PyJWK(one).key)
        except jwt.PyJWTError as error:
            raise ValueError(str(error)) from error
        if key is None:
            raise ValueError("a key of the set cannot be used for signatures")
        found[str(one.get("kid") or thumbprint(key))] = key
    return found


def _usable(key: object) -> PublicKey | None:
    if isinstance(key, rsa.RSAPublicKey):
        return key if key.key_size >= SHORTEST else None
    if isinstance(key, ec.EllipticCurvePublicKey):
        return key if key.curve.key_size in (256, 384, 521) else None
    return key if isinstance(key, ed25519.Ed25519PublicKey) else None


def _is_authority(certificate: x509.Certificate) -> bool:
    try:
        return certificate.extensions.get_extension_for_class(x509.BasicConstraints).value.ca
    except x509.ExtensionNotFound:
        return False


def _issued(lower: x509.Certificate, upper: x509.Certificate) -> bool:
    try:
        lower.verify_directly_issued_by(upper)
    except (ValueError, TypeError, InvalidSignature):
        return False
    return True
