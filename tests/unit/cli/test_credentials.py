"""Where the client finds credentials, and what it writes into Docker's configuration."""

from __future__ import annotations

import base64
import json
import os
from pathlib import Path
from typing import Any

import pytest

from boxship.cli import credentials
from boxship.cli.config import read_config
from boxship.cli.output import Output
from boxship.cli.shell import Shell
from boxship.distribution.credentials.naming import HUB_KEY
from boxship.errors import InvalidRequest, Unavailable


def auth(user: str, password: str) -> str:
    return base64.b64encode(f"{user}:{password}".encode()).decode()


class Home:
    """A configuration folder, and helpers that are shell scripts over files."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.environment = {"PATH": f"{root}/bin:/usr/bin:/bin", "DOCKER_CONFIG": f"{root}/config"}
        (root / "bin").mkdir()

    @property
    def path(self) -> Path:
        return self.root / "config" / "config.json"

    def write(self, document: object) -> None:
        self.path.parent.mkdir(exist_ok=True)
        self.path.write_text(json.dumps(document))

    def read(self) -> dict[str, Any]:
        found: dict[str, Any] = json.loads(self.path.read_text())
        return found

    def shell(self) -> Shell:
        return Shell(Output(os.open(os.devnull, os.O_WRONLY)), Output(2), self.environment)

    def helper(self, name: str, **kept: tuple[str, str]) -> None:
        cases = "".join(
            f"{server.replace('_', '.')}) echo '{json.dumps({'Username': u, 'Secret': s})}';;\n"
            for server, (u, s) in kept.items()
        )
        listed = json.dumps({server.replace("_", "."): u for server, (u, _) in kept.items()})
        path = self.root / "bin" / f"docker-credential-{name}"
        path.write_text(
            f"#!/bin/sh\nif [ $1 = list ]; then echo '{listed}'; exit; fi\n"
            f"case $(cat) in\n{cases}"
            "*) echo credentials not found in native keychain; exit 1;; esac\n"
        )
        path.chmod(0o755)

    def lookup(self, server: str) -> dict[str, str]:
        return credentials.lookup(self.shell(), credentials.key_of(server))


@pytest.fixture
def home(tmp_path: Path) -> Home:
    return Home(tmp_path)


@pytest.mark.parametrize(
    ("server", "key"),
    [
        ("", HUB_KEY),
        ("docker.io", HUB_KEY),
        ("index.docker.io", HUB_KEY),
        (HUB_KEY, HUB_KEY),
        ("registry-1.docker.io", HUB_KEY),
        ("localhost:5000", "localhost:5000"),
        ("https://host.example/v1/", "host.example"),
        ("http://[::1]:5000/", "[::1]:5000"),
    ],
)
def test_a_registry_is_called_by_its_host(server: str, key: str) -> None:
    assert credentials.key_of(server) == key


@pytest.mark.parametrize("name", ["host:1", "https://host:1", "http://host:1/v1/", "host:1/v2/"])
def test_entries_are_found_however_old_clients_wrote_them(home: Home, name: str) -> None:
    home.write({"auths": {name: {"auth": auth("joe", "a:b")}}})
    assert home.lookup("host:1") == {"username": "joe", "password": "a:b"}
    assert home.lookup("host:2") == {}


def test_tokens_come_before_passwords(home: Home) -> None:
    home.write({"auths": {"h": {"auth": auth("joe", "x"), "identitytoken": "t"}}})
    assert home.lookup("h") == {"identitytoken": "t"}
    home.write({"auths": {"h": {"registrytoken": "r"}}})
    assert home.lookup("h") == {"registrytoken": "r"}


def test_helpers_come_before_the_file_and_their_own_registry_before_all(home: Home) -> None:
    home.helper("all", a_b=("ann", "1"), c_d=("ann", "2"))
    home.helper("one", c_d=("<token>", "3"))
    entries = {"a.b": {"auth": auth("file", "x")}, "e.f": {"auth": auth("file", "y")}}
    home.write({"credsStore": "all", "credHelpers": {"c.d": "one"}, "auths": entries})
    assert home.lookup("a.b") == {"username": "ann", "password": "1"}
    assert home.lookup("c.d") == {"identitytoken": "3"}
    assert home.lookup("e.f") == {"username": "file", "password": "y"}
    home.environment["DOCKER_AUTH_CONFIG"] = json.dumps(
        {"auths": {"a.b": {"auth": auth("e", "v")}}}
    )
    assert home.lookup("a.b") == {"username": "e", "password": "v"}


def test_all_that_is_known_goes_with_a_build(home: Home) -> None:
    home.helper("all", a_b=("ann", "1"))
    home.write({"credsStore": "all", "auths": {"e.f": {"auth": auth("file", "y")}, "g.h": {}}})
    header = credentials.every_authorization(home.shell())
    assert json.loads(base64.urlsafe_b64decode(header)) == {
        "a.b": {"username": "ann", "password": "1", "serveraddress": "a.b"},
        "e.f": {"username": "file", "password": "y", "serveraddress": "e.f"},
    }


def test_the_header_names_the_registry_it_is_for(home: Home) -> None:
    home.write({"auths": {HUB_KEY: {"auth": auth("joe", "x?>")}}})
    header = credentials.authorization(home.shell(), "busybox")
    assert json.loads(base64.urlsafe_b64decode(header)) == {
        "username": "joe",
        "password": "x?>",
        "serveraddress": HUB_KEY,
    }
    assert credentials.authorization(home.shell(), "other.example/busybox") == ""


@pytest.mark.parametrize("entry", [{"auth": "%%%"}, {"auth": "bm9jb2xvbg=="}, {"auth": 5}])
def test_what_cannot_be_read_is_said_and_not_passed_over(home: Home, entry: object) -> None:
    home.write({"auths": {"h": entry}})
    with pytest.raises(Unavailable, match="cannot be read"):
        home.lookup("h")


@pytest.mark.parametrize("text", ["{", "[]", '"x"', "\0"])
def test_a_broken_configuration_is_named_and_stays_as_it_is(home: Home, text: str) -> None:
    home.path.parent.mkdir()
    home.path.write_text(text)
    with pytest.raises(InvalidRequest, match=r"error loading config file: .*config\.json"):
        read_config("", home.environment)
    assert home.path.read_text() == text


def test_what_is_not_ours_survives_a_change(home: Home) -> None:
    document = {"psFormat": "x", "unknown": {"b": [1, 2.5, None], "a": "<ü>"}, "auths": {"k": {}}}
    home.write(document)
    home.path.chmod(0o640)
    config = read_config("", home.environment)
    config.change(lambda values: values["auths"].update(new={}))
    assert home.read() == {**document, "auths": {"k": {}, "new": {}}}
    assert home.path.stat().st_mode & 0o777 == 0o640
    assert home.path.read_text().startswith('{\n\t"psFormat": "x",')
    assert os.listdir(home.path.parent) == ["config.json"]


def test_a_change_is_made_to_what_the_file_says_now(home: Home) -> None:
    home.write({"auths": {}})
    config = read_config("", home.environment)
    home.write({"auths": {}, "written": "meanwhile"})
    config.change(lambda values: values["auths"].update(new={}))
    assert home.read() == {"auths": {"new": {}}, "written": "meanwhile"}


def test_a_link_stays_a_link(home: Home, tmp_path: Path) -> None:
    elsewhere = tmp_path / "dotfiles.json"
    elsewhere.write_text("{}")
    home.path.parent.mkdir()
    home.path.symlink_to(elsewhere)
    read_config("", home.environment).change(lambda values: values.update(a=1))
    assert home.path.is_symlink()
    assert json.loads(elsewhere.read_text()) == {"a": 1}


def test_a_new_file_is_for_its_owner_only(home: Home) -> None:
    read_config("", home.environment).change(lambda values: values.update(a=1))
    assert home.path.stat().st_mode & 0o777 == 0o600
    assert home.path.parent.stat().st_mode & 0o777 == 0o700


def test_plain_text_replaces_the_helper_for_one_registry_only(home: Home) -> None:
    home.write({"credHelpers": {"h": "boxship", "other": "x"}, "auths": {"https://h": {}}})
    credentials.keep(home.shell(), "h", {"username": "joe", "password": "p"}, plain=True)
    assert home.read() == {
        "credHelpers": {"other": "x"},
        "auths": {"h": {"auth": auth("joe", "p")}},
    }


def test_the_hubs_helper_is_named_as_docker_and_as_podman_look_for_it(home: Home) -> None:
    kept = home.root / "bin" / "docker-credential-boxship"
    kept.write_text("#!/bin/sh\ncat >/dev/null\n")
    kept.chmod(0o755)
    home.write({"auths": {}})
    credentials.keep(home.shell(), HUB_KEY, {"username": "joe", "password": "p"}, plain=False)
    assert home.read() == {
        "credHelpers": {HUB_KEY: "boxship", "docker.io": "boxship"},
        "auths": {HUB_KEY: {}},
    }
    credentials.forget(home.shell(), HUB_KEY)
    assert home.read() == {"auths": {}}


def test_the_hubs_helper_may_be_named_for_podman_alone(home: Home) -> None:
    home.helper("their", **{"https://index.docker.io/v1/": ("joe", "p")})
    home.write({"credHelpers": {"docker.io": "their"}})
    assert home.lookup("") == {"username": "joe", "password": "p"}


def test_a_helper_that_fails_leaves_the_configuration_alone(home: Home) -> None:
    home.write({"credsStore": "broken"})
    (home.root / "bin" / "docker-credential-broken").write_text("#!/bin/sh\nexit 1\n")
    (home.root / "bin" / "docker-credential-broken").chmod(0o755)
    with pytest.raises(Unavailable, match="error saving credentials"):
        credentials.keep(home.shell(), "h", {"username": "u", "password": "p"}, plain=False)
    assert home.read() == {"credsStore": "broken"}
