"""docker-py's own integration tests against this engine, as its authors wrote them.

They come with its source of 6.1.3, and run by themselves in an environment of that time. busybox
stands in for alpine. What fails is named here with the reason, and nothing else may.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import venv
import xml.etree.ElementTree as ET
from pathlib import Path

import pytest
from tests.support.engine import CHECKOUT, PATIENCE, Engine

VERSION = "6.1.3"
OF_THAT_TIME = (
    f"docker=={VERSION}", "requests==2.31.0", "urllib3<2", "paramiko", "websocket-client",
    "pytest<8", "pytest-timeout",
)  # fmt: skip
API = "1.41"  # of the engines that they were written for
FILES = (
    "api_build", "api_client", "api_container", "api_exec", "api_healthcheck", "api_image",
    "api_network", "api_volume", "client", "errors", "models_containers", "models_images",
    "models_networks", "models_resources", "models_volumes", "regression",
)  # fmt: skip
HUB = "it wants an image of Docker Hub's"
ALPINE = "it wants what alpine has and busybox has not"
SWARM = "this engine forms no swarm yet"
WORDS = "the words are those of older engines"
STRICT = "newer engines refuse it, whatever the version of the API"
KNOWN = {
    "test_build_in_context_dockerfile": "it reads the log before the program has written it",
    "test_build_with_cache_from": "a step that is known is taken, whichever image is named",
    "test_build_with_network_mode": HUB,
    "test_run_container_reading_socket_ws": "its websocket client knows no unix socket",
    "test_create_with_restart_policy": WORDS,
    "test_create_with_runtime": "it looks at the default runtime's name",
    "test_api_error_parses_json": WORDS,
    "test_exec_command_as_user": ALPINE,
    "test_exec_command_with_workdir": ALPINE,
    "test_exec_run_failed": "what is not there is 127, as newer engines have it",
    "test_commit": "newer engines keep no container in an image",
    "test_commit_with_changes": "newer engines keep no container in an image",
    "test_inspect_distribution": HUB,
    "test_list": HUB,
    "test_list_with_repository": HUB,
    "test_pull": HUB,
    "test_pull_multiple": HUB,
    "test_pull_with_sha": HUB,
    "test_pull_with_tag": HUB,
    "test_run_with_image_that_does_not_exist": HUB,
    "test_tag_and_remove": HUB,
    "test_connect_with_ipv6_address": STRICT,
    "test_create_network_ipv6_enabled": STRICT,
    "test_create_with_ipv6_address": STRICT,
    "test_create_check_duplicate": STRICT,
    "test_connect_with_links": "containers are linked on the default bridge only",
    "test_create_with_links": "containers are linked on the default bridge only",
    "test_create_with_linklocal_ips": "no link-local addresses are given",
    "test_create_inspect_network_with_scope": SWARM,
    "test_create_network_attachable": SWARM,
    "test_create_network_ingress": SWARM,
}

pytestmark = [pytest.mark.root, pytest.mark.slow, pytest.mark.timeout(1800)]


@pytest.fixture(scope="module")
def source() -> Path:
    """The tests' folder, beside an environment to run them in."""
    place = CHECKOUT / f".cache/docker-py-{VERSION}"
    python = place / "environment/bin/python"
    if (place / "complete").exists():
        return place / f"docker-{VERSION}"
    shutil.rmtree(place, ignore_errors=True)
    venv.create(place / "environment", with_pip=True)
    fetch = [str(python), "-m", "pip", "--quiet"]
    source = ["download", "--no-deps", "--no-binary", ":all:", "--dest", str(place)]
    for words in (["install", *OF_THAT_TIME], [*source, f"docker=={VERSION}"]):
        done = subprocess.run([*fetch, *words], capture_output=True, text=True, check=False)
        if done.returncode:
            pytest.skip(f"docker-py's tests cannot be fetched: {done.stderr[-300:]}")
    shutil.unpack_archive(place / f"docker-{VERSION}.tar.gz", place)
    (place / "complete").touch()
    return place / f"docker-{VERSION}"


def test_docker_pys_own_tests(own_engine: Engine, source: Path, tmp_path: Path) -> None:
    own_engine.boxship("image", "bootstrap", "busybox")
    for name in ("alpine:3.10", "alpine:latest"):
        own_engine.boxship("tag", "busybox:latest", name)
    report = tmp_path / "report.xml"
    environment = {
        name: value for name, value in os.environ.items() if not name.startswith("PYTHON")
    }
    subprocess.run(
        [source.parent / "environment/bin/python", "-m", "pytest", "-q", "-p", "no:cacheprovider",
         "--timeout", str(60 * PATIENCE), f"--junitxml={report}",
         *(f"tests/integration/{name}_test.py" for name in FILES)],
        cwd=source, check=False, stdout=sys.stderr,
        env={**environment, "DOCKER_HOST": own_engine.host, "DOCKER_TEST_API_VERSION": API},
    )  # fmt: skip
    cases = list(ET.parse(report).iter("testcase"))
    failed = {
        str(case.get("name")): str(found.get("message"))
        for case in cases
        if (found := case.find("failure")) is not None or (found := case.find("error")) is not None
    }
    print(f"{len(cases) - len(failed)} of {len(cases)} pass; better than said:",
          sorted(set(KNOWN) - set(failed)))  # fmt: skip
    assert len(cases) > 200
    assert {name: why for name, why in failed.items() if name not in KNOWN} == {}
