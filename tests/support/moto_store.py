"""A bucket of moto's, which is an implementation of S3's interface that is not ours.

It is no dependency of the tests (60 MB); `pip install 'moto[s3]' flask flask-cors`, with its
`moto_server` in $PATH, has them run against it too.
"""

from __future__ import annotations

import shutil
import socket
import subprocess
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.support.engine import PATIENCE
from tests.support.faulty_registry import wait_until

PROGRAM = shutil.which("moto_server")
needs_moto = pytest.mark.skipif(PROGRAM is None, reason="no moto_server")


@contextmanager
def moto_store(folder: Path, bucket: str) -> Iterator[str]:
    """Serve an empty bucket until the block ends; yields the endpoint."""
    assert PROGRAM is not None
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    endpoint = f"http://127.0.0.1:{port}"
    with (folder / "moto.log").open("wb") as log:
        command = [PROGRAM, "-H", "127.0.0.1", "-p", str(port)]
        server = subprocess.Popen(command, stdout=log, stderr=log)
    try:
        wait_until(lambda: _answers(endpoint), 60)
        client(endpoint).create_bucket(Bucket=bucket)
        yield endpoint
    finally:
        server.terminate()
        server.wait(20 * PATIENCE)


def client(endpoint: str) -> Any:
    """Return boto3's own client, to look at what is in the bucket."""
    import boto3

    keys = {"aws_access_key_id": "key", "aws_secret_access_key": "secret"}
    return boto3.client("s3", endpoint_url=endpoint, region_name="us-east-1", **keys)


def _answers(endpoint: str) -> bool:
    try:
        with urllib.request.urlopen(f"{endpoint}/moto-api/", timeout=2 * PATIENCE):
            return True
    except OSError:
        return False
