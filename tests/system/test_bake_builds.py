"""`buildx bake` on a real engine: targets that are built, asked about, fetched and refused."""

from __future__ import annotations

import io
import json
import os
import subprocess
import tarfile
from collections.abc import Callable
from pathlib import Path

import pytest
from tests.support.engine import Engine
from tests.support.gitrepo import Repository
from tests.support.websites import Page, repositories, site

Finished = subprocess.CompletedProcess[str]
Bake = Callable[..., Finished]


@pytest.fixture
def bake(engine: Engine, tmp_path: Path) -> Bake:
    def run(*words: str, check: bool = True, input: str = "", **environment: str) -> Finished:
        env = {"PATH": os.environ["PATH"], "HOME": str(tmp_path), **environment}
        return engine.boxship(
            "buildx", "bake", *words, check=check, cwd=tmp_path, env=env, input=input
        )

    return run


SEVERAL = """
variable "WORD" {
  type    = string
  default = "unset"
  validation {
    condition     = length(split("", WORD)) < 20
    error_message = "WORD is too long."
  }
}
function "tagged" {
  params = [name]
  result = ["bake-several:${name}"]
}
group "default" {
  targets = ["each", "top"]
}
target "each" {
  name   = "each-${letter}"
  matrix = { letter = ["a", "b"] }
  dockerfile-inline = <<-EOT
    FROM busybox:latest
    ARG WORD
    RUN echo ${letter} $${WORD} > /said
  EOT
  args = { WORD = WORD }
  tags = tagged(letter)
}
target "top" {
  contexts = { one = "target:each-a", two = "target:hidden" }
  dockerfile-inline = <<EOT
FROM one
COPY --from=two /hidden /
EOT
  output = ["type=local,dest=out"]
}
target "hidden" {
  dockerfile-inline = "FROM scratch\\nCOPY docker-bake.hcl /hidden\\n"
  tags = ["bake-several:never"]
}
"""


def test_targets_are_built_together(engine: Engine, bake: Bake, tmp_path: Path) -> None:
    (tmp_path / "docker-bake.hcl").write_text(SEVERAL)
    done = bake("--metadata-file", "meta.json", "--progress", "plain", WORD="given")
    assert (tmp_path / "out/said").read_text() == "a given\n"
    assert (tmp_path / "out/hidden").read_text() == SEVERAL
    said = json.loads((tmp_path / "meta.json").read_text())
    assert sorted(said) == ["each-a", "each-b", "top"]
    for letter in "ab":
        shown = engine.docker("image", "inspect", "-f", "{{.Id}}", f"bake-several:{letter}").stdout
        assert said[f"each-{letter}"]["containerimage.digest"] == shown.strip()
    assert "never" not in engine.docker("images", "bake-several").stdout
    assert "[top internal] load build definition" in done.stderr
    assert "[each-b] exporting to image" in done.stderr
    refused = bake("--var", "WORD=much longer than allowed", check=False)
    assert refused.stderr.endswith("Validation failed; WORD is too long.\n")


CHECKED = """
target "default" {
  description = "The one"
  dockerfile-inline = "from scratch AS x\\nCOPY a /\\n"
}
"""


def test_targets_are_checked_and_asked_about(bake: Bake, tmp_path: Path) -> None:
    (tmp_path / "docker-bake.hcl").write_text(CHECKED)
    checked = bake("--check", check=False)
    assert checked.returncode == 1
    assert checked.stdout.startswith("default\nThe one\n\n")
    assert "ConsistentInstructionCasing" in checked.stdout
    told = json.loads(bake("--call", "targets,format=json").stdout)
    assert told["target"]["default"]["targets"]["targets"][0]["name"] == "x"
    assert told["target"]["default"]["build"]["call"] == "targets"


def test_a_failed_target_is_named_and_ends_the_rest(bake: Bake) -> None:
    text = (
        'group "default" {\n  targets = ["good", "bad"]\n}\n'
        'target "good" { dockerfile-inline = "FROM scratch\\nLABEL a=b\\n" }\n'
        'target "bad" { dockerfile-inline = "FROM busybox:latest\\nRUN exit 4\\n" }\n'
    )
    done = bake("-f", "-", check=False, input=text)
    assert done.returncode == 1
    assert " > [bad 2/2] RUN exit 4:" in done.stderr
    assert "   2 | >>> RUN exit 4" in done.stderr
    assert done.stderr.splitlines()[-1].endswith("did not complete successfully: exit code: 4")


REMOTE = """
target "default" {
  context = "app"
  contexts = { mine = BAKE_CMD_CONTEXT }
  args = { WHERE = BAKE_CMD_CONTEXT }
  output = ["type=local,dest=out"]
}
"""
FROM_BOTH = "FROM scratch\nCOPY f /\nCOPY --from=mine g /\n"


def test_a_definition_comes_from_a_repository(bake: Bake, tmp_path: Path) -> None:
    made = Repository.new(tmp_path / "served/repo.git")
    (made.path / "app").mkdir()
    (made.path / "app/f").write_text("of the repository")
    (made.path / "app/Dockerfile").write_text(FROM_BOTH)
    made.commit(docker___bake__hcl="unused")
    (made.path / "docker-bake.hcl").write_text(REMOTE)
    (made.path / "other.hcl").write_text(REMOTE.replace("dest=out", "dest=other"))
    made.commit_all()
    (tmp_path / "g").write_text("of this folder")
    with site(repositories(tmp_path / "served")) as served:
        url = f"{served.url}/repo.git#main"
        printed = json.loads(bake("--print", url).stdout)["target"]["default"]
        assert printed["context"] == f"{url}:app"
        assert printed["contexts"] == {"mine": "."}
        bake(url)
        assert (tmp_path / "out/f").read_text() == "of the repository"
        assert (tmp_path / "out/g").read_text() == "of this folder"
        bake("-f", "other.hcl", "--print", url)
        missing = bake("-f", "nope.hcl", "--print", url, check=False)
        assert missing.returncode == 1


def test_a_definition_comes_from_a_url(bake: Bake, tmp_path: Path) -> None:
    text = b'target "default" {\n  context = BAKE_CMD_CONTEXT\n  tags = ["from:url"]\n}\n'
    with site(lambda asked: Page(text)) as served:
        told = json.loads(bake("--print", f"{served.url}/some/docker-bake.hcl").stdout)
    assert told["target"]["default"]["tags"] == ["from:url"]
    assert told["target"]["default"]["context"] == "."


COMPOSE = """
include: [more/compose.yaml]
services:
  app:
    extends: {file: more/compose.yaml, service: base}
    build:
      additional_contexts: {mine: ./data}
      dockerfile_inline: "FROM scratch\\nCOPY f /\\nCOPY --from=mine g /\\n"
      x-bake: {output: "type=local,dest=out"}
"""
MORE = """
services: {base: {build: {context: ./below, args: {A: $A}, tags: [base]}}}
"""


def packed(*members: tuple[str, str | Path]) -> bytes:
    """Return an archive of files by their text, and of links."""
    data = io.BytesIO()
    with tarfile.open(fileobj=data, mode="w:gz") as archive:
        for name, said in members:
            member = tarfile.TarInfo(name)
            if isinstance(said, Path):
                member.type, member.linkname = tarfile.SYMTYPE, str(said)
                archive.addfile(member)
            else:
                member.size = len(said)
                archive.addfile(member, io.BytesIO(said.encode()))
    return data.getvalue()


def test_a_compose_file_of_a_repository_names_others_there(bake: Bake, tmp_path: Path) -> None:
    made = Repository.new(tmp_path / "served/repo.git")
    (made.path / "more/below").mkdir(parents=True)
    (made.path / "data").mkdir()
    (made.path / "more/compose.yaml").write_text(MORE)
    (made.path / "more/below/f").write_text("f")
    (made.path / "data/g").write_text("g")
    (made.path / "compose.yaml").write_text(COMPOSE)
    made.commit_all()
    (tmp_path / "more").mkdir()
    (tmp_path / "more/compose.yaml").write_text("services: {base: {build: ./wrong}}")
    with site(repositories(tmp_path / "served")) as served:
        url = f"{served.url}/repo.git#main"
        printed = json.loads(bake("--print", url, A="1").stdout)["target"]
        assert printed["app"]["context"] == f"{url}:more/below"
        assert printed["app"]["args"] == {"A": "1"}
        assert printed["base"]["context"] == f"{url}:more/below"
        bake(url, "app")
    assert (tmp_path / "out/f").read_text() == "f"
    assert (tmp_path / "out/g").read_text() == "g"


def test_a_definition_comes_from_an_archive(bake: Bake, tmp_path: Path) -> None:
    pages = {
        "/good.tar.gz": packed(
            ("compose.yaml", COMPOSE), ("more/compose.yaml", MORE),
            ("more/below/f", "f"), ("data/g", "g"),
            ("other.hcl", 'target "default" { context = "data" }'),
        ),
        "/out.tgz": packed(
            ("docker-bake.hcl", 'target "default" { context = "link" }'), ("link", tmp_path),
        ),
        "/file.tgz": packed(("docker-bake.hcl", tmp_path / "secret")),
        "/above.tgz": packed(("docker-bake.hcl", 'target "default" { context = "../up" }')),
    }  # fmt: skip
    (tmp_path / "secret").write_text('target "default" {}')
    with site(lambda asked: Page(pages[asked.path])) as served:
        url = f"{served.url}/good.tar.gz"
        printed = json.loads(bake("--print", url).stdout)["target"]["app"]
        assert printed["context"] == "more/below"
        other = json.loads(bake("--print", "-f", "other.hcl", url).stdout)["target"]["default"]
        assert other["context"] == "data"
        bake(url, "app")
        assert (tmp_path / "out/f").read_text() + (tmp_path / "out/g").read_text() == "fg"
        for page in ("out", "file", "above"):
            refused = bake(f"{served.url}/{page}.tgz", check=False)
            assert refused.returncode == 1
            assert "is outside of the archive" in refused.stderr


def test_what_is_granted_may_be_done(bake: Bake, tmp_path: Path) -> None:
    """Files beyond the folder, the host's network."""
    outside = tmp_path.parent / f"{tmp_path.name}-outside"
    outside.mkdir()
    (outside / "f").write_text("outside")
    (tmp_path / "docker-bake.hcl").write_text(
        f'target "default" {{\n  context = "{outside}"\n  network = "host"\n'
        '  dockerfile-inline = "FROM scratch\\nCOPY f /\\n"\n'
        '  output = ["type=local,dest=out"]\n}\n'
    )
    refused = bake(check=False)
    assert "additional privileges requested" in refused.stderr
    assert f'"--allow=network.host --allow=fs.read={outside}"' in refused.stderr
    assert not (tmp_path / "out").exists()
    bake("--allow=network.host", f"--allow=fs.read={outside}")
    assert (tmp_path / "out/f").read_text() == "outside"


PLATFORMS = """
target "base" {
  dockerfile-inline = "FROM scratch\\nARG TARGETARCH\\nENV A=$TARGETARCH\\nCOPY f /$TARGETARCH\\n"
  platforms = ["linux/amd64", "linux/arm64"]
}
target "default" {
  contexts = { base = "target:base" }
  dockerfile-inline = "FROM base\\nCOPY f /of-$A\\n"
  platforms = ["linux/amd64", "linux/arm64"]
  output = ["type=local,dest=out"]
}
"""


def test_a_target_below_has_the_platforms_of_the_one_above(bake: Bake, tmp_path: Path) -> None:
    (tmp_path / "f").write_text("f")
    (tmp_path / "docker-bake.hcl").write_text(PLATFORMS)
    bake()
    found = sorted(str(one.relative_to(tmp_path / "out")) for one in tmp_path.glob("out/*/*"))
    assert found == [
        "linux_amd64/amd64", "linux_amd64/of-amd64", "linux_arm64/arm64", "linux_arm64/of-arm64",
    ]  # fmt: skip


LIMITED = """
target "default" {
  dockerfile-inline = <<-EOT
    FROM busybox:latest
    RUN dd if=/dev/zero of=/dev/null bs=64M count=1
  EOT
  resources = ["memory=32m", "memory-swap=32m"]
  output = ["type=cacheonly"]
}
"""


def test_what_steps_may_use_is_limited(bake: Bake, tmp_path: Path) -> None:
    """By a target's own attribute, and by what is set on the command line over it."""
    (tmp_path / "docker-bake.hcl").write_text(LIMITED)
    refused = bake("--no-cache", check=False)
    assert refused.returncode == 1
    assert "did not complete successfully: exit code: 137" in refused.stderr
    more = ("--set", "*.resources=memory=512m", "--set", "*.resources=memory-swap=512m")
    bake("--no-cache", *more)


def test_a_policy_beside_a_dockerfile_is_not_passed_over(bake: Bake, tmp_path: Path) -> None:
    (tmp_path / "docker-bake.hcl").write_text('target "default" { output = ["type=cacheonly"] }')
    (tmp_path / "Dockerfile").write_text("FROM busybox:latest\n")
    (tmp_path / "Dockerfile.rego").write_text("package docker\n")
    refused = bake(check=False)
    assert (refused.returncode, "Dockerfile.rego is a policy" in refused.stderr) == (1, True)
    bake("--policy", "disabled=true")
