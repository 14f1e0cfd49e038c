"""The credential-helper protocol from both sides, as programs."""

from __future__ import annotations

import json
import os
import stat
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from boxship.distribution.credentials.errors import (
    HelperFailed,
    InvalidCredentials,
    NoCredentials,
)
from boxship.distribution.credentials.helper import Helper, Secret

SOURCE = Path(__file__).resolve().parents[3] / "src"
Script = Callable[[str], Helper]


@pytest.fixture
def script(tmp_path: Path) -> Script:
    """Make a helper of a shell script."""

    def make(text: str) -> Helper:
        path = tmp_path / "docker-credential-test"
        path.write_text(f"#!/bin/sh\n{text}\n")
        path.chmod(path.stat().st_mode | stat.S_IXUSR)
        environment = {"PATH": f"{tmp_path}:/usr/bin:/bin"}
        return Helper("test", environment, seconds=5)

    return make


def test_what_a_helper_says_is_understood(script: Script) -> None:
    helper = script('read server; echo "{\\"ServerURL\\":\\"x\\",\\"Username\\":\\"$server\\",'
                    '\\"Secret\\":\\"$1\\"}"')  # fmt: skip
    found = helper.get("h")
    assert (found.username, found.secret, found.is_token) == ("h", "get", False)


def test_an_identity_token_is_told_from_a_password(script: Script) -> None:
    helper = script('echo \'{"ServerURL":"h","Username":"<token>","Secret":"t"}\'')
    assert helper.get("h").is_token


def test_what_a_helper_does_not_have_is_no_failure(script: Script) -> None:
    helper = script("echo credentials not found in native keychain; exit 1")
    with pytest.raises(NoCredentials):
        helper.get("h")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("echo no dbus; exit 1", r"exit code 1\): no dbus"),
        ("printf 'bad\\033[2J'; exit 3", r"bad\\x1b\[2J"),
        ("echo nonsense", "answers nonsense"),
        ("echo '[]'", "answers nonsense"),
        ('echo \'{"Username": 5, "Secret": {}}\'', "answers nonsense"),
        ("exec sleep 30", "no answer within 0.2 seconds"),
    ],
)
def test_a_helper_that_fails_is_named(script: Script, text: str, message: str) -> None:
    helper = script(text)
    if "sleep" in text:
        helper = Helper("test", helper._environment, seconds=0.2)
    with pytest.raises(HelperFailed, match=message):
        helper.get("h")


def test_a_helper_that_is_not_there_is_named() -> None:
    with pytest.raises(HelperFailed, match=r"docker-credential-none is not in \$PATH"):
        Helper("none", {"PATH": "/nowhere"}).get("h")


@pytest.mark.parametrize("name", ["", "../x", "a b", "/bin/sh", "x\n"])
def test_what_is_no_name_of_a_helper_is_refused(name: str) -> None:
    with pytest.raises(InvalidCredentials):
        Helper(name, {})


@pytest.mark.parametrize("server", ["", "a\nb", "a\0b", "x\x1b[2J"])
def test_a_server_that_could_be_read_as_more_is_refused(script: Script, server: str) -> None:
    with pytest.raises(InvalidCredentials, match="invalid server URL"):
        script("cat").get(server)


class Own:
    """Our own helper as a program, with a key under a passphrase."""

    def __init__(self, root: Path) -> None:
        self.path = root / "secrets.json"
        self.environment = {
            "PATH": os.environ["PATH"],
            "PYTHONPATH": str(SOURCE),
            "BOXSHIP_CREDENTIALS": str(self.path),
            "BOXSHIP_CREDENTIALS_KEY": "passphrase",
            "BOXSHIP_CREDENTIALS_REMEMBER": "0",
            "BOXSHIP_PASSPHRASE": "test",
        }

    def run(self, *words: str, stdin: str | bytes = "") -> tuple[int, str]:
        module = "boxship.distribution.credentials.program"
        data = stdin.encode() if isinstance(stdin, str) else stdin
        done = subprocess.run(
            [sys.executable, "-m", module, *words],
            input=data,
            capture_output=True,
            env=self.environment,
            check=False,
        )
        assert not done.stderr, done.stderr
        return done.returncode, done.stdout.decode().rstrip("\n")


@pytest.fixture
def own(tmp_path: Path) -> Own:
    return Own(tmp_path)


def stored(server: str, username: str = "joe", secret: str = "s") -> str:
    return json.dumps({"ServerURL": server, "Username": username, "Secret": secret})


def test_our_helper_speaks_the_protocol(own: Own) -> None:
    assert own.run("get", stdin="h:5000") == (1, "credentials not found in native keychain")
    assert own.run("store", stdin=stored("h:5000", secret='q"\\ü')) == (0, "")
    code, text = own.run("get", stdin="h:5000\n")
    assert (code, json.loads(text)) == (
        0,
        {"ServerURL": "h:5000", "Username": "joe", "Secret": 'q"\\ü'},
    )
    assert own.run("list") == (0, '{"h:5000":"joe"}')
    assert own.run("erase", stdin="h:5000") == (0, "")
    assert own.run("erase", stdin="h:5000") == (1, "credentials not found in native keychain")
    assert own.run("list") == (0, "{}")


@pytest.mark.parametrize(
    "name", ["docker.io", "index.docker.io", "https://index.docker.io/v1/", "registry-1.docker.io"]
)
def test_the_hub_is_found_by_all_its_names(own: Own, name: str) -> None:
    """Docker's client keeps it under its old address; podman and skopeo ask for `docker.io`."""
    hub, token = "https://index.docker.io/v1/", "https://index.docker.io/v1/access-token"
    own.run("store", stdin=stored(token, username="joe", secret="another"))
    assert own.run("get", stdin=name) == (1, "credentials not found in native keychain")
    for keeping, asking in ((hub, name), (name, hub)):
        own.run("store", stdin=stored(keeping, secret=keeping))
        code, text = own.run("get", stdin=asking)
        found = json.loads(text)
        assert (code, found["ServerURL"], found["Secret"]) == (0, asking, keeping)
        assert json.loads(own.run("list")[1]) == {hub: "joe", token: "joe"}
        assert own.run("erase", stdin=asking) == (0, "")
    assert json.loads(own.run("get", stdin=token)[1])["Secret"] == "another"


@pytest.mark.parametrize(
    ("words", "stdin", "said"),
    [
        (["get"], "", "no credentials server URL"),
        (["erase"], " \n", "no credentials server URL"),
        (["get"], "a\nb", "invalid server URL"),
        (["get"], "x" * 5000, "invalid server URL"),
        (["get"], b"\xff\xfe", "the input is not UTF-8"),
        (["store"], "{}", "no credentials server URL"),
        (["store"], '{"ServerURL":"h"}', "no credentials username"),
        (["store"], '{"ServerURL":"h","Username":"u","Secret":7}', "not text"),
        (["store"], '{"ServerURL":"h\\n","Username":"u\\n","Secret":"x"}', ""),
        (["store"], stored("h\x1b[2J"), "invalid server URL"),
        (["store"], stored("h", secret="x" * 70_000), "too long"),
        (["store"], "[]", "no JSON"),
        ([], "", "Usage: docker-credential-boxship"),
        (["rekey", "cloud"], "", "Usage: docker-credential-boxship"),
    ],
)
def test_hostile_input_is_refused_in_a_sentence(
    own: Own, words: list[str], stdin: str | bytes, said: str
) -> None:
    code, text = own.run(*words, stdin=stdin)
    assert said in text
    assert code == (1 if said else 0)
    assert "Traceback" not in text


def test_the_client_finds_our_helper_without_having_it_installed(own: Own) -> None:
    helper = Helper("boxship", {**own.environment, "PATH": "/nowhere"})
    assert not helper.is_installed()
    helper.store(Secret("h", "<token>", "t"))
    assert helper.get("h").is_token
    assert helper.list() == {"h": "<token>"}
    helper.erase("h")
    with pytest.raises(NoCredentials):
        helper.get("h")
