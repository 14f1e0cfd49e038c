"""`docker commit`: what an image of a container carries."""

from __future__ import annotations

import re
import threading
import time

import docker
import pytest
from docker.models.images import Image
from tests.support.engine import PATIENCE, Engine
from tests.system.conftest import IMAGE, Start, inside


def run(api: docker.DockerClient, image: Image, *command: str) -> str:
    output: bytes = api.containers.run(image.id, list(command) or None, remove=True)
    return output.decode()


def test_files_and_config_are_carried(api: docker.DockerClient, start: Start) -> None:
    container = start(
        environment={"KEPT": "yes"}, labels={"who": "me"}, working_dir="/tmp", user="0"
    )
    inside(container, "sh", "-c", "echo text > /made; ln -s made /link; rm /bin/cat; mkdir -p /a/b")
    image = container.commit(repository="carried", tag="1", author="A. Body", message="because")
    try:
        assert image.tags == ["carried:1"]
        assert (image.attrs["Author"], image.attrs["Comment"]) == ("A. Body", "because")
        config = image.attrs["Config"]
        assert "KEPT=yes" in config["Env"]
        assert config["Labels"] == {"who": "me"}
        assert config["WorkingDir"] == "/tmp"
        assert config["Cmd"] == ["sleep", "3600"]
        assert run(api, image, "head", "/link") == "text\n"
        listed = run(api, image, "sh", "-c", "ls -d /a/b /bin/cat 2>/dev/null; :")
        assert listed == "/a/b\n"
        assert len(image.history()) == len(api.images.get(IMAGE).history()) + 1
    finally:
        api.images.remove(image.id, force=True)


def test_changes_and_a_config_stand_over_the_containers(
    api: docker.DockerClient, start: Start
) -> None:
    container = start(environment={"ONE": "1", "TWO": "2"})
    image = container.commit(
        changes=["ENV TWO=two", 'ENTRYPOINT ["echo"]', "EXPOSE 80"], conf={"Labels": {"a": "b"}}
    )
    try:
        config = image.attrs["Config"]
        assert {"ONE=1", "TWO=two"} <= set(config["Env"])
        assert (config["Entrypoint"], config.get("Cmd")) == (["echo"], None)
        assert config["ExposedPorts"] == {"80/tcp": {}}
        assert config["Labels"] == {"a": "b"}
        assert run(api, image, "said") == "said\n"
    finally:
        api.images.remove(image.id, force=True)


@pytest.mark.parametrize("pause", ["true", "false"])
def test_a_container_runs_on_afterwards(
    engine: Engine, api: docker.DockerClient, start: Start, pause: str
) -> None:
    container = start()
    since = time.time()
    image = engine.docker("commit", f"--pause={pause}", container.id).stdout.strip()
    container.reload()
    assert container.status == "running"
    assert inside(container, "echo", "alive") == "alive"
    story = engine.docker(
        "events", "--since", str(since), "--until", str(time.time()),
        "-f", f"container={container.id}", "--format", "{{.Action}}",
    ).stdout.split()  # fmt: skip
    assert "commit" in story
    assert ("pause" in story) == ("unpause" in story) == (pause == "true")
    api.images.remove(image, force=True)


def test_one_that_was_frozen_stays_so(api: docker.DockerClient, start: Start) -> None:
    container = start()
    container.pause()
    image = container.commit()
    container.reload()
    assert container.status == "paused"
    container.unpause()
    api.images.remove(image.id, force=True)


def test_one_that_never_ran_can_be_committed(api: docker.DockerClient, name: str) -> None:
    container = api.containers.create(IMAGE, "true", name=name)
    try:
        image = container.commit()
        assert run(api, image, "echo", "runs") == "runs\n"
        api.images.remove(image.id, force=True)
    finally:
        container.remove()


def test_what_cannot_be_committed_makes_no_image(
    engine: Engine, api: docker.DockerClient, start: Start
) -> None:
    container = start()
    before = {image.id for image in api.images.list(all=True)}
    with pytest.raises(docker.errors.APIError, match="RUN is not a valid change command"):
        container.commit(changes=["RUN true"])
    with pytest.raises(docker.errors.APIError, match="invalid reference format"):
        container.commit(repository="BAD//name")
    with pytest.raises(docker.errors.NotFound, match="No such container: nobody"):
        api.api.commit("nobody")
    container.reload()
    assert container.status == "running"
    assert {image.id for image in api.images.list(all=True)} == before


def test_commits_of_one_container_at_once(api: docker.DockerClient, start: Start) -> None:
    container = start()
    inside(container, "sh", "-c", "head -c 3000000 /dev/urandom > /blob")
    made: list[Image] = []
    threads = [
        threading.Thread(target=lambda n=n: made.append(container.commit("many", str(n))))
        for n in range(4)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60 * PATIENCE)
    assert len(made) == 4
    container.reload()
    assert container.status == "running"
    for image in made:
        api.images.remove(image.id, force=True)


def test_what_ends_at_this_moment_is_committed_and_not_frozen(
    api: docker.DockerClient, start: Start
) -> None:
    """Between the look at its state and the freezing its control group may have gone."""
    made: set[str] = set()
    told: list[str] = []
    for round in range(30):
        container = start("sh", "-c", f"echo {round} > /round")
        if round % 2:
            made.add(container.commit().id)
            continue
        for verb in (container.pause, container.unpause):
            try:
                verb()
            except docker.errors.APIError as refused:
                told.append(f"{refused.status_code} {refused}")
    assert all(re.search("is not (running|paused)", one) for one in told), told
    assert len(made) == 15
    for image in made:
        api.images.remove(image, force=True)
