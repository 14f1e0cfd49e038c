"""How the image of a container is run."""

from __future__ import annotations

import pytest

from boxship.api.routes.commit import name_of
from boxship.container.commit import run_config
from boxship.errors import InvalidRequest
from boxship.spec.engine.container import ContainerConfig

OWN = ContainerConfig(
    hostname="box",
    user="app",
    env=["A=1", "B=2"],
    cmd=["serve"],
    entrypoint=["/run"],
    labels={"x": "own"},
    tty=True,
    image="base",
)


def test_the_containers_config_is_the_images() -> None:
    run = run_config(OWN, None, [])
    assert (run.user, run.env, run.cmd, run.entrypoint) == (
        "app", ["A=1", "B=2"], ["serve"], ["/run"],
    )  # fmt: skip
    assert run.labels == {"x": "own"}


def test_changes_stand_over_it() -> None:
    run = run_config(OWN, None, ["ENV B=3", "LABEL x=new", "USER root"])
    assert sorted(run.env or ()) == ["A=1", "B=3"]
    assert (run.labels, run.user) == ({"x": "new"}, "root")


def test_a_config_that_was_sent_leaves_the_rest_to_the_container() -> None:
    run = run_config(OWN, ContainerConfig(cmd=["other"], env=["C=4"]), [])
    assert run.entrypoint == ["/run"]
    assert sorted(run.env or ()) == ["A=1", "B=2", "C=4"]
    assert run.cmd == ["other"]


def test_the_containers_config_is_left_alone() -> None:
    before = list(OWN.env or ())
    run_config(OWN, None, ["ENV D=5"])
    assert OWN.env == before


@pytest.mark.parametrize(
    ("repository", "tag", "name"),
    [("", "", ""), ("", "1", ""), ("a", "", "a"), ("a", "1", "a:1"), ("a:2", "1", "a:1")],
)
def test_the_name_of_the_image(repository: str, tag: str, name: str) -> None:
    assert name_of(repository, tag) == name


def test_a_digest_is_no_name_for_a_new_image() -> None:
    with pytest.raises(InvalidRequest):
        name_of("a@sha256:" + "0" * 64, "")
