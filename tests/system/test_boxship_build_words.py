"""What the command line of a build refuses, in docker buildx's words; asked of both."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest
from tests.support.engine import PATIENCE, Engine, link_plugins

from boxship.cli import main

# Words after `buildx build`, and the last line that is said.
REFUSED: Mapping[str, str] = {
    "nodir": 'ERROR: unable to prepare context: path "nodir" not found',
    "-t UPPER ctx": 'ERROR: invalid tag "UPPER": repository name must be lowercase',
    "-t a:b:c ctx": 'ERROR: invalid tag "a:b:c": invalid reference format',
    "--platform nonsense/x/y/z/w ctx": 'ERROR: "z/w" is an invalid component of "nonsense/x/y/z/w"'
    ': platform specifier component must match "^[A-Za-z0-9_-]+$": invalid argument',
    "--progress nope ctx": "ERROR: invalid progress mode nope",
    "--progress rawjson -q ctx": "ERROR: progress=rawjson and quiet cannot be used together",
    "-q --progress plain ctx": "ERROR: progress=plain and quiet cannot be used together",
    "--secret id=a,src=nofile ctx": "ERROR: failed to stat nofile: stat nofile: no such file or "
    "directory",
    "--secret src ctx": "ERROR: invalid field 'src' must be a key=value pair",
    "--secret id=a,bogus=1 ctx": "ERROR: unexpected key 'bogus' in 'bogus=1'",
    "--secret type=x,id=a,src=ctx/f ctx": 'ERROR: unsupported secret type "x"',
    "--output type=local ctx": "ERROR: dest is required for local exporter",
    "--output mode=1,dest=x ctx": "ERROR: type is required for output",
    "--push ctx": "ERROR: tag is needed when pushing to registry",
    "--cache-from type=local ctx": "ERROR: local cache importer requires src",
    "--cache-from type= ctx": 'ERROR: type required form> "type="',
    "--cache-to type=local ctx": "ERROR: local cache exporter requires dest",
    "--cache-to type=registry ctx": "ERROR: registry cache exporter requires ref",
    "--allow nope ctx": "ERROR: unknown entitlement nope",
    "--add-host a ctx": "ERROR: invalid host a",
    "--add-host a:nope ctx": "ERROR: invalid host a:nope",
    "--annotation a ctx": 'ERROR: invalid annotation "a", expected key=value',
    "--annotation nope:a=b ctx": 'ERROR: unknown annotation type "nope"',
    "--attest mode=max ctx": "ERROR: attestation type not specified",
    "--provenance=nope ctx": "ERROR: invalid value nope",
    "--build-context a=nodir ctx": "ERROR: failed to get build context a: stat nodir: no such "
    "file or directory",
    "--build-context nope ctx": "ERROR: invalid context value: nope, expected key=value",
    "--label =b ctx": 'ERROR: invalid key-value pair "=b": empty key',
    "--no-cache --no-cache-filter base ctx": "ERROR: --no-cache and --no-cache-filter cannot "
    "currently be used together",
    "--builder nope ctx": 'ERROR: no builder "nope" found',
    "-f - -": "ERROR: invalid argument: can't use stdin for both build context and dockerfile",
}
# Usage errors: each client has its own way to point to its help.
WRONG = {
    "--shm-size nope ctx": 'invalid argument "nope" for "--shm-size" flag: invalid size: \'nope\'',
    "--ulimit nope=1 ctx": 'invalid argument "nope=1" for "--ulimit" flag: invalid ulimit type: '
    "nope",
    "--ulimit nofile=20:10 ctx": 'invalid argument "nofile=20:10" for "--ulimit" flag: ulimit soft '
    "limit must be less than or equal to hard limit: 20 > 10",
    "--nope ctx": "unknown flag: --nope",
}
# What docker buildx 0.13 does not have, or leaves to the builder.
NEWER = {
    "--call nope ctx": "ERROR: unknown call: nope",
    "--call check,format=x ctx": "ERROR: invalid format 'x' of --call, use text or json",
    "--policy filename=p.rego ctx": "ERROR: --policy filename=p.rego is not supported: policies in "
    "Rego are not evaluated; rules for sources are given by EXPERIMENTAL_BUILDKIT_SOURCE_POLICY",
    "-f other ctx": "ERROR: other.rego is a policy, and policies in Rego are not evaluated; "
    "--policy disabled=true builds without it",
    "--resource cpu=1 ctx": 'ERROR: unknown resource "cpu", expected one of memory, memory-swap, '
    "cpu-period, cpu-quota, cpu-shares, cpuset-cpus, cpuset-mems",
    "--resource memory ctx": 'ERROR: invalid resource "memory", expected key=value',
    "--resource memory=x ctx": 'ERROR: invalid value "x" for resource memory',
    "--attest type=nope ctx": 'ERROR: unknown attestation type "nope"',
}


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    (tmp_path / "ctx").mkdir()
    (tmp_path / "ctx/Dockerfile").write_text("FROM scratch\n")
    (tmp_path / "ctx/f").write_text("f")
    (tmp_path / "other.rego").write_text("package docker\n")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(main, "environment", lambda: {"HOME": str(tmp_path)})
    return tmp_path  # type: ignore[return-value]


@pytest.mark.parametrize("words", {**REFUSED, **NEWER})
def test_a_build_is_refused(
    words: str, folder: Path, engine: Engine, capfd: pytest.CaptureFixture[str]
) -> None:
    status = main.main(["-H", engine.host, "buildx", "build", *words.split()])
    said = capfd.readouterr().err.strip().splitlines()
    assert (status, said[-1]) == (1, {**REFUSED, **NEWER}[words])


@pytest.mark.parametrize("words", WRONG)
def test_a_wrong_command_line_is_told_from_a_refusal(
    words: str, folder: Path, engine: Engine, capfd: pytest.CaptureFixture[str]
) -> None:
    status = main.main(["-H", engine.host, "build", *words.split()])
    assert (status, capfd.readouterr().err.splitlines()[0]) == (125, WRONG[words])


def test_these_are_buildx_s_words(folder: Path, engine: Engine) -> None:
    if not link_plugins(folder / "config"):
        pytest.skip("docker buildx is neither installed nor could it be fetched")
    plugin = str(folder / "config/cli-plugins/docker-buildx")
    other: dict[str, tuple[int, str]] = {}
    for words, expected in {**REFUSED, **WRONG}.items():
        done = subprocess.run(
            [plugin, "build", *words.split()],
            cwd=folder,
            env={"PATH": os.environ["PATH"], "HOME": str(folder), "DOCKER_HOST": engine.host},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            check=False,
            text=True,
            timeout=60 * PATIENCE,
        )
        lines = [line for line in done.stderr.splitlines() if line and line[0] != "#"]
        found = lines[0].removeprefix("ERROR: ") if words in WRONG else lines[-1]
        if found != expected:
            other[words] = (done.returncode, found)
    assert other == {}
