"""The image that a stage makes, while it is being made: its configuration and its history."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final

import msgspec
from msgspec import structs

from boxship.build.dockerfile.errors import DockerfileError
from boxship.build.dockerfile.shell import quoted
from boxship.lib import duration, strictjson
from boxship.spec.engine.common import HealthConfig
from boxship.spec.engine.image import ImageConfig as RunConfig
from boxship.spec.oci.image import History, ImageConfig
from boxship.spec.platform import Platform

COMMENT: Final = "buildkit.dockerfile.v0"
WINDOWS: Final = "windows"
SHELL: Final = ("/bin/sh", "-c")
WINDOWS_SHELL: Final = ("cmd", "/S", "/C")
HISTORY_LIMIT: Final = 8 << 20
PATH: Final = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
WINDOWS_PATH: Final = r"c:\Windows\System32;c:\Windows"


def empty(platform: Platform) -> ImageConfig:
    """Return the configuration that `FROM scratch` begins with."""
    return ImageConfig(
        architecture=platform.architecture,
        os=platform.os,
        variant=platform.variant,
        config=RunConfig(working_dir="/", env=[f"PATH={path_of(platform.os)}"]),
    )


def decode(data: bytes) -> ImageConfig:
    """Read a base image's configuration."""
    found = strictjson.decode(data, ImageConfig, "image config")
    found.created = None
    found.config = found.config or RunConfig()
    found.history = found.history or []
    return found


def copy(config: ImageConfig) -> ImageConfig:
    """Return a configuration that can be changed apart; what is never changed is shared."""
    run = run_config(config)
    own = structs.replace(
        run,
        env=list(run.env or []) or None,
        labels=dict(run.labels or {}) or None,
        exposed_ports=dict(run.exposed_ports or {}) or None,
        volumes=dict(run.volumes or {}) or None,
    )
    return structs.replace(config, config=own, history=list(config.history or []))


def run_config(config: ImageConfig) -> RunConfig:
    """Return how containers run, which is always there while an image is made."""
    if config.config is None:
        config.config = RunConfig()
    return config.config


def is_scratch(config: ImageConfig) -> bool:
    """Whether an image has no layer."""
    return not config.rootfs.diff_ids and all(h.empty_layer for h in config.history or [])


def shell_of(image: ImageConfig) -> tuple[str, ...]:
    """Return what runs a shell form."""
    if shell := run_config(image).shell:
        return tuple(shell)
    return WINDOWS_SHELL if image.os == WINDOWS else SHELL


def path_of(os: str) -> str:
    """Return where programs are looked for, where the image does not say."""
    return WINDOWS_PATH if os == WINDOWS else PATH


@dataclass(frozen=True, slots=True)
class Moment:
    """An image's configuration after one step: all but its history, of which it has a part."""

    config: bytes
    history: Sequence[History]
    told: int

    @classmethod
    def of(cls, config: ImageConfig) -> Moment:
        """Take note of a configuration that goes on changing."""
        said = strictjson.encode(msgspec.structs.replace(config, history=None))
        history = config.history or []
        return cls(said, history, len(history))

    @property
    def image(self) -> ImageConfig:
        """The configuration as it was."""
        config = strictjson.decode(self.config, ImageConfig, "image configuration")
        return msgspec.structs.replace(config, history=list(self.history[: self.told]))


class Historian:
    """Writes history entries as one of the two builders does."""

    def __init__(self, *, classic: bool, created: str | None = None) -> None:
        self._classic = classic
        self._created = created
        self.told = 0

    def add(
        self, config: ImageConfig, said: str, *, layer: bool = False, built: bool = False
    ) -> None:
        """Add an entry; `layer` where it made one, `built` where it was a vertex of a build."""
        self.told += len(said)
        if self.told > HISTORY_LIMIT:
            raise DockerfileError(f"the history is larger than {HISTORY_LIMIT} bytes")
        if self._classic:
            said = self._nop(config, said)
        elif built:
            said += " # buildkit"
        config.history = config.history or []
        config.history.append(
            History(
                created=self._created,
                created_by=said,
                comment="" if self._classic else COMMENT,
                empty_layer=not layer,
                author=config.author if self._classic else "",
            )
        )

    def _nop(self, config: ImageConfig, said: str) -> str:
        kind, _, rest = said.partition(" ")
        if kind == "RUN":
            return rest
        space = "" if kind in ("COPY", "ADD", "WORKDIR") else " "
        end = " " if kind in ("COPY", "ADD") else ""
        return f"{' '.join(shell_of(config))} #(nop) {space}{said}{end}"


def go_list(words: Iterable[str]) -> str:
    """Return words as Go's %v writes a list."""
    return "[" + " ".join(words) + "]"


def go_quoted_list(words: Iterable[str]) -> str:
    """Return words as Go's %q writes a list."""
    return "[" + " ".join(map(quoted, words)) + "]"


def go_health(health: HealthConfig) -> str:
    """Return a health check as Go's %+v writes it."""
    times = (
        ("Interval", health.interval),
        ("Timeout", health.timeout),
        ("StartPeriod", health.start_period),
        ("StartInterval", health.start_interval),
    )
    said = " ".join(f"{name}:{duration.show(value or 0)}" for name, value in times)
    return f"{{Test:{go_list(health.test or [])} {said} Retries:{health.retries or 0}}}"


def classic_health(health: HealthConfig) -> str:
    """Return a health check as the classic builder writes it, which is Go's %q."""
    times = (health.interval, health.timeout, health.start_period)
    said = " ".join(quoted(duration.show(value or 0)) for value in times)
    retries = chr(health.retries or 0)
    shown = retries if retries.isprintable() else f"\\x{ord(retries):02x}"
    return f"&{{{go_quoted_list(health.test or [])} {said} '{shown}'}}"


def run_command(args: Sequence[str], build_args: Iterable[tuple[str, str]]) -> str:
    """Return a command as history tells it: `|1 A=b /bin/sh -c …`, arguments first."""
    values = dict(build_args)
    told = [f"|{len(values)}", *(f"{key}={value}" for key, value in values.items())]
    return " ".join((*(told if values else ()), *args))
