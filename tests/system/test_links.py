"""`--link` on the default bridge: names, variables, and what happens when the other moves."""

from __future__ import annotations

import json

from tests.support.engine import Engine

IMAGE = "busybox:latest"


def address(engine: Engine, name: str) -> str:
    (shown,) = json.loads(engine.docker("inspect", name).stdout)
    found: str = shown["NetworkSettings"]["Networks"]["bridge"]["IPAddress"]
    return found


def test_a_linked_container_is_known_by_its_alias(engine: Engine, name: str) -> None:
    db, other, app = f"db-{name}", f"other-{name}", f"app-{name}"
    ports = ("--expose", "80", "--expose", "5432-5433/tcp", "--expose", "53/udp")
    engine.docker("run", "-d", "--name", db, *ports, "-e", "SECRET=s=1", IMAGE, "sleep", "600")
    engine.docker("run", "-d", "--name", app, "--link", f"{db}:my-db", IMAGE, "sleep", "600")
    at = address(engine, db)
    told = dict(
        line.split("=", 1) for line in engine.docker("exec", app, "env").stdout.splitlines()
    )
    wanted = {
        "MY_DB_NAME": f"/{app}/my-db",
        "MY_DB_PORT": f"tcp://{at}:80",
        "MY_DB_PORT_80_TCP": f"tcp://{at}:80",
        "MY_DB_PORT_80_TCP_ADDR": at,
        "MY_DB_PORT_80_TCP_PORT": "80",
        "MY_DB_PORT_80_TCP_PROTO": "tcp",
        "MY_DB_PORT_5432_TCP_START": f"tcp://{at}:5432",
        "MY_DB_PORT_5432_TCP_PORT_END": "5433",
        "MY_DB_PORT_53_UDP": f"udp://{at}:53",
        "MY_DB_ENV_SECRET": "s=1",
    }
    assert wanted.items() <= told.items()
    assert "MY_DB_ENV_PATH" not in told
    for alias in ("my-db", db):
        engine.docker("exec", app, "ping", "-c", "1", alias)
    (shown,) = json.loads(engine.docker("inspect", app).stdout)
    assert shown["HostConfig"]["Links"] == [f"/{db}:/{app}/my-db"]

    engine.docker("stop", "-t", "0", db)
    engine.docker("run", "-d", "--name", other, IMAGE, "sleep", "600")  # may take its address
    engine.docker("start", db)
    assert (
        f"{address(engine, db)}\tmy-db " in engine.docker("exec", app, "cat", "/etc/hosts").stdout
    )
    engine.docker("exec", app, "ping", "-c", "1", "my-db")
    engine.docker("rm", "-f", db, other, app)


def test_what_cannot_be_linked_to_is_refused(engine: Engine, name: str) -> None:
    for link, said in (
        ("no-such", "No such container: no-such"),
        ("a:b:c", "bad format for links: a:b:c"),
        ("a:b c", "bad format for links: a:b c"),
    ):
        done = engine.docker("create", "--link", link, IMAGE, "true", check=False)
        assert said in done.stderr
    host = f"host-{name}"
    engine.docker("create", "--name", host, "--network", "host", IMAGE, "true")
    done = engine.docker("create", "--link", host, IMAGE, "true", check=False)
    assert "host type networking can't be used with links" in done.stderr
    stopped, app = f"stopped-{name}", f"app-{name}"
    engine.docker("create", "--name", stopped, IMAGE, "true")
    engine.docker("create", "--name", app, "--link", f"{stopped}:x", IMAGE, "true")
    done = engine.docker("start", app, check=False)
    assert f"Cannot link to a non running container: /{stopped} AS /{app}/x" in done.stderr
    engine.docker("rm", host, stopped, app)


def test_a_link_is_removed_and_both_go_on(engine: Engine, name: str) -> None:
    db, app = f"db-{name}", f"app-{name}"
    engine.docker("run", "-d", "--name", db, IMAGE, "sleep", "600")
    links = ("--link", f"{db}:one", "--link", f"{db}:two")
    engine.docker("run", "-d", "--name", app, *links, IMAGE, "sleep", "600")
    for wrong, said in (
        (app, "Conflict, cannot remove the default link name of the container"),
        (f"{app}/three", f"No such container: {app}/three"),
        (f"no-{app}/one", f"No such container: no-{app}/one"),
    ):
        assert said in engine.docker("rm", "--link", wrong, check=False).stderr
    engine.docker("rm", "--link", f"/{app}/one")
    hosts = engine.docker("exec", app, "cat", "/etc/hosts").stdout
    assert "\tone " not in hosts
    assert "\ttwo " in hosts
    (shown,) = json.loads(engine.docker("inspect", app).stdout)
    assert shown["HostConfig"]["Links"] == [f"/{db}:/{app}/two"]
    engine.boxship("rm", "--link", f"{app}/two")
    engine.docker("restart", "-t", "0", app)
    told = engine.docker("exec", app, "env").stdout
    assert "ONE_" not in told
    assert "TWO_" not in told
    (shown,) = json.loads(engine.docker("inspect", app).stdout)
    assert not shown["HostConfig"]["Links"]
    engine.docker("rm", "-f", db, app)


def test_a_hosts_file_that_its_container_has_spoiled_harms_nobody(
    engine: Engine, name: str
) -> None:
    db, app = f"db-{name}", f"app-{name}"
    engine.docker("run", "-d", "--name", db, IMAGE, "sleep", "600")
    links = ("--link", f"{db}:one", "--link", f"{db}:two")
    engine.docker("run", "-d", "--name", app, *links, IMAGE, "sleep", "600")
    for spoil in ("printf '\\377\\376' >> /etc/hosts", "truncate -s 8G /etc/hosts"):
        engine.docker("exec", app, "sh", "-c", spoil)
        engine.docker("restart", "-t", "0", db)
        assert engine.docker("exec", db, "echo", "there").stdout == "there\n"
    engine.docker("rm", "--link", f"{app}/one")
    engine.docker("rm", "-f", db, app)
