"""The container routes over a real engine: statuses and bodies, for every version served."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from typing import Any

import pytest
from tests.support.rawapi import Api

IMAGE = "busybox:latest"
VERSIONS = ["", *(f"/v1.{minor}" for minor in range(24, 57))]
_numbers = itertools.count(1)


@pytest.fixture
def made(api: Api) -> Iterator[str]:
    name = f"route-{next(_numbers)}"
    body = {"Image": IMAGE, "Cmd": ["sleep", "600"], "HostConfig": {"NetworkMode": "none"}}
    assert api.status("POST", f"/containers/create?name={name}", body) == 201
    yield f"/containers/{name}"
    api.ask("DELETE", f"/containers/{name}?force=1")


@pytest.mark.parametrize("version", VERSIONS)
def test_a_life(api: Api, version: str) -> None:
    name = f"life-{next(_numbers)}"
    body = {
        "Image": IMAGE,
        "Cmd": ["sh", "-c", "echo out; sleep 600"],
        "HostConfig": {"NetworkMode": "none"},
        "StopSignal": "SIGKILL",
    }
    status, answer = api.ask("POST", f"{version}/containers/create?name={name}", body)
    assert (status, answer["Warnings"]) == (201, [])
    at = f"{version}/containers/{name}"
    steps = [
        ("POST", f"{at}/start", 204),
        ("POST", f"{at}/start", 304),
        ("POST", f"{at}/unpause", 500),
        ("POST", f"{at}/pause", 204),
        ("POST", f"{at}/pause", 409),
        ("POST", f"{at}/unpause", 204),
        ("GET", f"{at}/json", 200),
        ("GET", f"{at}/top", 200),
        ("GET", f"{at}/stats?stream=0&one-shot=1", 200),
        ("GET", f"{at}/changes", 200),
        ("POST", f"{at}/kill?signal=NONE", 400),
        ("DELETE", at, 409),
        ("POST", f"{at}/stop", 204),
        ("POST", f"{at}/stop", 304),
        ("POST", f"{at}/kill", 409),
        ("GET", f"{at}/top", 409),
        ("POST", f"{at}/pause", 409),
        ("POST", f"{at}/wait", 200),
        ("GET", f"{at}/logs", 400),
        ("GET", f"{at}/logs?stdout=1", 200),
        ("POST", f"{at}/rename?name={name}", 400),
        ("DELETE", at, 204),
        ("DELETE", at, 404),
        ("GET", f"{at}/json", 404),
    ]
    for method, path, wanted in steps:
        status, answer = api.ask(method, path)
        assert status == wanted, (method, path, answer)
        if status >= 400:
            assert set(answer) == {"message"}


VERBS = [
    *(("GET", word) for word in ("json", "logs?stdout=1", "top", "stats", "changes", "export")),
    *(("POST", word) for word in ("start", "stop", "restart", "kill", "pause", "unpause")),
    *(("POST", word) for word in ("rename?name=xx", "resize?h=1&w=1", "wait", "attach?logs=1")),
    ("POST", "update"), ("POST", "exec"), ("DELETE", ""), ("GET", "archive?path=/x"),
    ("HEAD", "archive?path=/x"), ("PUT", "archive?path=/x"),
]  # fmt: skip


@pytest.mark.parametrize(("method", "verb"), VERBS)
def test_what_is_not_there_is_not_found(api: Api, method: str, verb: str) -> None:
    body = {"Cmd": ["true"]} if verb == "exec" else None
    status, answer = api.ask(method, f"/containers/no-such-{verb[:2]}/{verb}".rstrip("/"), body)
    assert status == 404
    if method != "HEAD":
        said = f"cannot kill container: no-such-{verb[:2]}: " if verb == "kill" else ""
        assert answer["message"].startswith(f"{said}No such container: no-such-")


@pytest.mark.parametrize(
    ("method", "verb", "wanted"),
    [
        ("POST", "resize?h=1&w=1", 409),
        ("POST", "resize?h=-1&w=1", 400),
        ("POST", "resize?h=1&w=65536", 400),
        ("POST", "resize?h=1", 400),
        ("POST", "resize?h=x&w=1", 400),
        ("POST", "stop?t=x", 400),
        ("POST", "stop?signal=NONE", 400),
        ("POST", "kill?signal=0", 400),
        ("POST", "kill?signal=99", 400),
        ("POST", "wait?condition=never", 400),
        ("POST", "rename", 400),
        ("POST", "rename?name=a%20b", 400),
        ("POST", "start?checkpoint=x", 400),
        ("POST", "start?detachKeys=ctrl-nothing", 400),
        ("POST", "attach?detachKeys=ctrl-1", 400),
        ("GET", "logs?stdout=1&since=yesterday", 400),
        ("GET", "archive", 400),
        ("GET", "archive?path=", 400),
        ("GET", "archive?path=%00", 400),
        ("DELETE", "?link=1", 409),
        ("GET", "top", 409),
        ("GET", "nothing", 404),
        ("PATCH", "json", 404),
    ],
)
def test_questions_that_make_no_sense(
    api: Api, made: str, method: str, verb: str, wanted: int
) -> None:
    path = f"{made}{verb}" if verb.startswith("?") else f"{made}/{verb}"
    assert api.status(method, path) == wanted


@pytest.mark.parametrize(
    ("body", "kind", "wanted", "said"),
    [
        (b"", "", 400, "invalid JSON: got EOF while reading request body"),
        (b"null", "", 400, "config cannot be empty"),
        (b"{}", "", 400, "config cannot be empty"),
        (b"{", "", 400, "invalid JSON"),
        (b"[]", "", 400, "invalid JSON"),
        (b'{"Image":"a"}{"Image":"b"}', "", 400, "unexpected content after JSON"),
        (b'{"HostConfig":{"Memory":9223372036854775808}}', "", 400, "has no room in 64 bits"),
        (b'{"Image": 5}', "", 400, "invalid JSON"),
        (b'{"Image":"x"}', "text/plain", 400, "unsupported Content-Type"),
        ({"Image": "no-such"}, "", 404, "No such image: no-such"),
        ({"Image": "UPPER"}, "", 400, "invalid reference format"),
        ({"Image": IMAGE, "Cmd": ["x"], "HostConfig": {"Memory": 5}}, "", 400, "6MB"),
        ({"Image": IMAGE, "HostConfig": {"Runtime": "none"}}, "", 400, "runtime name: none"),
        (
            {"Image": IMAGE, "HostConfig": {"NetworkMode": "container:nobody"}},
            "", 400, "No such container: nobody",
        ),
        (
            {"Image": IMAGE, "HostConfig": {"VolumesFrom": ["nobody"]}},
            "", 400, "No such container: nobody",
        ),
        ({"Image": IMAGE, "WorkingDir": "/bin/busybox"}, "", 400, "Cannot mkdir: /bin/busybox"),
        ({"Image": IMAGE, "MacAddress": "zz"}, "", 400, "invalid MAC address: zz"),
        (
            {
                "Image": IMAGE,
                "NetworkingConfig": {"EndpointsConfig": {"bridge": {"Aliases": ["x"]}}},
            },
            "", 400, "network-scoped aliases are only supported for user-defined networks",
        ),
        ({"Image": IMAGE, "WorkingDir": "relative"}, "", 400, "needs to be an absolute path"),
    ],
)  # fmt: skip
def test_what_cannot_be_made(api: Api, body: Any, kind: str, wanted: int, said: str) -> None:
    status, answer = api.ask("POST", "/containers/create", body, kind)
    assert (status, said in str(answer)) == (wanted, True), answer


def test_a_name_belongs_to_one(api: Api, made: str) -> None:
    name = made.rpartition("/")[2]
    status, answer = api.ask("POST", f"/containers/create?name={name}", {"Image": IMAGE})
    assert status == 409
    assert answer["message"].startswith(f'Conflict. The container name "/{name}" is already in use')
    status, answer = api.ask("POST", "/containers/create?name=a+b", {"Image": IMAGE})
    assert status == 400
    assert answer["message"].startswith("Invalid container name (a b), only [a-zA-Z0-9]")


def test_execs(api: Api, made: str) -> None:
    assert api.status("POST", f"{made}/exec", {"Cmd": ["true"]}) == 409
    assert api.status("POST", f"{made}/start") == 204
    for body, wanted in (
        ({}, 400),
        ({"Cmd": []}, 400),
        ({"Cmd": ["true"], "ConsoleSize": [1]}, 400),
        ({"Cmd": ["true"], "DetachKeys": "ctrl-nothing"}, 400),
        (b"{", 400),
    ):
        assert api.status("POST", f"{made}/exec", body) == wanted, body
    status, answer = api.ask("POST", f"{made}/exec", {"Cmd": ["sh", "-c", "exit 7"]})
    assert status == 201
    at = f"/exec/{answer['Id']}"
    assert api.ask("GET", f"{at}/json")[1]["Running"] is False
    assert api.status("POST", f"{at}/resize?h=1&w=1") in (400, 409, 500)
    assert api.status("POST", f"{at}/start", {"Detach": True}) == 200
    assert api.status("POST", f"{at}/start", {"Detach": True}) == 409
    assert api.status("GET", "/exec/nothing/json") == 404
    assert api.status("POST", "/exec/nothing/start", {}) == 404
    assert api.status("POST", "/exec/nothing/resize?h=1&w=1") == 404


def test_a_start_that_fails_is_told_with_its_exit_code(api: Api) -> None:
    name = f"fails-{next(_numbers)}"
    body = {"Image": IMAGE, "Cmd": ["/no/such"], "HostConfig": {"NetworkMode": "none"}}
    api.ask("POST", f"/containers/create?name={name}", body)
    status, answer = api.ask("POST", f"/containers/{name}/start")
    assert status == 400
    assert "no such file or directory" in answer["message"]
    state = api.ask("GET", f"/containers/{name}/json")[1]["State"]
    assert (state["Status"], state["ExitCode"]) == ("created", 127)
    assert state["Error"] == answer["message"]
    api.ask("DELETE", f"/containers/{name}")


@pytest.mark.parametrize(
    ("version", "has"),
    [
        ("1.24", {"top address": True, "DNSNames": False, "GwPriority": False, "manifest": False}),
        ("1.43", {"top address": True, "DNSNames": False, "GwPriority": False, "manifest": False}),
        ("1.44", {"top address": True, "DNSNames": True, "GwPriority": False, "manifest": False}),
        ("1.48", {"top address": True, "DNSNames": True, "GwPriority": True, "manifest": True}),
        ("1.56", {"top address": False, "DNSNames": True, "GwPriority": True, "manifest": True}),
    ],
)
def test_what_inspect_shows_to_whom(api: Api, version: str, has: dict[str, bool]) -> None:
    name = f"shown-{next(_numbers)}"
    assert api.status("POST", f"/containers/create?name={name}", {"Image": IMAGE}) == 201
    shown = api.ask("GET", f"/v{version}/containers/{name}/json")[1]
    (endpoint,) = shown["NetworkSettings"]["Networks"].values()
    found = {
        "top address": "IPAddress" in shown["NetworkSettings"],
        "DNSNames": "DNSNames" in endpoint,
        "GwPriority": "GwPriority" in endpoint,
        "manifest": "ImageManifestDescriptor" in shown,
    }
    assert found == has
    api.ask("DELETE", f"/containers/{name}")
