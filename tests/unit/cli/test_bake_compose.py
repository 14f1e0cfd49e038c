"""Compose files as definitions: what docker buildx 0.13 has otherwise, and hostile ones."""

from __future__ import annotations

import pytest

from boxship.cli.baking.compose import compose_targets
from boxship.cli.baking.sources import File, Missing
from boxship.cli.baking.target import Definition, Target
from boxship.errors import BoxshipError, InvalidRequest


def targets(text: str, **others: str) -> dict[str, Target]:
    """Return the targets of a compose file; `others` are files whose names end in .yaml."""

    def read(path: str) -> str:
        try:
            return others[path.removesuffix(".yaml").replace("/", "_")]
        except KeyError:
            raise Missing(path) from None

    definition = Definition()
    compose_targets([File("compose.yaml", text)], {"HOME": "/home"}, definition, read)
    return definition.targets


def test_paths_of_what_an_included_file_includes_begin_at_that_file() -> None:
    """0.13 looks for them in sub/sub/deep."""
    found = targets(
        "include: [sub/a.yaml]",
        sub_a="include: [deep/b.yaml]\nservices: {a: {build: ./x}}",
        sub_deep_b="services: {b: {build: ./y}}",
    )
    assert found["a"]["context"] == "sub/x"
    assert found["b"]["context"] == "sub/deep/y"


def test_another_service_is_a_context() -> None:
    text = "services: {a: {build: {additional_contexts: {s: 'service:b.c'}}}, b.c: {build: .}}"
    assert targets(text)["a"]["contexts"] == {"s": "target:b_c"}


def test_what_is_not_built_may_be_anything() -> None:
    text = "services: {a: , b: {image: x, networks: [none]}, c: {build: .}}\nmore: 1"
    assert list(targets(text)) == ["c"]


def test_limits_and_agents_are_texts() -> None:
    build = "{ulimits: {nofile: 10, nproc: {soft: 1, hard: 2}}, ssh: {k: /key, default: }}"
    found = targets(f"services: {{a: {{build: {build}}}}}")["a"]
    assert found["ulimits"] == ["nofile=10:10", "nproc=1:2"]
    assert found["ssh"] == ["default", "k=/key"]


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("services: {a: {build: {isolation: hyperv}}}", "only there on Windows"),
        ("services: {a: {build: {pull: perhaps}}}", "is no boolean"),
        ("include: ['https://example.org/x.yaml']", "files elsewhere are not included"),
        ("include: [{path: x.yaml, env: y}]", "property env is not allowed"),
        ("include: x.yaml", "must be a list"),
        ("services: {a: {extends: {file: x.yaml}}}", "extends.service is required"),
        ("services: {a: {env_file: [1], build: .}}", "each entry is a path"),
        ("services: {a: {build: {args: {X: '${X:?not there}'}}}}", "services.a.build.args.X: "),
        ("a: &a [*a]", "nested too deep"),
        ("[" * 2000, "nested too deep"),
        ("a: !!python/object/apply:os.system [id]", "could not determine a constructor"),
    ],
)  # fmt: skip
def test_what_cannot_be_is_refused(text: str, why: str) -> None:
    with pytest.raises(BoxshipError, match="(?s)" + why.replace("[", r"\[")):
        targets(text)


def test_aliases_of_aliases_are_bounded() -> None:
    """A few lines would otherwise become 10^9 values."""
    lines = ["a: &a [1,1,1,1,1,1,1,1,1,1]"]
    for name, below in zip("bcdefghi", "abcdefgh", strict=True):
        lines.append(f"{name}: &{name} [{','.join([f'*{below}'] * 10)}]")
    with pytest.raises(InvalidRequest, match="aliases make it too large"):
        targets("\n".join(lines))


def test_included_files_that_include_each_other_end() -> None:
    with pytest.raises(InvalidRequest, match="include cycle detected"):
        targets("include: [a.yaml]", a="include: [b.yaml]", b="include: [a.yaml]")
