"""Base images from the distribution's packages: usable, and the same each time."""

import os
import subprocess
from shutil import which

import pytest

from boxship.errors import InvalidRequest
from boxship.image import bootstrap
from boxship.image.bootstrap import STATIC_BUSYBOX, Host
from boxship.image.errors import CannotBootstrap

pytestmark = pytest.mark.root


@pytest.fixture
def host(tmp_path):
    work = tmp_path / "work"
    work.mkdir()
    return Host({"PATH": os.environ["PATH"]}, str(work))


def inside(engine, image, *command):
    """Run a program in the image's filesystem."""
    mounted = engine.snapshots.view(image.chain_id)
    try:
        return subprocess.run(
            command,
            preexec_fn=lambda: (os.fchdir(mounted), os.chroot(".")),
            pass_fds=(mounted,),
            capture_output=True,
            text=True,
            check=True,
        ).stdout
    finally:
        os.close(mounted)


@pytest.mark.skipif(
    not any(map(bootstrap._is_static, STATIC_BUSYBOX)), reason="busybox-static is not installed"
)
def test_busybox_has_a_shell_and_its_applets_and_is_the_same_each_time(engine, host):
    said = []
    image = bootstrap.bootstrap(engine.images, "busybox", host, said.append)
    assert "docker.io/library/busybox:latest" in image.names
    assert image.run.cmd == ["sh"]
    assert inside(engine, image, "/bin/sh", "-c", "id -un; ls /bin/busybox") == (
        "root\n/bin/busybox\n"
    )
    assert "Tagged busybox:latest" in said
    engine.images.remove(image.id, force=True)
    assert bootstrap.bootstrap(engine.images, "busybox", host, said.append).id == image.id
    other = Host({**host.environment, "SOURCE_DATE_EPOCH": "1"}, host.work)
    assert bootstrap.bootstrap(engine.images, "busybox", other, said.append).created == (
        "1970-01-01T00:00:01Z"
    )


@pytest.mark.parametrize("what", ["", "alpine", "busybox:1", "debian:../x", "debian:-v"])
def test_what_has_no_recipe_is_refused(engine, host, what):
    with pytest.raises(InvalidRequest):
        bootstrap.bootstrap(engine.images, what, host, lambda text: None)


@pytest.mark.skipif(not which("mmdebstrap"), reason="mmdebstrap is not installed")
def test_a_suite_that_does_not_exist_fails_and_leaves_nothing(engine, host):
    with pytest.raises(CannotBootstrap, match="mmdebstrap failed"):
        bootstrap.bootstrap(engine.images, "debian:nosuchsuite", host, lambda text: None)
    assert engine.stored() == ([], [], [])
    assert os.listdir(host.work) == []


@pytest.mark.slow
@pytest.mark.skipif(not which("mmdebstrap"), reason="mmdebstrap is not installed")
def test_debian_is_a_debian_and_the_same_each_time(engine, host):
    image = bootstrap.bootstrap(engine.images, "debian", host, lambda text: None)
    assert {"docker.io/library/debian:latest"} <= set(image.names)
    assert image.run.cmd == ["bash"]
    assert "dpkg" in inside(engine, image, "/usr/bin/dpkg-query", "-W", "-f", "${Package}\n")
    engine.images.remove(image.id, force=True)
    again = bootstrap.bootstrap(engine.images, "debian", host, lambda text: None)
    assert again.id == image.id
