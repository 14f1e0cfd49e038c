"""What `--log-opt` adds to a container's log, as `docker logs --details` shows it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from tests.support.engine import Engine

IMAGE = "busybox:latest"


def test_labels_environment_and_tag_stand_beside_each_line(engine: Engine, name: str) -> None:
    engine.docker(
        *("run", "--name", name, "-l", "app=shop", "-l", "app.tier=front", "-l", "x=y"),
        *("-e", "MODE=a b", "--log-opt", "labels=x", "--log-opt", "labels-regex=^app"),
        *("--log-opt", "env-regex=^MO", "--log-opt", "tag={{.Name}}/{{.ImageName}}"),
        *(IMAGE, "echo", "hello"),
    )
    shown = engine.docker("logs", "--details", name).stdout
    assert shown == (f"MODE=a+b,app=shop,app.tier=front,tag={name}%2Fbusybox%3Alatest,x=y hello\n")
    assert engine.docker("logs", name).stdout == "hello\n"
    path = json.loads(engine.docker("inspect", name).stdout)[0]["LogPath"]
    record = json.loads(Path(path).read_text())
    assert record["attrs"]["app.tier"] == "front"
    engine.docker("rm", name)


@pytest.mark.parametrize("driver", ["json-file", "local"])
def test_a_log_that_is_not_waited_for_is_whole(engine: Engine, name: str, driver: str) -> None:
    lines = "".join(f"line {number}\n" for number in range(3000))
    shown = engine.docker(
        *("run", "-i", "--name", name, "--log-driver", driver, "--log-opt", "mode=non-blocking"),
        *("--log-opt", "max-buffer-size=8m", "--log-opt", "max-size=20k", "--log-opt"),
        *("max-file=50", "--log-opt", "compress=true", IMAGE, "cat"),
        input=lines,
    )
    assert shown.stdout == lines
    assert engine.docker("logs", name).stdout == lines
    engine.docker("rm", name)


def test_what_is_no_option_is_refused_at_once(engine: Engine, name: str) -> None:
    for option, said in (
        ("nothing=1", "unknown log opt 'nothing' for json-file log driver"),
        ("max-buffer-size=1m", "only supported with 'mode=non-blocking'"),
        ("tag={{.ID", "log-tag"),
    ):
        done = engine.docker("create", "--log-opt", option, IMAGE, "true", check=False)
        assert done.returncode == 1
        assert said in done.stderr
