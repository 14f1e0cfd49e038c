"""An SBOM by a scanner's image, as the real client asks for one."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path
from typing import Any

import pytest
from tests.support.engine import PATIENCE, Engine, docker_command, link_plugins

SCANNER = 'FROM busybox:latest\nCOPY scan /scan\nWORKDIR /tmp\nENTRYPOINT ["sh", "/scan"]\n'
SCAN = r"""
set -e
touch $BUILDKIT_SCAN_SOURCE/written 2> /dev/null && exit 9
name=$(basename $BUILDKIT_SCAN_SOURCE)
cat > $BUILDKIT_SCAN_DESTINATION/$name.spdx.json <<END
{"_type": "https://in-toto.io/Statement/v0.1", "predicateType": "https://spdx.dev/Document",
 "predicate": {"spdxVersion": "SPDX-2.3", "name": "$BUILDKIT_SCAN_WORD", "packages": [
  {"name": "$(cat $BUILDKIT_SCAN_SOURCE/only)"},
  {"name": "$(cd ${BUILDKIT_SCAN_SOURCE_EXTRAS:-/nowhere} && echo */made */other)"}]}}
END
"""


def build(engine: Engine, folder: Path, *words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [docker_command(), "-H", engine.host, "buildx", "build", *words, str(folder)],
        env={**os.environ, "DOCKER_CONFIG": f"{engine.root}/config"},
        capture_output=True,
        text=True,
        check=False,
        timeout=60 * PATIENCE,
        stdin=subprocess.DEVNULL,
    )


def test_a_scanner_looks_at_the_result_and_its_word_is_attested(
    engine: Engine, tmp_path: Path
) -> None:
    if not link_plugins(engine.root / "config"):
        pytest.skip("docker buildx is neither installed nor could it be fetched")
    scanner, context = tmp_path / "scanner", tmp_path / "context"
    scanner.mkdir()
    context.mkdir()
    (scanner / "Dockerfile").write_text(SCANNER)
    (scanner / "scan").write_text(SCAN)
    assert build(engine, scanner, "-t", "scanner:1").returncode == 0
    text = "FROM busybox:latest AS early\nARG BUILDKIT_SBOM_SCAN_STAGE=true\nRUN echo > /made\n"
    text += "FROM scratch\nARG BUILDKIT_SBOM_SCAN_CONTEXT=true\n"
    text += "COPY only /\nCOPY --from=early /made /\n"
    (context / "Dockerfile").write_text(text)
    (context / "only").write_text("this")
    (context / "other").write_text("not copied")
    asked = "--attest=type=sbom,generator=scanner:1,WORD=asked"
    done = build(engine, context, "--progress=plain", "-t", "scanned:1", asked)
    assert done.returncode == 0, done.stderr
    assert "generating sbom using" in done.stderr
    (inspected,) = json.loads(engine.docker("image", "inspect", "scanned:1").stdout)
    document = software(engine, inspected["Id"])
    assert document["predicate"] == {
        "spdxVersion": "SPDX-2.3",
        "name": "asked",
        "packages": [{"name": "this"}, {"name": "sbom-early/made sbom-context/other"}],
    }
    assert document["subject"][0]["name"].startswith("pkg:docker/")
    assert len(inspected["RootFS"]["Layers"]) == 2  # the scanner leaves nothing in the image


def software(engine: Engine, image: str) -> Any:
    """Return the statement about an image's software."""

    def read(digest: str) -> Any:
        name = digest.replace(":", "/")
        return json.loads((engine.root / "data/blobs" / name).read_bytes())

    for listed in read(image)["manifests"]:
        for layer in read(listed["digest"])["layers"]:
            kind = layer.get("annotations", {}).get("in-toto.io/predicate-type", "")
            if kind == "https://spdx.dev/Document":
                return read(layer["digest"])
    raise AssertionError("the image has no statement about its software")


@pytest.mark.parametrize(
    ("lines", "said"),
    [
        ("CMD true\n", "the scanner has written no statements"),
        ("CMD echo x > /run/out/a.json\n", "scanner's file a.json"),
        ("CMD exit 3\n", "exit code: 3"),
    ],
)
def test_a_scanner_that_fails_ends_the_build(
    engine: Engine, tmp_path: Path, lines: str, said: str
) -> None:
    if not link_plugins(engine.root / "config"):
        pytest.skip("docker buildx is neither installed nor could it be fetched")
    (tmp_path / "Dockerfile").write_text("FROM busybox:latest\n" + lines)
    assert build(engine, tmp_path, "-t", "scanner:bad").returncode == 0
    done = build(engine, tmp_path, "--attest=type=sbom,generator=scanner:bad", "--no-cache")
    assert done.returncode == 1
    assert said in done.stderr
