"""Who is let into a registry, and what they may do there."""

from __future__ import annotations

import base64
import json
import re
import ssl
import subprocess
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import bcrypt
import jwt
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.x509.oid import NameOID
from tests.support.registry_server import Answer, RegistryServer, digest, registry_server

from boxship.registry.auth.keys import libtrust_id, thumbprint

USERS = {"ann": "ann's", "bob": "bob's", "eve": "eve's"}
ACCESS = {
    "groups": {"team": ["ann"]},
    "rules": [
        {"repositories": ["public/**"], "users": ["anonymous"], "actions": ["pull"]},
        {"repositories": ["public/**", "team/**"], "users": ["@team"], "actions": ["*"]},
        {"repositories": ["home/{user}/**"], "users": ["*"], "actions": ["pull", "push"]},
    ],
}


def users_file(folder: Path) -> Path:
    path = folder / "users"
    hashed = {n: bcrypt.hashpw(p.encode(), bcrypt.gensalt(4)).decode() for n, p in USERS.items()}
    path.write_text("".join(f"{name}:{known}\n" for name, known in hashed.items()))
    return path


def basic(user: str, password: str = "") -> str:
    return "Basic " + base64.b64encode(f"{user}:{password or USERS[user]}".encode()).decode()


class As:
    """A registry, asked as somebody."""

    def __init__(self, server: RegistryServer, authorization: str) -> None:
        self.server = server
        self.headers = {"Authorization": authorization} if authorization else {}

    def ask(self, method: str, path: str, body: bytes | None = None) -> Answer:
        return self.server.ask(method, path, body, **self.headers)

    def push_blob(self, name: str, data: bytes) -> int:
        query = urlencode({"digest": digest(data)})
        return self.ask("POST", f"/v2/{name}/blobs/uploads/?{query}", data).status

    def push_manifest(self, name: str, tag: str) -> int:
        document = {
            "schemaVersion": 2,
            "mediaType": "application/vnd.oci.image.manifest.v1+json",
            "config": {"mediaType": "application/x-c", "digest": digest(b"{}"), "size": 2},
            "layers": [],
        }
        return self.ask("PUT", f"/v2/{name}/manifests/{tag}", json.dumps(document).encode()).status


@pytest.fixture(scope="module")
def htpasswd(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RegistryServer]:
    folder = tmp_path_factory.mktemp("htpasswd")
    auth = {"htpasswd": {"realm": "ours", "path": str(users_file(folder))}}
    storage = {"delete": {"enabled": True}}
    with registry_server(folder, auth=auth, access=ACCESS, storage=storage) as made:
        yield made


def test_who_says_nothing_is_asked_for_a_name(htpasswd: RegistryServer) -> None:
    answer = htpasswd.ask("GET", "/v2/")
    assert (answer.status, answer.code) == (401, "UNAUTHORIZED")
    assert answer.headers["www-authenticate"] == 'Basic realm="ours"'


def test_who_knows_the_password_is_let_in(htpasswd: RegistryServer) -> None:
    for user in USERS:
        assert As(htpasswd, basic(user)).ask("GET", "/v2/").status == 200
    for wrong in (basic("bob", "wrong"), basic("nobody", "x"), "Basic !", "Bearer x", "Basic"):
        assert As(htpasswd, wrong).ask("GET", "/v2/").status == 401


def test_rules_say_who_may_do_what(htpasswd: RegistryServer) -> None:
    ann, bob, nobody = (As(htpasswd, one) for one in (basic("ann"), basic("bob"), ""))
    for name in ("public/app", "team/app"):
        assert ann.push_blob(name, b"{}") == 201
        assert ann.push_manifest(name, "v1") == 201
    assert nobody.ask("GET", "/v2/public/app/manifests/v1").status == 200
    empty = As(htpasswd, "Basic Og==")  # what skopeo sends for nobody
    assert empty.ask("GET", "/v2/public/app/manifests/v1").status == 200
    assert empty.ask("GET", "/v2/team/app/manifests/v1").status == 401
    assert nobody.ask("GET", "/v2/team/app/manifests/v1").status == 401
    assert bob.ask("GET", "/v2/public/app/manifests/v1").status == 200
    denied = bob.ask("GET", "/v2/team/app/manifests/v1")
    assert (denied.status, denied.code) == (403, "DENIED")
    assert bob.push_blob("public/app", b"{}") == 403
    assert bob.push_blob("home/bob/app", b"{}") == 201
    assert bob.push_blob("home/ann/app", b"{}") == 403
    assert bob.ask("DELETE", "/v2/home/bob/app/manifests/v1").status == 403


def test_the_catalog_shows_what_one_may_pull(htpasswd: RegistryServer) -> None:
    As(htpasswd, basic("ann")).push_blob("team/seen", b"{}")
    As(htpasswd, basic("ann")).push_blob("public/seen", b"{}")
    for user, sees in (("ann", {"team/seen", "public/seen"}), ("eve", {"public/seen"})):
        found = As(htpasswd, basic(user)).ask("GET", "/v2/_catalog").json()["repositories"]
        assert {name for name in found if name.endswith("/seen")} == sees
    assert As(htpasswd, "").ask("GET", "/v2/_catalog").status == 401


def test_a_blob_one_may_not_read_is_not_mounted(htpasswd: RegistryServer) -> None:
    """SEC-104: knowing a digest gives nothing; the answer is that for a blob that is not there."""
    As(htpasswd, basic("ann")).push_blob("team/app", b"secret")
    bob = As(htpasswd, basic("bob"))
    for named in (digest(b"secret"), digest(b"nobody has this")):
        query = urlencode({"mount": named, "from": "team/app"})
        answer = bob.ask("POST", f"/v2/home/bob/two/blobs/uploads/?{query}")
        assert answer.status == 202
        assert bob.ask("HEAD", f"/v2/home/bob/two/blobs/{named}").status == 404


def test_a_password_that_changes_changes_at_once(tmp_path: Path) -> None:
    path = users_file(tmp_path)
    with registry_server(tmp_path, auth={"htpasswd": {"path": str(path)}}) as server:
        assert As(server, basic("ann")).ask("GET", "/v2/").status == 200
        done = subprocess.run(
            [*server_command("user"), "--file", path, "--password-stdin", "ann"],
            input=b"new\n",
            env={"PYTHONPATH": "src"},
            check=True,
        )
        assert done.returncode == 0
        assert As(server, basic("ann")).ask("GET", "/v2/").status == 401
        assert As(server, basic("ann", "new")).ask("GET", "/v2/").status == 200
        assert path.stat().st_mode & 0o777 == 0o600


def server_command(word: str) -> list[str]:
    import sys

    return [sys.executable, "-m", "boxship.registry", word]


def test_who_guesses_has_to_wait(tmp_path: Path) -> None:
    auth = {"htpasswd": {"path": str(users_file(tmp_path))}}
    with registry_server(tmp_path, auth=auth) as server:
        assert As(server, basic("bob")).ask("GET", "/v2/").status == 200
        answers = [As(server, basic("ann", f"guess{n}")).ask("GET", "/v2/") for n in range(12)]
        assert [one.status for one in answers[:4]] == [401] * 4
        slowed = next(one for one in answers if one.status == 429)
        assert slowed.code == "TOOMANYREQUESTS"
        assert int(slowed.headers["retry-after"]) >= 1
        assert As(server, basic("bob")).ask("GET", "/v2/").status == 200


# Our own token server


@pytest.fixture(scope="module")
def tokens(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RegistryServer]:
    folder = tmp_path_factory.mktemp("tokens")
    auth = {"tokenserver": {"htpasswd": str(users_file(folder)), "service": "ours"}}
    with registry_server(folder, auth=auth, access=ACCESS) as made:
        yield made


def challenge(answer: Answer) -> dict[str, str]:
    assert answer.status == 401
    return dict(re.findall(r'(\w+)="([^"]*)"', answer.headers["www-authenticate"]))


def token(server: RegistryServer, user: str, *scopes: str, **more: str) -> Answer:
    query = urlencode([("service", "ours"), *(("scope", one) for one in scopes), *more.items()])
    headers = {"Authorization": basic(user)} if user else {}
    return server.ask("GET", f"/auth/token?{query}", **headers)


def bearer(server: RegistryServer, user: str, *scopes: str) -> As:
    return As(server, f"Bearer {token(server, user, *scopes).json()['token']}")


def test_a_challenge_says_where_to_get_what(tokens: RegistryServer) -> None:
    """The token specification, steps 2 to 6, as a client does them."""
    asked = challenge(tokens.ask("GET", "/v2/team/app/manifests/v1"))
    assert asked["realm"] == f"http://{tokens.host}/auth/token"
    assert (asked["service"], asked["scope"]) == ("ours", "repository:team/app:pull")
    answer = token(tokens, "ann", asked["scope"])
    assert answer.json()["token"] == answer.json()["access_token"]
    assert answer.json()["expires_in"] == 300
    found = As(tokens, f"Bearer {answer.json()['token']}").ask("GET", "/v2/team/app/manifests/v1")
    assert (found.status, found.code) == (404, "MANIFEST_UNKNOWN")


def test_a_token_gives_what_the_rules_give(tokens: RegistryServer) -> None:
    scope = "repository:team/app:pull,push,delete"
    assert bearer(tokens, "ann", scope).push_blob("team/app", b"{}") == 201
    eve = bearer(tokens, "eve", scope)
    refused = eve.ask("GET", "/v2/team/app/manifests/v1")
    assert challenge(refused)["error"] == "insufficient_scope"
    nobody = bearer(tokens, "", "repository:public/app:pull,push")
    assert nobody.ask("GET", "/v2/public/app/manifests/v1").status == 404
    assert nobody.push_blob("public/app", b"{}") == 401
    assert token(tokens, "", "repository:public/app:pull,push").json()["scope"] == (
        "repository:public/app:pull"
    )


def test_a_token_for_one_repository_opens_no_other(tokens: RegistryServer) -> None:
    ann = bearer(tokens, "ann", "repository:public/app:pull,push")
    assert ann.push_blob("public/app", b"{}") == 201
    assert ann.push_blob("team/app", b"{}") == 401


def test_a_mount_needs_a_token_for_both(tokens: RegistryServer) -> None:
    both = ("repository:team/from:pull,push", "repository:team/to:pull,push")
    ann = bearer(tokens, "ann", *both)
    ann.push_blob("team/from", b"content")
    query = urlencode({"mount": digest(b"content"), "from": "team/from"})
    one = bearer(tokens, "ann", both[1])
    assert one.ask("POST", f"/v2/team/to/blobs/uploads/?{query}").status == 202
    assert ann.ask("POST", f"/v2/team/to/blobs/uploads/?{query}").status == 201


def test_the_catalog_needs_its_own_scope(tokens: RegistryServer) -> None:
    bearer(tokens, "ann", "repository:team/listed:pull,push").push_blob("team/listed", b"{}")
    assert challenge(tokens.ask("GET", "/v2/_catalog"))["scope"] == "registry:catalog:*"
    ann = bearer(tokens, "ann", "registry:catalog:*").ask("GET", "/v2/_catalog").json()
    eve = bearer(tokens, "eve", "registry:catalog:*").ask("GET", "/v2/_catalog").json()
    assert "team/listed" in ann["repositories"]
    assert "team/listed" not in eve["repositories"]
    assert bearer(tokens, "", "registry:catalog:*").ask("GET", "/v2/_catalog").status == 401


def test_wrong_passwords_and_wrong_services_get_no_token(tokens: RegistryServer) -> None:
    wrong = tokens.ask("GET", "/auth/token?service=ours", Authorization=basic("ann", "x"))
    assert (wrong.status, wrong.code) == (401, "UNAUTHORIZED")
    other = tokens.ask("GET", "/auth/token?service=theirs", Authorization=basic("ann"))
    assert other.status == 400


def oauth(server: RegistryServer, **form: str) -> Answer:
    return server.ask("POST", "/auth/token", urlencode({"service": "ours", **form}).encode())


def test_a_refresh_token_stands_for_the_password_until_it_changes(tmp_path: Path) -> None:
    """The OAuth2 form of the token specification."""
    path = users_file(tmp_path)
    auth = {"tokenserver": {"htpasswd": str(path), "service": "ours"}}
    with registry_server(tmp_path, auth=auth) as server:
        scope = "repository:team/app:pull,push"
        first = oauth(
            server,
            grant_type="password",
            username="ann",
            password=USERS["ann"],
            access_type="offline",
            scope=scope,
        )
        refresh = first.json()["refresh_token"]
        again = oauth(server, grant_type="refresh_token", refresh_token=refresh, scope=scope)
        assert (
            As(server, f"Bearer {again.json()['access_token']}").push_blob("team/app", b"x") == 201
        )
        assert As(server, f"Bearer {refresh}").push_blob("team/app", b"x") == 401
        access = first.json()["access_token"]
        misused = oauth(server, grant_type="refresh_token", refresh_token=access)
        assert misused.json()["error"] == "invalid_grant"
        server.stop()
        server.start()  # the key is the same: tokens outlive the server
        assert oauth(server, grant_type="refresh_token", refresh_token=refresh).status == 200
        other = bcrypt.hashpw(b"new", bcrypt.gensalt(4)).decode()
        path.write_text(f"ann:{other}\n")
        ended = oauth(server, grant_type="refresh_token", refresh_token=refresh)
        assert (ended.status, ended.json()["error"]) == (401, "invalid_grant")
        key = tmp_path / "root/.boxship-registry.key"
        assert key.stat().st_mode & 0o777 == 0o600


# Tokens of somebody else's server


def certificate(
    key: Any, name: str, *, issuer: tuple[Any, x509.Certificate] | None = None, ca: bool = False
) -> x509.Certificate:
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    signer, parent = issuer if issuer else (key, None)
    now = datetime.now(UTC)
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(parent.subject if parent else subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(x509.BasicConstraints(ca=ca, path_length=None), critical=True)
        .add_extension(
            x509.SubjectAlternativeName(
                [x509.DNSName("localhost"), x509.IPAddress(ip_address("127.0.0.1"))]
            ),
            critical=False,
        )
        .sign(signer, hashes.SHA256())
    )


def pem(thing: Any) -> bytes:
    if isinstance(thing, x509.Certificate):
        return thing.public_bytes(serialization.Encoding.PEM)
    return bytes(
        thing.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
    )


ROOT = ec.generate_private_key(ec.SECP256R1())
ROOT_CERTIFICATE = certificate(ROOT, "root", ca=True)
LEAF = ec.generate_private_key(ec.SECP256R1())
LEAF_CERTIFICATE = certificate(LEAF, "leaf", issuer=(ROOT, ROOT_CERTIFICATE))
OTHER = ec.generate_private_key(ec.SECP256R1())
OLD_STYLE = rsa.generate_private_key(65537, 2048)
IN_SET = ec.generate_private_key(ec.SECP256R1())


@pytest.fixture(scope="module")
def external(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RegistryServer]:
    folder = tmp_path_factory.mktemp("external")
    bundle = folder / "bundle.pem"
    bundle.write_bytes(pem(ROOT_CERTIFICATE) + pem(certificate(OLD_STYLE, "old")))
    keys = folder / "jwks.json"
    public = json.loads(jwt.algorithms.ECAlgorithm.to_jwk(IN_SET.public_key()))
    keys.write_text(json.dumps({"keys": [{**public, "kid": "mine"}]}))
    section = {
        "realm": "https://auth.example/token",
        "service": "svc",
        "issuer": "iss",
        "rootcertbundle": str(bundle),
        "jwks": str(keys),
    }
    with registry_server(folder, auth={"token": section}) as made:
        yield made


def der(*certificates: x509.Certificate) -> list[str]:
    encoded = (one.public_bytes(serialization.Encoding.DER) for one in certificates)
    return [base64.b64encode(one).decode() for one in encoded]


def signed(key: Any, algorithm: str, head: dict[str, Any], **claims: Any) -> str:
    now = int(time.time())
    said = {"iss": "iss", "aud": "svc", "sub": "ann", "exp": now + 60, "nbf": now - 5, "iat": now}
    said["access"] = [{"type": "repository", "name": "a/b", "actions": ["pull", "push"]}]
    return jwt.encode({**said, **claims}, key, algorithm=algorithm, headers=head)


GOOD = {
    "RS256 by fingerprint": (OLD_STYLE, "RS256", {"kid": libtrust_id(OLD_STYLE.public_key())}),
    "RS256 by thumbprint": (OLD_STYLE, "RS256", {"kid": thumbprint(OLD_STYLE.public_key())}),
    "ES256 by key set": (IN_SET, "ES256", {"kid": "mine"}),
    "ES256 by chain": (LEAF, "ES256", {"x5c": der(LEAF_CERTIFICATE)}),
    "ES256 by whole chain": (LEAF, "ES256", {"x5c": der(LEAF_CERTIFICATE, ROOT_CERTIFICATE)}),
}


@pytest.mark.parametrize("kind", sorted(GOOD))
def test_tokens_that_are_signed_by_who_we_trust_are_believed(
    external: RegistryServer, kind: str
) -> None:
    assert As(external, f"Bearer {signed(*GOOD[kind])}").push_blob("a/b", b"x") == 201


def test_the_challenge_names_the_other_server(external: RegistryServer) -> None:
    asked = challenge(external.ask("GET", "/v2/"))
    assert asked == {"realm": "https://auth.example/token", "service": "svc"}


def forged(kind: str) -> str:
    kid = {"kid": "mine"}
    match kind:
        case "unknown key":
            return signed(OTHER, "ES256", kid)
        case "own chain":
            mine = certificate(OTHER, "root", ca=True)
            return signed(OTHER, "ES256", {"x5c": der(mine)})
        case "leaf as authority":
            mine = certificate(OTHER, "mine", issuer=(LEAF, LEAF_CERTIFICATE))
            chain = der(mine, LEAF_CERTIFICATE, ROOT_CERTIFICATE)
            return signed(OTHER, "ES256", {"x5c": chain})
        case "no signature":
            return signed(None, "none", kid)
        case "shared secret":
            return signed(b"a secret of at least 32 bytes ...", "HS256", kid)
        case "expired":
            return signed(IN_SET, "ES256", kid, exp=int(time.time()) - 120)
        case "not yet":
            return signed(IN_SET, "ES256", kid, nbf=int(time.time()) + 300)
        case "for another service":
            return signed(IN_SET, "ES256", kid, aud="other")
        case "of another issuer":
            return signed(IN_SET, "ES256", kid, iss="other")
        case "without end":
            whole = signed(IN_SET, "ES256", kid)
            claims = jwt.decode(whole, options={"verify_signature": False})
            del claims["exp"]
            return jwt.encode(claims, IN_SET, algorithm="ES256", headers=kid)
        case "access of the wrong form":
            return signed(IN_SET, "ES256", kid, access=[{"type": "repository", "name": "a/b"}, 7])
        case _:
            return kind


@pytest.mark.parametrize(
    "kind",
    [
        "unknown key",
        "own chain",
        "leaf as authority",
        "no signature",
        "shared secret",
        "expired",
        "not yet",
        "for another service",
        "of another issuer",
        "without end",
        "access of the wrong form",
        "rubbish",
        "a.b.c",
        "x" * 70_000,
    ],
)
def test_tokens_that_are_not_right_are_refused(external: RegistryServer, kind: str) -> None:
    given = forged(kind)
    assert As(external, f"Bearer {given}").push_blob("a/b", b"x") == 401


# TLS


def test_tls_and_client_certificates(tmp_path: Path) -> None:
    server_key = ec.generate_private_key(ec.SECP256R1())
    files = {
        "ca.pem": pem(ROOT_CERTIFICATE),
        "cert.pem": pem(certificate(server_key, "localhost", issuer=(ROOT, ROOT_CERTIFICATE))),
        "key.pem": pem(server_key),
        "client.pem": pem(LEAF_CERTIFICATE) + pem(LEAF),
    }
    for name, data in files.items():
        (tmp_path / name).write_bytes(data)
    tls = {
        "certificate": str(tmp_path / "cert.pem"),
        "key": str(tmp_path / "key.pem"),
        "clientcas": [str(tmp_path / "ca.pem")],
    }
    with registry_server(tmp_path, http={"tls": tls}) as server:
        server.tls = ssl.create_default_context(cafile=tmp_path / "ca.pem")
        with pytest.raises((ssl.SSLError, ConnectionError)):
            server.ask("GET", "/v2/")
        server.tls.load_cert_chain(tmp_path / "client.pem")
        named = server.push_blob("a", b"x" * 3_000_000)
        assert server.ask("GET", f"/v2/a/blobs/{named}").body == b"x" * 3_000_000
