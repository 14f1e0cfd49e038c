"""A registry with bearer tokens: the real client fetches them, and its password stays there."""

from __future__ import annotations

import asyncio
import base64
import json
import os
import shutil
import subprocess
from pathlib import Path

import bcrypt
import pytest
from tests.support.engine import PATIENCE, Engine, docker_command, link_plugins
from tests.support.pipes import connect
from tests.support.registry_server import registry_server

from boxship.build.session.client import Client
from boxship.client.offers import Offers
from boxship.distribution.errors import LoginNeeded
from boxship.transport.http2 import Http2

RULES = {"rules": [{"repositories": ["**"], "users": ["ann"], "actions": ["*"]}]}


def test_the_client_fetches_tokens_and_the_engine_sees_no_password(
    engine: Engine, tmp_path: Path
) -> None:
    if not link_plugins(engine.root / "config"):
        pytest.skip("docker buildx is neither installed nor could it be fetched")
    users = tmp_path / "users"
    users.write_text(f"ann:{bcrypt.hashpw(b'sesame', bcrypt.gensalt(4)).decode()}\n")
    auth = {"tokenserver": {"htpasswd": str(users), "service": "ours"}}
    config = tmp_path / "config"
    shutil.copytree(engine.root / "config", config, symlinks=True)
    folder = tmp_path / "context"
    folder.mkdir()
    command = [docker_command(), "-H", engine.host, "buildx", "build", "--progress=plain"]
    command.append("--provenance=false")
    with registry_server(tmp_path, auth=auth, access=RULES) as registry:

        def build(text: str, *words: str, password: str = "sesame", **more: str) -> str:
            known = base64.b64encode(f"ann:{password}".encode()).decode()
            auths = {"auths": {registry.host: {"auth": known}}}
            (config / "config.json").write_text(json.dumps(auths))
            (folder / "Dockerfile").write_text(text)
            done = subprocess.run(
                [*command, *words, str(folder)],
                env={**os.environ, "DOCKER_CONFIG": str(config), **more},
                capture_output=True,
                text=True,
                check=False,
                timeout=60 * PATIENCE,
                stdin=subprocess.DEVNULL,
            )
            return f"{done.returncode}\n{done.stderr}"

        name = f"{registry.host}/team/app"
        said = build("FROM busybox:latest\nRUN echo 1 > /f\n", "-t", f"{name}:1", "--push")
        assert said.startswith("0\n"), said
        engine.docker("image", "rm", f"{name}:1")
        said = build(f"FROM {name}:1\nRUN cat /f\n", "--no-cache", password="wrong")
        assert said.startswith("1\n"), said
        assert "pull access denied" in said
        said = build(f"FROM {name}:1\nRUN cat /f\n", "--no-cache")
        assert said.startswith("0\n"), said
        assert f"[auth] team/app:pull token for {registry.host}" in said  # the client's own words
        assert "sharing credentials" not in said
        engine.docker("image", "rm", f"{name}:1", check=False)
        said = build(f"FROM {name}:1\nRUN cat /f\n", "--no-cache", BUILDKIT_NO_CLIENT_TOKEN="1")
        assert said.startswith("0\n"), said
        assert f"[auth] sharing credentials for {registry.host}" in said


def test_our_own_client_fetches_tokens_too(tmp_path: Path) -> None:
    users = tmp_path / "users"
    users.write_text(f"ann:{bcrypt.hashpw(b'sesame', bcrypt.gensalt(4)).decode()}\n")
    auth = {"tokenserver": {"htpasswd": str(users), "service": "ours"}}
    logins = {"": ("ann", "sesame"), "wrong": ("ann", "guess")}

    async def story(host: str) -> None:
        for kind, login in logins.items():
            offers = Offers(login=lambda _, login=login: login)
            served, calling = Http2(offers.serve), Http2()
            connect(served, calling)
            methods = [one for one in offers.methods if not one.endswith("/Credentials")]
            client = Client(calling, id="x", methods=methods)
            tokens = await client.authority(host)
            assert tokens is not None
            realm, scopes = f"http://{host}/auth/token", ["repository:team/app:pull,push"]
            if kind:
                with pytest.raises(LoginNeeded):
                    await tokens.token(realm, "ours", scopes)
            else:
                token, holds = await tokens.token(realm, "ours", scopes)
                assert token.count(".") == 2
                assert holds
                with pytest.raises(LoginNeeded):  # which is no place of the registry's
                    await tokens.token("http://elsewhere.invalid/token", "ours", scopes)
            calling.close()
            await served.wait_closed()

    with registry_server(tmp_path, auth=auth, access=RULES) as registry:
        asyncio.run(story(registry.host))
