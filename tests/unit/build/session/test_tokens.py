"""Clients that fetch tokens themselves: proved, kept apart, and asked for passwords last."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from tests.support.pipes import connect

from boxship.build.session.client import Client
from boxship.build.session.tokens import AUTH
from boxship.distribution.errors import LoginNeeded, WrongAnswer
from boxship.errors import BoxshipError
from boxship.spec.buildkit import session_pb2 as pb
from boxship.transport.http2 import Http2, Stream
from boxship.wire.grpc import Code, Failed

METHODS = ("Credentials", "FetchToken", "GetTokenAuthority", "VerifyTokenAuthority")


class Keeper:
    """A client with a key; `signs_with` is another's where it lies."""

    def __init__(self) -> None:
        self.key = self.signs_with = Ed25519PrivateKey.generate()
        self.refuses: BoxshipError | None = None
        self.asked: list[str] = []

    async def serve(self, stream: Stream) -> None:
        data = await stream.receive() or b""
        method = stream.path.rpartition("/")[2]
        self.asked.append(method)
        match method:
            case "GetTokenAuthority":
                if self.refuses:
                    raise self.refuses
                public = self.key.public_key().public_bytes_raw()
                answer = pb.GetTokenAuthorityResponse(public_key=public).SerializeToString()
            case "VerifyTokenAuthority":
                payload = pb.VerifyTokenAuthorityRequest.FromString(data).payload
                signed = self.signs_with.sign(payload) + payload
                answer = pb.VerifyTokenAuthorityResponse(signed=signed).SerializeToString()
            case "FetchToken":
                asked = pb.FetchTokenRequest.FromString(data)
                if asked.service != "svc":
                    raise Failed(Code.UNKNOWN, "401 Unauthorized")
                token = f"{asked.realm} {' '.join(asked.scopes)}"
                answer = pb.FetchTokenResponse(token=token, expires_in=60).SerializeToString()
            case _:
                answer = pb.CredentialsResponse(username="u", secret="p").SerializeToString()
        await stream.send(answer)


@contextlib.asynccontextmanager
async def connected(keeper: Keeper, *methods: str) -> AsyncIterator[Client]:
    served, calling = Http2(keeper.serve), Http2()
    connect(served, calling)
    async with asyncio.timeout(30):
        yield Client(calling, id="x", methods=[AUTH + one for one in methods or METHODS])
    calling.close()
    await served.wait_closed()


def test_a_client_that_proves_its_key_is_asked_for_tokens() -> None:
    async def story() -> None:
        keeper = Keeper()
        async with connected(keeper) as client:
            tokens = await client.authority("h")
            assert tokens is not None
            found = await tokens.token("http://h/token", "svc", ["repository:a:pull"])
            assert found == ("http://h/token repository:a:pull", 60.0)
            assert "Credentials" not in keeper.asked
            again = await client.authority("h")
            assert again is not None
            assert again.fingerprint == tokens.fingerprint
            with pytest.raises(LoginNeeded, match="401"):
                await tokens.token("http://h/token", "other", [])
            assert (await tokens.credentials()).username == "u"

    asyncio.run(story())


def test_a_client_that_claims_the_key_of_another_gets_nothing() -> None:
    async def story() -> None:
        keeper = Keeper()
        keeper.signs_with = Ed25519PrivateKey.generate()
        async with connected(keeper) as client:
            with pytest.raises(WrongAnswer):
                await client.authority("h")

    asyncio.run(story())


def test_a_client_that_does_not_want_to_is_asked_for_credentials() -> None:
    async def story() -> None:
        keeper = Keeper()
        keeper.refuses = Failed(Code.UNAVAILABLE, "client side tokens disabled")
        async with connected(keeper) as client:
            assert await client.authority("h") is None
        async with connected(keeper, "Credentials") as client:
            assert await client.authority("h") is None

    asyncio.run(story())
