"""Results that go to registries, and what builds may ask for."""

from __future__ import annotations

import json
import urllib.request
from collections.abc import Iterator

import pytest
from tests.support import doors
from tests.support.debian_registry import debian_registry
from tests.support.doors import Finished
from tests.support.engine import Engine

DOORS = doors.MODERN


@pytest.fixture(scope="module")
def locked(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    folder = tmp_path_factory.mktemp("locked")
    with debian_registry(folder, user="me", password="sesame") as host:
        yield host


@pytest.fixture(scope="module")
def registry(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with debian_registry(tmp_path_factory.mktemp("registry")) as host:
        yield host


def build(engine: Engine, door: str, text: str, *words: str) -> Finished:
    return doors.build(engine, door, *words, text=text, check=False)


@pytest.mark.docker_cli
@pytest.mark.parametrize("door", DOORS)
def test_a_result_is_pushed_with_what_the_client_logs_in_with(
    engine: Engine, locked: str, door: str
) -> None:
    """A push that was refused once held up the whole engine."""
    text, name = f"FROM scratch\nLABEL by={door}\n", f"{locked}/pushed:{door}"
    refused = build(engine, door, text, "--push", "-t", name)
    assert refused.returncode == 1
    assert "denied" in refused.stderr or "authentication" in refused.stderr
    engine.docker("login", "-u", "me", "--password-stdin", locked, input="sesame")
    try:
        done = build(engine, door, text, "-o", f"type=image,name={name},push=true")
        assert done.returncode == 0, done.stderr
    finally:
        engine.docker("logout", locked)
    engine.docker("image", "rm", name)


@pytest.mark.docker_cli
@pytest.mark.parametrize("door", doors.DOORS)
def test_a_base_that_is_pulled_is_told_of(engine: Engine, registry: str, door: str) -> None:
    """Nothing was shown until the whole of a large image was here."""
    base = f"{registry}/base:{door}"
    assert build(engine, "boxship", f"FROM busybox\nLABEL x={door}\n", "-t", base).returncode == 0
    engine.docker("push", base)
    engine.docker("image", "rm", base)
    done = build(engine, door, f"FROM {base}\nENV told={door}\n")
    assert done.returncode == 0, done.stderr
    told = done.stdout + done.stderr
    assert "Already exists" in told if door == "classic" else f"load metadata for {base}" in told
    again = build(engine, door, f"FROM {base}\nENV told={door}\n")
    assert base not in (again.stdout + again.stderr).partition("FROM")[0]
    engine.docker("image", "rm", base)


@pytest.mark.docker_cli
@pytest.mark.parametrize("door", DOORS)
def test_several_platforms_are_pushed_with_what_is_attested(
    engine: Engine, registry: str, door: str
) -> None:
    name = f"{registry}/several:{door}"
    words = ("--platform", "linux/amd64,linux/arm64", "--provenance=mode=max", "--sbom=true")
    done = build(engine, door, "FROM scratch\nENV A=b\n", *words, "--push", "-t", name)
    assert done.returncode == 0, done.stderr
    url = f"http://{registry}/v2/several/manifests/{door}"
    asked = urllib.request.Request(
        url, headers={"Accept": "application/vnd.oci.image.index.v1+json"}
    )
    with urllib.request.urlopen(asked) as answer:
        listed = json.load(answer)["manifests"]
    said = [(one["platform"]["os"], one["platform"]["architecture"]) for one in listed]
    assert sorted(said) == [("linux", "amd64"), ("linux", "arm64"), *[("unknown", "unknown")] * 2]
    engine.docker("image", "rm", name)


@pytest.mark.docker_cli
@pytest.mark.parametrize("door", DOORS)
def test_insecure_steps_need_the_daemons_consent_too(engine: Engine, door: str) -> None:
    text = "FROM busybox:latest\nRUN --security=insecure true\n"
    for words in ((), ("--allow", "security.insecure")):
        done = build(engine, door, text, *words)
        assert done.returncode == 1
        assert "security.insecure is not allowed" in done.stderr
