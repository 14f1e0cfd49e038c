"""Credential files and what helpers are told, of any bytes: a sentence, never a traceback."""

from __future__ import annotations

import base64
import json
import tempfile
from contextlib import suppress
from pathlib import Path
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st
from tests.unit.distribution.test_vault import Kernel

from boxship.cli.credentials import _decoded
from boxship.distribution.credentials.errors import InvalidCredentials
from boxship.distribution.credentials.keys import Keys
from boxship.distribution.credentials.program import read_server, read_stored
from boxship.distribution.credentials.vault import Entry, Vault
from boxship.errors import BoxshipError

PLAIN = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20)
ANY = st.recursive(
    PLAIN,
    lambda inner: (
        st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=10), inner, max_size=4)
    ),
    max_leaves=10,
)
PACKED = st.binary().map(base64.b64encode).map(bytes.decode)


def made() -> tuple[Kernel, dict[str, Any]]:
    """A vault's file, and the kernel that has its key."""
    kernel = Kernel()
    with tempfile.TemporaryDirectory() as folder:
        vault = Vault(f"{folder}/v", Keys(kernel, None, lambda new: "x"))
        vault.put("host", Entry("joe", "secret"))
        found: dict[str, Any] = json.loads(Path(folder, "v").read_text())
    return kernel, found


KERNEL, GOOD = made()


def read(data: bytes) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "v")
        path.write_bytes(data)
        vault = Vault(str(path), Keys(KERNEL, None, lambda new: "x"))
        for ask in (vault.entries, vault.kind, lambda: vault.put("a", Entry("b", "c"))):
            with suppress(BoxshipError):
                ask()


@given(st.binary(max_size=200))
@settings(max_examples=60, deadline=None)
def test_any_bytes_in_the_vaults_place(data: bytes) -> None:
    read(data)


@given(st.sampled_from(["version", "key", "nonce", "box", "new"]), ANY)
@settings(max_examples=80, deadline=None)
def test_any_value_in_any_place_of_a_vault(where: str, value: object) -> None:
    read(json.dumps({**GOOD, where: value}).encode())


@given(st.sampled_from(["kind", "id", "salt", "n", "r", "p", "wrapped"]), ANY)
@settings(max_examples=80, deadline=None)
def test_any_value_in_any_place_of_a_key(where: str, value: object) -> None:
    key = {"kind": "passphrase", "id": "0" * 16, "salt": "", "n": 2, "r": 1, "p": 1, "wrapped": ""}
    read(json.dumps({**GOOD, "key": {**key, where: value}}).encode())


@given(st.text(max_size=100) | ANY.map(json.dumps))
@settings(max_examples=150)
def test_anything_to_be_stored(text: str) -> None:
    with suppress(InvalidCredentials):
        server, entry = read_stored(text)
        assert server.isprintable()
        assert entry.username


@given(st.text(max_size=60))
def test_any_server(text: str) -> None:
    with suppress(InvalidCredentials):
        assert read_server(text).isprintable()


@given(ANY | st.fixed_dictionaries({"auth": ANY | PACKED}))
@settings(max_examples=150)
def test_any_entry_of_a_configuration(entry: object) -> None:
    with suppress(BoxshipError):
        assert isinstance(_decoded(entry), dict)
