"""`boxship buildx` around builds: builders, the cache, builds of the past."""

from __future__ import annotations

import base64
import json
import os
import re
import subprocess
import tarfile
from collections.abc import Callable
from pathlib import Path

import pytest
from tests.support.debian_registry import debian_registry
from tests.support.engine import BOXSHIP, Engine, link_plugins

from boxship.cli.building.imported import unpacked
from boxship.spec.buildkit import control_pb2 as pb

Finished = subprocess.CompletedProcess[str]
Run = Callable[..., Finished]


@pytest.fixture
def run(engine: Engine, tmp_path: Path) -> Run:
    def buildx(*words: str, check: bool = True, **environment: str) -> Finished:
        env = {"PATH": os.environ["PATH"], "HOME": str(tmp_path), **environment}
        return engine.boxship(*words, check=check, cwd=tmp_path, env=env)

    return buildx


def real(engine: Engine, *words: str) -> str:
    """Ask docker buildx the same."""
    if not link_plugins(engine.root / "config"):
        pytest.skip("docker buildx is neither installed nor could it be fetched")
    return engine.docker("buildx", *words).stdout


def test_a_builder_elsewhere_builds(engine: Engine, run: Run, tmp_path: Path) -> None:
    """One that is spoken to as a BuildKit is, without the engine's API."""
    (tmp_path / "Dockerfile").write_text(
        "FROM busybox:latest\nCOPY Dockerfile /\n"
        "RUN --mount=type=secret,id=s,target=/s cat /s > /t\n"
    )
    made = run("buildx", "create", "--name", "far", "--driver", "remote", "--use", engine.host)
    assert made.stdout == "far\n"
    listed = run("buildx", "ls").stdout.splitlines()
    assert listed[0].split() == ["NAME/NODE", "DRIVER/ENDPOINT", "STATUS", "BUILDKIT", "PLATFORMS"]
    assert listed[1].split() == ["far*", "remote"]
    assert listed[2].split()[:5] == ["\\_", "far0", "\\_", engine.host, "running"]
    told = run("build", "--secret", "id=s,env=S", "-o", "out", ".", S="kept").stderr
    assert told.startswith('#0 building with "far" instance using remote driver\n')
    assert (tmp_path / "out/t").read_text() == "kept"
    assert "Endpoint:         default" in run("buildx", "inspect", "default").stdout
    inspected = run("builder", "inspect", "--bootstrap").stdout
    assert f"Endpoint:         {engine.host}" in inspected
    named = run("buildx", "--builder", "default", "-D", "inspect").stdout
    assert named.startswith("Name:   default\nDriver: docker\n")
    assert "RECLAIMABLE" in run("buildx", "du").stdout
    run("buildx", "use", "default")
    assert run("buildx", "ls", "--format", "{{.Name}} {{.Current}}").stdout == (
        "far false\nfar0 false\ndefault true\ndefault false\n"
    )
    far, own = map(json.loads, run("buildx", "ls", "--format", "json").stdout.splitlines())
    assert (far["Name"], far["Nodes"][0]["Endpoint"]) == ("far", engine.host)
    assert own["Nodes"][0]["Platforms"] == far["Nodes"][0]["Platforms"]
    (tmp_path / ".docker/buildx/instances/gone").write_text(
        '{"Name": "gone", "Driver": "remote", "Nodes": [{"Endpoint": "unix:///nonexistent"}]}'
    )
    assert "Cannot connect" in run("build", "--builder", "gone", ".", check=False).stderr
    assert run("buildx", "rm", "--all-inactive", "-f").stderr == "gone removed\n"
    run("buildx", "stop", "far")
    assert run("buildx", "rm", "far").stderr == "far removed\n"


@pytest.mark.parametrize(
    ("words", "problem"),
    [
        ("create --driver docker-container", 'the driver "docker-container" is not supported'),
        ("create --driver nope", 'failed to find driver "nope"'),
        ("create --name x --driver remote", "no remote endpoint provided"),
        ("create --name default --driver remote tcp://x", "default is a reserved name"),
        ("create --name x --driver remote ssh://x", "a remote builder is at tcp://"),
        ("create --driver remote --driver-opt a=b tcp://x", "invalid driver option a"),
        ("create --driver remote --append tcp://x", "--append is not supported"),
        ("create --driver remote --driver-opt cacert=a tcp://x", "missing keys"),
        ("inspect nope", 'no builder "nope" found'),
        ("use nope", 'no builder "nope" found'),
        ("stop nope", 'no builder "nope" found'),
        ("rm default", "context builder cannot be removed"),
        ("uninstall", "are one command"),
        ("history open nope", "no record found"),
        ("history trace --compare nope", "no record"),
        ("history import -f none.tgz", "failed to open file none.tgz: no such file"),
        ("history logs a b", '"boxship buildx history logs" requires at most 1 argument'),
        ("history nope", "unknown command: boxship buildx history nope"),
        ("history rm", "rm requires at least one argument"),
        ("history inspect nope", "no record found"),
        ("prune -f --filter until=x", "until filter should be a duration"),
    ],
)
def test_what_there_is_not_is_refused(
    engine: Engine, words: str, problem: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    from boxship.cli import main

    monkeypatch.setattr(main, "environment", lambda: {"HOME": str(tmp_path)})
    assert main.main(["-H", engine.host, "buildx", *words.split()]) == 1
    assert problem in capfd.readouterr().err


def test_the_cache_is_shown_as_buildx_shows_it(engine: Engine, run: Run, tmp_path: Path) -> None:
    (tmp_path / "Dockerfile").write_text("FROM busybox:latest\nRUN echo cached > /c\n")
    run("build", "-q", ".")

    def table(text: str) -> list[str]:
        return sorted(re.sub(r"[\w ]+ ago$", "ago", line) for line in text.splitlines())

    ours = run("buildx", "du").stdout
    assert ours.startswith("ID\t\t\t\t\t\tRECLAIMABLE\tSIZE\t\tLAST ACCESSED\n")
    assert "Description:\t[2/2] RUN echo cached > /c\n" in run("buildx", "du", "--verbose").stdout
    found = run("buildx", "du", "--format", "json", "--filter", "type=regular").stdout
    assert {json.loads(line)["Type"] for line in found.splitlines()} == {"regular"}
    assert run("builder", "du", "--filter", "id=nope").stdout == "Reclaimable:\t0B\nTotal:\t\t0B\n"
    assert table(run("buildx", "du").stdout) == table(real(engine, "du"))


def shown(text: str) -> list[list[str]]:
    """What a listing says; the real client has a line, and wider columns, once it has built."""
    return [line.split() for line in text.splitlines() if not line.startswith("Last Activity:")]


def test_builders_are_shown_as_buildx_shows_them(engine: Engine, run: Run) -> None:
    template = "{{.Name}} {{.DriverEndpoint}} {{.Status}} {{.Buildkit}} {{.Platforms}}"
    for words in (["inspect"], ["inspect", "--bootstrap"], ["ls", "--format", template]):
        assert shown(run("buildx", *words).stdout) == shown(real(engine, *words))
    (ours,) = map(json.loads, run("buildx", "ls", "--format", "json").stdout.splitlines())
    theirs = json.loads(real(engine, "ls", "--format", "json").splitlines()[0])
    assert ours.pop("Current") is True
    theirs.pop("LastActivity", None)
    assert ours == theirs


def test_a_past_build_is_shown_exported_and_forgotten(run: Run, tmp_path: Path) -> None:
    (tmp_path / "Dockerfile").write_text("FROM busybox:latest\nARG A\nRUN echo of the past\n")
    run("build", "-q", "--no-cache", "--build-arg", "A=b", "--provenance=mode=max", ".")
    refs = run("buildx", "history", "ls", "--format", "{{.Ref}} {{.Status}}").stdout.splitlines()
    ref, status = refs[0].split()
    assert status == "Completed"
    said = json.loads(run("buildx", "history", "inspect", "--format", "json", ref[:20]).stdout)
    assert (said["Ref"], said["Name"]) == (ref, tmp_path.name)
    assert (said["Context"], said["Dockerfile"]) == (".", "Dockerfile")
    outside = run("buildx", "history", "ls", "--local", check=False)
    assert "is in no git repository" in outside.stderr
    (tmp_path / ".git").mkdir()
    named = ("--format", "{{.Ref}} {{.Name}}")
    listed = run("buildx", "history", "ls", "--local", *named).stdout.splitlines()
    assert listed == [f"{ref} {tmp_path.name}"]
    assert {"Name": "A", "Value": "b"} in said["BuildArgs"]
    assert "provenance" in said["Attachments"][0]["Type"]
    assert any("busybox" in material["URI"] for material in said["Materials"])
    assert (said["Status"], said["Duration"] > 0) == ("completed", True)
    assert said["Config"]["NoCache"] is True
    told = run("buildx", "history", "inspect", ref).stdout
    assert re.search(r"^MATERIAL +DIGESTS$", told, re.MULTILINE)
    shape = ("--format", "{{.Ref}} {{.Status}} {{range .BuildArgs}}{{.Name}}{{end}}")
    assert run("buildx", "history", "inspect", *shape, ref).stdout.split() == [
        ref, "completed", "A",
    ]  # fmt: skip
    kept = json.loads(run("buildx", "history", "inspect", "attachment", ref).stdout)
    assert "buildType" in kept or "buildDefinition" in kept
    assert re.search(r"^#\d+ \d\.\d+ of the past$", run("buildx", "history", "logs", ref).stdout,
                     re.MULTILINE)  # fmt: skip
    run("builder", "history", "export", "--finalize", "-o", "kept.tgz", ref)
    with tarfile.open(tmp_path / "kept.tgz") as tar:
        names = tar.getnames()
        index = json.load(tar.extractfile("index.json"))  # type: ignore[arg-type]
    assert "oci-layout" in names
    digest = index["manifests"][0]["digest"].replace(":", "/")
    assert f"blobs/{digest}" in names
    trace = json.loads(run("buildx", "history", "trace", ref).stdout)["data"][0]
    (root, *steps) = trace["spans"]
    assert any(one["operationName"].endswith("RUN echo of the past") for one in steps)
    assert {one["references"][0]["spanID"] for one in steps} >= {root["spanID"]}
    lasts = root["startTime"] + root["duration"]
    assert all(root["startTime"] <= one["startTime"] <= lasts for one in steps)
    assert trace["processes"] == {"p1": {"serviceName": "boxshipd", "tags": []}}
    hours = ("buildx", "history", "ls", "--filter", "startedAt<1h", "--filter", f"ref={ref}")
    assert ref not in run(*hours).stdout
    both = ("--filter", f"ref={ref[:20]}", "--filter", "status=completed")
    assert ref in run("buildx", "history", "ls", *both).stdout
    assert run("buildx", "history", "rm", ref).stdout == f"{ref}\n"
    assert ref not in run("buildx", "history", "ls", "--no-trunc").stdout

    # What was exported is read anywhere, also when no builder knows it any more.
    imported = f".imported/_/{ref}"
    assert run("buildx", "history", "import", "-f", "kept.tgz").stdout == f"{imported}\n"
    assert ref in run("buildx", "history", "ls", "--builder", ".imported").stdout
    form = ("--format", "json")
    again = json.loads(run("buildx", "history", "inspect", *form, imported).stdout)
    local = ("Name", "Context", "Dockerfile")  # the archive does not tell where it was
    assert {key: one for key, one in again.items() if key not in local} == {
        key: one for key, one in said.items() if key not in local
    }
    assert "of the past" in run("buildx", "history", "logs", imported).stdout
    assert json.loads(run("buildx", "history", "trace", imported).stdout)["data"][0] == trace
    assert json.loads(run("buildx", "history", "inspect", "attachment", imported).stdout) == kept
    run("buildx", "history", "export", "-o", "again.tgz", imported)
    assert records_in(tmp_path / "again.tgz") == records_in(tmp_path / "kept.tgz")
    assert run("buildx", "history", "rm", imported).stdout == f"{ref}\n"
    assert "no record" in run("buildx", "history", "logs", imported, check=False).stderr


def records_in(archive: Path) -> list[pb.HistoryRecord]:
    with archive.open("rb") as file:
        return [record for record, _ in unpacked(file)]


def test_a_builder_is_spoken_to_over_standard_input(engine: Engine, run: Run) -> None:
    """What stands on the other side answers in HTTP/2: a settings frame."""
    process = subprocess.Popen(
        [*BOXSHIP, "-H", engine.host, "buildx", "dial-stdio"],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE,
    )  # fmt: skip
    try:
        assert process.stdin is not None
        assert process.stdout is not None
        process.stdin.write(
            b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + bytes([0, 0, 0, 4, 0, 0, 0, 0, 0])
        )
        process.stdin.flush()
        assert process.stdout.read(9)[3] == 4
    finally:
        process.kill()
        process.wait()
        process.stdin.close()
        process.stdout.close()


def test_images_in_a_registry_are_shown_and_put_together(
    engine: Engine, run: Run, tmp_path: Path
) -> None:
    (tmp_path / "Dockerfile").write_text("FROM scratch\nLABEL a=b\n")
    with debian_registry(tmp_path / "registry") as host:
        run("build", "-q", "--provenance=true", "--push", "-t", f"{host}/x:1", ".")
        run("build", "-q", "--push", "-t", f"{host}/x:2", "--platform", "linux/arm64", ".")
        made = run("buildx", "imagetools", "create", "-t", f"{host}/y:both",
                   "--annotation", "index:n=v", f"{host}/x:1", f"{host}/x:2")  # fmt: skip
        assert made.stderr.count("copying sha256:") == 3
        raw = json.loads(run("buildx", "imagetools", "inspect", "--raw", f"{host}/y:both").stdout)
        assert [one["platform"]["architecture"] for one in raw["manifests"]] == [
            "amd64", "unknown", "arm64",
        ]  # fmt: skip
        assert raw["annotations"] == {"n": "v"}
        only = ["--platform", "linux/amd64", "-t", f"{host}/y:amd64", f"{host}/y:both"]
        run("buildx", "imagetools", "create", "--metadata-file", "m.json", *only)
        shown = run("buildx", "imagetools", "inspect", f"{host}/y:amd64").stdout
        about = json.loads((tmp_path / "m.json").read_text())["containerimage.descriptor"]
        assert f"Digest:    {about['digest']}\n" in shown
        assert "linux/arm64" not in shown
        template = ["--format", "{{.Name}} {{.Image.config.Labels.a}}", f"{host}/x:2"]
        assert run("buildx", "imagetools", "inspect", *template).stdout == f"{host}/x:2 b\n"
        dry = ["imagetools", "create", "--dry-run", f"{host}/x:1", f"{host}/x:2"]
        ours = json.loads(run("buildx", *dry).stdout)
        assert run("buildx", "imagetools", "create", check=False).returncode == 1
        missing = run("buildx", "imagetools", "inspect", f"{host}/none", check=False)
        assert "no such manifest" in missing.stderr
        theirs = json.loads(real(engine, *dry))
        for one in theirs["manifests"]:
            one.get("platform", {}).pop("variant", None)
        for one in ours["manifests"]:
            one.get("platform", {}).pop("variant", None)
        assert ours == theirs
        theirs_shown = real(engine, "imagetools", "inspect", f"{host}/y:amd64")
        assert sorted(shown.split("\n")) == sorted(theirs_shown.split("\n"))  # in no order there


def test_images_go_from_one_registry_to_another(engine: Engine, run: Run, tmp_path: Path) -> None:
    (tmp_path / "Dockerfile").write_text("FROM scratch\nCOPY Dockerfile /\nLABEL a=b\n")
    words = base64.b64encode(b"me:secret").decode()
    with (
        debian_registry(tmp_path / "one") as one,
        debian_registry(tmp_path / "two", user="me", password="secret") as two,
    ):
        for arch in ("amd64", "arm64"):
            build = ("build", "-q", "--push", "-t", f"{one}/x:{arch}", "--platform", arch, ".")
            run(*build, "--provenance=mode=min", "--sbom=true")
        create = ("buildx", "imagetools", "create")
        refused = run(*create, "-t", f"{two}/y:1", f"{one}/x:amd64", check=False)
        assert refused.returncode == 1
        (tmp_path / ".docker").mkdir(exist_ok=True)
        (tmp_path / ".docker/config.json").write_text(json.dumps({"auths": {two: {"auth": words}}}))
        run(*create, "-t", f"{two}/y:1", f"{one}/x:amd64")
        raw = ("buildx", "imagetools", "inspect", "--raw")
        theirs = run(*raw, f"{one}/x:amd64").stdout
        assert run(*raw, f"{two}/y:1").stdout == theirs  # a carbon copy
        # More of it, from the other registry; what there is has another annotation by platform.
        run(
            *create, "--append", "-t", f"{two}/y:1",
            "--annotation", "manifest-descriptor[linux/arm64]:only=arm", f"{one}/x:arm64",
        )  # fmt: skip
        listed = json.loads(run(*raw, f"{two}/y:1").stdout)["manifests"]
        images = [one for one in listed if one["platform"]["os"] == "linux"]
        assert [one.get("annotations") for one in images] == [None, {"only": "arm"}]
        # A descriptor in a file says more of a manifest; a digest is one of the repository's.
        described = {**images[0], "platform": {**images[0]["platform"], "os.version": "10.1"}}
        (tmp_path / "d.json").write_text(json.dumps(described))
        run(*create, "-f", "d.json", "-t", f"{two}/y:2", images[1]["digest"])
        again = json.loads(run(*raw, f"{two}/y:2").stdout)["manifests"]
        assert again[0]["platform"]["os.version"] == "10.1"
        assert again[1]["digest"] == images[1]["digest"]
        single = ("--prefer-index=false", "-t", f"{two}/z:1", f"{two}/y@{images[1]['digest']}")
        run(*create, *single)
        assert json.loads(run(*raw, f"{two}/z:1").stdout)["config"]
        looked = run("buildx", "imagetools", "inspect", "--format",
                     "{{json .Provenance}} {{json .SBOM}}", f"{two}/y:1").stdout  # fmt: skip
        provenance, _, sbom = looked.partition(" ")
        assert set(json.loads(provenance)) == {"linux/amd64", "linux/arm64"}
        assert "SPDX" in json.loads(sbom)["linux/arm64"]
        engine.boxship("pull", "-q", f"{two}/y:1", env={**os.environ, "HOME": str(tmp_path)})
        assert "b" in engine.boxship("inspect", f"{two}/y:1", "-f", "{{.Config.Labels.a}}").stdout
