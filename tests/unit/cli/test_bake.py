"""Bake files: what docker buildx 0.13 cannot be asked about."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from boxship.cli import main
from boxship.cli.baking.builds import asked_of
from boxship.cli.baking.files import File, read_definition
from boxship.cli.baking.plan import Plan, make_plan
from boxship.cli.baking.target import place
from boxship.errors import InvalidRequest

Run = Callable[..., tuple[int, str, str]]


def plan(text: str, *names: str, name: str = "docker-bake.hcl", **environment: str) -> Plan:
    given = {key[4:]: value for key, value in environment.items() if key.startswith("VAR_")}
    definition = read_definition([File(name, text)], environment, {}, given)
    return make_plan(definition, names or ["default"], (), environment)


def args(text: str, **environment: str) -> dict[str, str]:
    found: dict[str, str] = plan(text, **environment).targets["default"].get("args", {})
    return found


TYPED = """
variable "V" {
  type    = %s
  default = %s
}
target "default" {
  args = { v = jsonencode(V) }
}
"""


@pytest.mark.parametrize(
    ("kind", "default", "environment", "expected"),
    [
        ("string", '"a"', {}, "a"),
        ("string", "1", {}, "1"),
        ("number", '"2"', {}, 2),
        ("number", "null", {"V": "3.5"}, 3.5),
        ("bool", "true", {"V": "false"}, False),
        ("list(string)", '["a"]', {"V": 'b,"c,d"'}, ["b", "c,d"]),
        ("list(number)", "[1]", {"V": "2,3"}, [2, 3]),
        ("set(string)", '["b", "a", "b"]', {}, ["a", "b"]),
        ("map(string)", '{ a = 1 }', {"V": "b=2,c=d=e"}, {"b": "2", "c": "d=e"}),
        ("map(string)", '{ a = 1 }', {"V_JSON": '{"x": 1}'}, {"x": "1"}),
        ("tuple([string, number])", '["a", "1"]', {}, ["a", 1]),
        ("object({ a = string, b = optional(number, 7) })", '{ a = 1 }', {}, {"a": "1", "b": 7}),
        ("object({ a = string })", "null", {"V_JSON": '{"a": "x"}'}, {"a": "x"}),
        ("string", "null", {}, None),
        ("any", "[1, 2]", {}, [1, 2]),
    ],
)  # fmt: skip
def test_variables_have_types(
    kind: str, default: str, environment: dict[str, str], expected: object
) -> None:
    assert json.loads(args(TYPED % (kind, default), **environment)["v"]) == expected


@pytest.mark.parametrize(
    ("kind", "default", "environment", "problem"),
    [
        ("number", '"many"', {}, "a number is required"),
        ("number", "1", {"V": "many"}, "failed to parse V as number"),
        ("list(object({}))", "[]", {"V": "x"}, "unsupported type"),
        ("object({ a = string })", "{}", {}, 'attribute "a" is required'),
        ("list(string)", '["a"]', {"V_JSON": "{"}, "failed to convert JSON"),
        ("nonsense", "1", {}, "Invalid type specification"),
    ],
)
def test_a_value_of_another_type_is_refused(
    kind: str, default: str, environment: dict[str, str], problem: str
) -> None:
    with pytest.raises(InvalidRequest, match=problem):
        args(TYPED % (kind, default), **environment)


def test_a_variable_without_a_type_takes_no_list_from_the_environment() -> None:
    text = 'variable "V" {\n  default = ["a"]\n}\ntarget "default" {\n  tags = V\n}\n'
    assert plan(text).targets["default"]["tags"] == ["a"]
    with pytest.raises(InvalidRequest, match="unsupported type tuple for variable V"):
        plan(text, V="b")


VALIDATED = """
variable "LEVEL" {
  type        = number
  default     = 3
  description = "How much"
  validation {
    condition     = LEVEL > 0
    error_message = "LEVEL must be positive."
  }
  validation {
    condition     = LEVEL < LIMIT
    error_message = "LEVEL must be below ${LIMIT}."
  }
}
LIMIT = 10
target "default" {
  description = "The whole"
  args = { L = LEVEL }
}
target "_hidden" {}
group "all" {
  description = "Everything"
  targets     = ["default"]
}
"""


def test_what_a_variable_must_meet_is_said_in_the_files_words() -> None:
    assert args(VALIDATED, LEVEL="9") == {"L": "9"}
    with pytest.raises(InvalidRequest, match=r"docker-bake.hcl:7,.*LEVEL must be positive\."):
        args(VALIDATED, LEVEL="0")
    with pytest.raises(InvalidRequest, match=r"LEVEL must be below 10\."):
        args(VALIDATED, LEVEL="11")


def test_what_was_asked_goes_before_the_environment() -> None:
    assert args(VALIDATED, LEVEL="9", VAR_LEVEL="5") == {"L": "5"}
    hidden = {"BUILDX_BAKE_DISABLE_VARS_ENV_LOOKUP": "1", "LEVEL": "9"}
    assert args(VALIDATED, **hidden) == {"L": "3"}


@pytest.fixture
def run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfdbinary: pytest.CaptureFixture[bytes]
) -> Run:
    monkeypatch.chdir(tmp_path)

    def bake(*words: str, **environment: str) -> tuple[int, str, str]:
        monkeypatch.setattr(main, "environment", lambda: {"HOME": "/none", **environment})
        status = main.main(["buildx", "bake", *words])
        out, err = (data.decode() for data in capfdbinary.readouterr())
        return status, out, err

    return bake


def test_targets_and_variables_are_listed(run: Run, tmp_path: Path) -> None:
    (tmp_path / "docker-bake.hcl").write_text(VALIDATED)
    assert run("--list=targets")[1].splitlines() == [
        "TARGET    DESCRIPTION", "all       Everything (default)", "default   The whole",
    ]  # fmt: skip
    assert run("--list", "variables", LEVEL="4")[1].splitlines() == [
        "VARIABLE   TYPE     VALUE   DESCRIPTION", "LEVEL      number   4       How much",
    ]  # fmt: skip
    assert json.loads(run("--list=type=targets,format=json")[1]) == [
        {"name": "all", "description": "Everything (default)", "group": True},
        {"name": "default", "description": "The whole"},
    ]
    assert run("--list=nonsense")[0] == 1
    assert run("--list=targets", "--print")[0] == 1


def test_files_are_named_by_the_environment_too(run: Run, tmp_path: Path) -> None:
    (tmp_path / "a.hcl").write_text('target "default" { tags = ["a"] }\n')
    (tmp_path / "b.hcl").write_text('target "default" { target = "b" }\n')
    told = json.loads(run("--print", BUILDX_BAKE_FILE="a.hcl:b.hcl")[1])
    assert told["target"]["default"]["tags"] == ["a"]
    assert told["target"]["default"]["target"] == "b"
    shown = run("--print", BUILDX_BAKE_FILE="a.hcl@b.hcl", BUILDX_BAKE_PATH_SEPARATOR="@")[1]
    assert json.loads(shown) == told


def test_the_epoch_of_the_environment_is_an_argument(run: Run, tmp_path: Path) -> None:
    (tmp_path / "docker-bake.hcl").write_text('target "default" { args = { A = "1" } }\n')
    told = json.loads(run("--print", SOURCE_DATE_EPOCH="7")[1])
    assert told["target"]["default"]["args"] == {"A": "1", "SOURCE_DATE_EPOCH": "7"}


def test_what_means_nothing_is_told_of(run: Run, tmp_path: Path) -> None:
    (tmp_path / "docker-bake.hcl").write_text('target "default" { nonsense = "x" }\n')
    status, _, err = run("--print")
    assert status == 0
    assert "WARNING: docker-bake.hcl:1,31-34: target default has an unknown attribute" in err


OBJECTS = """
target "default" {
  attest     = [{ type = "provenance", mode = "max" }, "type=sbom,generator=\\"a,b\\""]
  cache-from = [{ type = "registry", ref = "user/app:cache" }, "user/other"]
  cache-to   = [{ type = "local", dest = "a,b" }]
  output     = [{ type = "oci", dest = "out.tar" }]
  secret     = [{ id = "one", env = "TOKEN" }]
  ssh        = [{ id = "default" }, { id = "key", paths = ["path/a", "path/b"] }]
  extra-hosts  = { host = "10.0.0.1" }
  entitlements = ["security.insecure"]
  shm-size   = "64m"
  ulimits    = ["nofile=1024:2048"]
  no-cache-filter = ["a"]
  annotations = ["index:x=y"]
  call       = "check"
}
"""


def test_options_may_be_objects() -> None:
    target = plan(OBJECTS).targets["default"]
    assert target["attest"] == ["type=provenance,mode=max", 'type=sbom,generator="a,b"']
    assert target["cache-from"] == ["type=registry,ref=user/app:cache", "user/other"]
    assert target["cache-to"] == ['type=local,"dest=a,b"']
    assert target["secret"] == ["id=one,env=TOKEN"]
    assert target["ssh"] == ["default", "key=path/a,path/b"]
    found = asked_of(target)
    assert found.outputs == ["type=oci,dest=out.tar"]
    assert found.options == {
        "shm-size": str(64 << 20), "ulimit": "nofile=1024:2048", "add-hosts": "host=10.0.0.1",
    }  # fmt: skip
    assert found.allow == ["security.insecure"]


def test_lists_are_added_to_by_overrides() -> None:
    text = 'target "default" {\n  tags = ["a"]\n  ulimits = ["x=1"]\n}\n'
    definition = read_definition([File("b.hcl", text)], {}, {}, {})
    overrides = ["*.tags+=b", "default.tags+=c", "*.ulimits=y=2", "*.entitlements=network.host",
                 "*.extra-hosts.h=1.2.3.4", "*.shm-size=1m", "*.call=check"]  # fmt: skip
    target = make_plan(definition, ["def*"], overrides, {}).targets["default"]
    assert target["tags"] == ["a", "b", "c"]
    assert target["ulimits"] == ["y=2"]
    assert target["entitlements"] == ["network.host"]
    assert target["extra-hosts"] == {"h": "1.2.3.4"}
    assert (target["shm-size"], target["call"]) == ("1m", "check")


URL = "https://example.com/repo.git#v1"


def test_folders_of_a_remote_definition_are_remote() -> None:
    text = """
target "default" {
  context  = "app"
  contexts = { docs = ".", up = "cwd://here", other = "target:tool", pinned = "https://x/y.git" }
}
target "tool" {}
target "out" { context = "../elsewhere" }
"""
    targets = plan(text, "default", "tool", "out").targets
    place(targets["default"], URL)
    assert targets["default"]["context"] == f"{URL}:app"
    assert targets["default"]["contexts"] == {
        "docs": URL, "up": "here", "other": "target:tool", "pinned": "https://x/y.git",
    }  # fmt: skip
    assert asked_of(targets["default"]).dockerfile == "Dockerfile"
    place(targets["tool"], "https://example.com/repo.git#:below")
    assert targets["tool"]["context"] == "https://example.com/repo.git#:below"
    with pytest.raises(InvalidRequest, match="is outside of"):
        place(targets["out"], URL)


def test_what_reaches_beyond_the_folder_needs_consent(run: Run, tmp_path: Path) -> None:
    (tmp_path / "docker-bake.hcl").write_text(
        'target "default" {\n  network = "host"\n  context = "/etc"\n'
        '  output = ["type=local,dest=../out"]\n  ssh = ["default"]\n}\n'
    )
    status, _, err = run()
    assert status == 1
    assert err.endswith("ERROR: additional privileges requested\n")
    for said in (
        " - Running build containers that can access host network",
        " - Forwarding default SSH agent socket",
        " - Read access to path /etc",
        f" - Write access to path {tmp_path.parent}",
        f"--allow=network.host --allow=ssh --allow=fs.read=/etc --allow=fs.write={tmp_path.parent}",
    ):
        assert said in err
    assert "Read access" not in run(BUILDX_BAKE_ENTITLEMENTS_FS="0")[2]
    assert "unknown entitlement key" in run("--allow=nonsense")[2]
