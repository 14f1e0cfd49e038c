"""The client's side of registries, beside the real docker command: same words, same files."""

from __future__ import annotations

import contextlib
import json
import os
import pty
import shutil
import subprocess
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from tests.support import images as made
from tests.support.debian_registry import debian_registry
from tests.support.engine import BOXSHIP, CHECKOUT, PATIENCE, Engine
from tests.support.recorded import drawn, recording

pytestmark = [pytest.mark.root, pytest.mark.docker_cli]
HELPER = "docker-credential-boxship"
Said = tuple[int, str, str]


@dataclass
class Clients:
    """Docker's client and ours, each with a configuration of its own, for one engine."""

    engine: Engine
    registry: str
    root: Path

    @property
    def environment(self) -> dict[str, str]:
        return {
            "PATH": f"{self.root}/bin:{os.environ['PATH']}",
            "HOME": str(self.root),
            "BOXSHIP_CREDENTIALS": f"{self.root}/secrets.json",
            "BOXSHIP_CREDENTIALS_KEY": "passphrase",
            "BOXSHIP_CREDENTIALS_REMEMBER": "0",
            "BOXSHIP_PASSPHRASE": "test",
        }

    def install_helper(self) -> None:
        """Put the programs of the checkout on the search path."""
        (self.root / "bin").symlink_to(CHECKOUT / "bin")

    def config(self, client: str) -> Path:
        return self.root / client / "config.json"

    def configure(self, client: str, document: object) -> None:
        self.config(client).parent.mkdir(exist_ok=True)
        self.config(client).write_text(json.dumps(document))

    def configured(self, client: str) -> dict[str, object]:
        document = json.loads(self.config(client).read_text())
        assert isinstance(document, dict)
        return document

    def run(self, client: str, *words: str, stdin: str = "", **extra: str) -> Said:
        command = [shutil.which("docker") or "docker"] if client == "docker" else BOXSHIP
        done = subprocess.run(
            [*command, "-H", self.engine.host, *words],
            input=stdin,
            capture_output=True,
            text=True,
            timeout=60 * PATIENCE,
            check=False,
            env={**self.environment, "DOCKER_CONFIG": str(self.root / client), **extra},
        )
        return done.returncode, done.stdout, done.stderr

    def both(self, *words: str, stdin: str = "") -> Said:
        """Run a command with both, which must say the same."""
        docker = self.run("docker", *words, stdin=stdin)
        ours = self.run("boxship", *words, stdin=stdin)
        assert ours == docker
        return ours


@pytest.fixture(scope="module")
def registry(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    folder = tmp_path_factory.mktemp("registry")
    with debian_registry(folder, user="joe", password="secret") as host:
        yield host


@pytest.fixture
def clients(engine: Engine, registry: str, tmp_path: Path) -> Iterator[Clients]:
    found = Clients(engine, registry, tmp_path)
    yield found
    with contextlib.closing(engine.api()) as api:
        for image in api.images.list():
            for tag in image.tags:
                if tag.startswith(registry):
                    api.images.remove(tag, force=True)


@pytest.fixture
def known(clients: Clients) -> Clients:
    """Both clients have logged in; docker keeps it in plain text, as it does."""
    for client in ("docker", "boxship"):
        clients.configure(client, {"auths": {clients.registry: {"auth": "am9lOnNlY3JldA=="}}})
    return clients


def load(clients: Clients, *tags: str, **members: object) -> None:
    layer = made.archive(("file", uuid.uuid4().bytes, {}))
    data = made.docker_archive([layer], tags=tags, **members)
    subprocess.run(
        [*BOXSHIP, "-H", clients.engine.host, "load"], input=data, capture_output=True, check=True
    )


def test_what_is_logged_in_with_is_kept_encrypted_and_docker_finds_it(clients: Clients) -> None:
    clients.install_helper()
    host = clients.registry
    said = clients.run("boxship", "login", "-u", "joe", "--password-stdin", host, stdin="secret\n")
    assert said == (0, "Login Succeeded\n", "")
    assert clients.configured("boxship") == {"credHelpers": {host: "boxship"}, "auths": {host: {}}}
    assert clients.config("boxship").stat().st_mode & 0o777 == 0o600
    assert "secret" not in (clients.root / "secrets.json").read_text()

    load(clients, f"{host}/kept:1")
    clients.configure("docker", clients.configured("boxship"))
    assert clients.run("docker", "push", f"{host}/kept:1")[0] == 0
    if skopeo := shutil.which("skopeo"):
        inspect = ["inspect", "--tls-verify=false", f"docker://{host}/kept:1"]
        environment = {**clients.environment, "REGISTRY_AUTH_FILE": str(clients.config("docker"))}
        subprocess.run([skopeo, *inspect], env=environment, capture_output=True, check=True)
    assert clients.run("boxship", "push", f"{host}/kept:1")[0] == 0

    assert clients.run("boxship", "logout", host) == (
        0,
        f"Removing login credentials for {host}\n",
        "",
    )
    assert clients.configured("boxship") == {"auths": {}}
    assert clients.run("boxship", "pull", f"{host}/kept:1")[0] == 1
    assert "denied" in clients.run("docker", "pull", f"{host}/kept:1")[2]


def test_docker_logs_in_through_our_helper(clients: Clients) -> None:
    clients.install_helper()
    host = clients.registry
    for client in ("docker", "boxship"):
        clients.configure(client, {"credsStore": "boxship", "psFormat": "x", "unknown": [1]})
    login = ("login", "-u", "joe", "--password-stdin", host)
    assert clients.run("docker", *login, stdin="secret")[0] == 0
    listed = subprocess.run(
        [HELPER, "list"], env=clients.environment, capture_output=True, text=True, check=True
    )
    assert json.loads(listed.stdout) == {host: "joe"}
    code, output, errors = clients.run("boxship", "login", host)
    assert (code, output) == (0, "Login Succeeded\n")
    assert errors.startswith("Authenticating with existing credentials... [Username: joe]\n")
    assert clients.configured("boxship")["unknown"] == [1]
    clients.run("docker", "logout", host)
    assert clients.run("boxship", "pull", f"{host}/x")[0] == 1


@pytest.mark.parametrize("program", ["podman", "skopeo"])
def test_podman_and_skopeo_find_what_is_kept_for_the_hub(clients: Clients, program: str) -> None:
    if shutil.which(program) is None:
        pytest.skip(f"{program} is not installed")
    clients.install_helper()
    hub = "https://index.docker.io/v1/"
    kept = json.dumps({"ServerURL": hub, "Username": "joe", "Secret": "p"})
    environment = {**clients.environment, "REGISTRY_AUTH_FILE": str(clients.config("docker"))}
    store = [str(CHECKOUT / "bin" / HELPER), "store"]
    subprocess.run(store, input=kept, env=environment, text=True, check=True)
    clients.configure("docker", {"credHelpers": {hub: "boxship", "docker.io": "boxship"}})
    command = [program, "login", "--get-login", "docker.io"]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert (done.stdout, done.returncode) == ("joe\n", 0), done.stderr


def test_plain_text_is_kept_on_request_only_and_said_as_docker_says_it(clients: Clients) -> None:
    host = clients.registry
    words = ("login", "-u", "joe", "-p", "secret")
    docker = clients.run("docker", *words, host)
    ours = clients.run("boxship", *words, "--plain-text", host)
    assert ours[:2] == docker[:2] == (0, "Login Succeeded\n")
    assert ours[2] == docker[2].replace(f"{clients.root}/docker", f"{clients.root}/boxship")
    assert clients.config("boxship").read_text() == clients.config("docker").read_text()
    assert clients.both("logout", host)[0] == 0
    assert clients.config("boxship").read_text() == clients.config("docker").read_text()


def test_wrong_passwords_and_wrong_words_are_answered_as_docker_answers(clients: Clients) -> None:
    host = clients.registry
    assert clients.both("login", "-u", "joe", "-p", "wrong", host)[0] == 1
    assert clients.both("login", "-u", "joe", "-p", "x", "--password-stdin", host)[0] == 1
    assert clients.both("login", "--password-stdin", host)[0] == 1
    assert clients.both("login", "-u", "", host)[0] == 1
    assert clients.both("login", "-u", "joe", "-p", "", host)[0] == 1
    assert clients.both("login", "-u", "joe", host)[0] == 1
    assert clients.both("logout", host)[0] == 0
    assert not clients.config("boxship").exists()


def test_where_no_engine_answers_the_registry_itself_is_asked(clients: Clients) -> None:
    nowhere = ("-H", f"unix://{clients.root}/nowhere")
    words = ("login", "-u", "joe", "--password-stdin", clients.registry)
    command = [*BOXSHIP, *nowhere, *words]
    environment = {**clients.environment, "DOCKER_CONFIG": str(clients.root / "boxship")}
    for password, status in (("wrong", 1), ("secret", 0)):
        done = subprocess.run(
            command, input=password, env=environment, capture_output=True, text=True, check=False
        )
        assert done.returncode == status, done.stderr
        assert ("Login Succeeded" in done.stdout) == (status == 0)
    assert clients.configured("boxship")["credHelpers"] == {clients.registry: "boxship"}


def test_a_checkout_logs_in_as_it_is_and_says_what_makes_others_find_it(clients: Clients) -> None:
    command = [str(CHECKOUT / "boxship"), "-H", clients.engine.host, "login", "-u", "joe"]
    environment = {
        **clients.environment,
        "PATH": "/usr/bin:/bin",
        "DOCKER_CONFIG": str(clients.root / "boxship"),
    }
    done = subprocess.run(
        [*command, "--password-stdin", clients.registry],
        input="secret", env=environment, capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert done.stdout == "Login Succeeded\n"
    assert f"with {CHECKOUT}/bin in $PATH others do, too" in done.stderr
    assert "not found" in clients.run("boxship", "pull", f"{clients.registry}/nothing")[2]


def typed(command: list[str], environment: dict[str, str], *answers: tuple[bytes, bytes]) -> bytes:
    """Run a command in a terminal, answer each of its questions, and return what it showed."""
    process, ours = pty.fork()  # it is then the command's controlling terminal
    if process == 0:
        os.execve(command[0], command, environment)
    shown = b""
    waiting = list(answers)
    with contextlib.suppress(OSError):
        while piece := os.read(ours, 65536):
            shown += piece
            if waiting and shown.endswith(waiting[0][0]):
                os.write(ours, waiting.pop(0)[1])
    os.close(ours)
    os.waitpid(process, 0)
    assert not waiting, shown
    return shown


def test_on_a_terminal_the_password_is_asked_for_and_not_shown(clients: Clients) -> None:
    clients.install_helper()
    environment = {**clients.environment, "DOCKER_CONFIG": str(clients.root / "boxship")}
    command = [*BOXSHIP, "-H", clients.engine.host, "login", clients.registry]
    shown = typed(command, environment, (b"Username: ", b"joe\n"), (b"Password: ", b"secret\n"))
    assert shown == b"Username: joe\r\nPassword: \r\nLogin Succeeded\r\n"
    shown = typed(command, environment)
    assert b"Authenticating with existing credentials... [Username: joe]\r\n" in shown
    assert shown.endswith(b"Login Succeeded\r\n")
    clients.run("boxship", "logout", clients.registry)
    shown = typed(command, environment, (b"Username: ", b"\n"))
    assert shown.endswith(b"error: username is required\r\n")
    shown = typed([*command, "-u", "joe"], environment, (b"Password: ", b"\n"))
    assert shown.endswith(b"error: password is required\r\n")


def test_a_passphrase_is_asked_for_on_the_terminal_and_not_shown(clients: Clients) -> None:
    environment = {**clients.environment, "DOCKER_CONFIG": str(clients.root / "boxship")}
    del environment["BOXSHIP_PASSPHRASE"]
    words = ("login", "-u", "joe", clients.registry)
    shown = typed(
        [*BOXSHIP, "-H", clients.engine.host, *words],
        environment,
        (b"Password: ", b"secret\n"),
        (b"New passphrase for registry credentials: ", b"open\n"),
        (b"The same again: ", b"open\n"),
    )
    assert b"Login Succeeded" in shown
    assert b"only boxship will find these credentials" in shown
    assert b"open" not in shown
    assert b"secret" not in shown
    environment["BOXSHIP_PASSPHRASE"] = "wrong"
    assert b"the passphrase is wrong" in typed(
        [*BOXSHIP, "-H", clients.engine.host, "pull", f"{clients.registry}/x"], environment
    )


@pytest.mark.parametrize("helper", ["missing", "failing", "hostile"])
def test_where_a_helper_fails_nothing_goes_out(clients: Clients, helper: str) -> None:
    """SEC-101: credentials once went to another registry when the helper was missing."""
    script = clients.root / "bin" / "docker-credential-x"
    if helper != "missing":
        script.parent.mkdir()
        answer = "broken" if helper == "failing" else '{"Username":[],"Secret":1}'
        script.write_text(f"#!/bin/sh\necho '{answer}'; exit {int(helper == 'failing')}\n")
        script.chmod(0o755)
    clients.configure("boxship", {"credsStore": "x"})
    log = clients.engine.tail()
    for words in (
        ("login", "-u", "joe", "-p", "secret", "other.invalid"),
        ("pull", "other.invalid/x"),
        ("push", "other.invalid/x"),
    ):
        code, _, errors = clients.run("boxship", *words)
        assert code == 1
        assert "docker-credential-x" in errors
        assert "other.invalid" not in errors
    assert clients.engine.tail() == log
    assert clients.configured("boxship") == {"credsStore": "x"}


def test_pulls_and_pushes_say_what_docker_says(known: Clients) -> None:
    host = known.registry
    name = f"{host}/said-{uuid.uuid4().hex[:6]}"
    load(known, f"{name}:1", f"{name}:2")
    known.run("docker", "push", "-a", name)
    for words in (
        ("push", f"{name}:1"),
        ("push", "-q", f"{name}:1"),
        ("push", "-a", name),
        ("push", name),
        ("push", f"{name}@sha256:{'0' * 64}"),
        ("push", "-a", f"{name}:1"),
        ("pull", f"{name}:1"),
        ("pull", "-q", f"{name}:1"),
        ("pull", "-a", name),
        ("pull", "-a", f"{name}:1"),
        ("pull", f"{host}/nothing"),
        ("pull", "UPPER"),
        ("pull", "--platform", "linux/s390x", f"{name}:1"),
    ):
        known.both(*words)


def test_pushing_a_part_of_an_index_is_explained_as_docker_explains_it(known: Clients) -> None:
    name = f"{known.registry}/part-{uuid.uuid4().hex[:6]}:1"
    data, _, _ = made.indexed(("linux", "arm64"), ("linux", "amd64"))
    with contextlib.closing(known.engine.api()) as api:
        api.images.load(data)
    try:
        known.run("docker", "tag", "multi:1", name)
        known.run("boxship", "image", "rm", "--platform", "linux/arm64", "multi:1")
        known.run("docker", "push", name)
        for words in (
            ("push", name),
            ("push", "-q", name),
            ("push", "--platform", "linux/amd64", name),
            ("push", "--platform", "linux/arm64", name),
            ("push", "--platform", "nonsense", name),
        ):
            known.both(*words)
            docker = [shutil.which("docker") or "", "-H", known.engine.host, *words]
            ours = [*BOXSHIP, "-H", known.engine.host, *words]
            drawings = [
                typed(command, {**known.environment, "DOCKER_CONFIG": str(known.root / client)})
                for command, client in ((docker, "docker"), (ours, "boxship"))
            ]
            assert drawings[0] == drawings[1]
    finally:
        known.engine.docker("rmi", "multi:1")


def test_a_missing_image_is_pulled_by_run_with_progress_beside_the_output(known: Clients) -> None:
    host = known.registry
    name = f"{host}/run:1"
    known.engine.docker("tag", "busybox", name)
    known.run("docker", "push", name)
    known.engine.docker("rmi", name)
    code, output, errors = known.run("boxship", "run", "--rm", name, "echo", "hello")
    assert (code, output) == (0, "hello\n")
    assert errors.startswith(f"Unable to find image '{name}' locally\n1: Pulling from run\n")
    assert known.run("boxship", "run", "--rm", "--pull", "never", f"{name}0", "true")[0] == 125
    code, output, errors = known.run(
        "boxship", "run", "--rm", "--pull", "always", name, "echo", "x"
    )
    assert (code, output) == (0, "x\n")
    assert "Status: Image is up to date" in errors


def test_manifest_lists_are_made_as_docker_makes_them(known: Clients) -> None:
    host = known.registry
    mark = uuid.uuid4().hex[:6]
    one, two, target = f"{host}/{mark}/one:1", f"{host}/{mark}/two:1", f"{host}/{mark}/list:1"
    load(known, one)
    load(known, two, architecture="arm64", variant="v8", author="a <b>")
    for name in (one, two):
        known.run("docker", "push", name)
    for words in (
        ("inspect", "--insecure", one),
        ("inspect", "--insecure", "-v", two),
        ("inspect", "--insecure", f"{host}/{mark}/none"),
        ("create", "--insecure", target, one, two),
        ("create", "--insecure", target, one),
        ("inspect", target),
        ("inspect", "-v", target),
        ("inspect", target, two),
        ("annotate", target, two, "--arch", "arm", "--variant", "v7", "--os-features", "a,b"),
        ("annotate", target, two, "--arch", "nonsense"),
        ("annotate", target, f"{host}/other", "--arch", "arm"),
        ("push", "--insecure", target),
        ("push", "--insecure", "-p", target),
        ("inspect", "--insecure", target),
        ("inspect", "--insecure", "-v", target),
        ("create", "--insecure", "--amend", target, one),
        ("rm", target, f"{host}/none"),
        ("rm", target),
    ):
        known.both("manifest", *words)
        ours, theirs = ({p.name: p.read_text() for p in (known.root / c / "manifests").rglob("*")
                         if p.is_file()} for c in ("boxship", "docker"))  # fmt: skip
        assert ours == theirs


REPORTS: list[dict[str, object]] = [
    {"status": "Pulling from x/y", "id": "1"},
    *({"status": "Pulling fs layer", "progressDetail": {}, "id": f"l{n}"} for n in range(3)),
    *(
        {"status": "Downloading", "progressDetail": {"current": c, "total": 10**6}, "id": f"l{n}"}
        for c in (1000, 52_345, 999_999, 10**6)
        for n in (0, 2)
    ),
    {"status": "Download complete", "progressDetail": {}, "id": "l0"},
    {"status": "Extracting", "progressDetail": {"current": 7, "units": "s"}, "id": "l0"},
    {"status": "Extracting", "progressDetail": {"current": 2000, "total": 1000}, "id": "l1"},
    {"status": "Preparing", "progressDetail": {"current": 512}, "id": "l1"},
    {"status": "Digest: sha256:abc"},
    {"status": "again", "progressDetail": {}, "id": "l9"},
    {"status": "no id", "progressDetail": {"current": 1, "total": 2}},
    {"stream": "Loaded image: x\n"},
    {"aux": {"x": 1}},
    {"status": "Status: done"},
]


@pytest.fixture
def recorded(tmp_path: Path) -> Iterator[str]:
    """An engine that answers every pull with the same reports."""
    body = "".join(json.dumps(report) + "\r\n" for report in REPORTS).encode()
    with recording(tmp_path / "engine", body) as host:
        yield host


@pytest.mark.parametrize("columns", [200, 80, 0])
def test_bars_are_drawn_as_docker_draws_them(recorded: str, columns: int) -> None:
    docker = drawn([shutil.which("docker") or "", "-H", recorded, "pull", "x/y:1"], columns)
    assert drawn([*BOXSHIP, "-H", recorded, "pull", "x/y:1"], columns) == docker
    assert (b"[=>" in docker or b"==>" in docker) == (columns == 200)


@pytest.mark.parametrize(
    "platform", ["foo", "a/b/c/d", "linux/", "l!x/amd64", "linux/s390x", "arm", "x86_64", "linux"]
)
def test_platforms_are_refused_as_docker_refuses_them(clients: Clients, platform: str) -> None:
    clients.both("image", "inspect", "-f", "{{.Id}}", "--platform", platform, "busybox")
    clients.both("history", "--platform", platform, "busybox")
