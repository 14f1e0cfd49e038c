"""SIGHUP: the file is read again, and what can change while the daemon runs changes."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable, Mapping

from boxship.daemon import config as configuration
from boxship.daemon import logging as daemon_log
from boxship.daemon.config import Config
from boxship.daemon.options import OPTIONS
from boxship.errors import BoxshipError
from boxship.events.journal import Journal

log = logging.getLogger(__name__)

# What the event tells, as Docker's does.
TOLD = (
    *("debug", "max-concurrent-downloads", "max-concurrent-uploads", "max-download-attempts"),
    *("shutdown-timeout", "default-stop-timeout", "labels", "insecure-registries"),
    *("registry-mirrors", "live-restore", "features", "runtimes", "default-runtime"),
    *("default-shm-size", "default-ipc-mode", "default-cgroupns-mode"),
)


class Reload:
    """Holds the configuration in force, and replaces it."""

    def __init__(
        self,
        config: Config,
        flags: Mapping[str, object],
        environment: Mapping[str, str],
        apply: Callable[[Config], None],
    ) -> None:
        self.config = config
        self._flags = flags
        self._environment = environment
        self._apply = apply

    def run(self, journal: Journal, identity: str, name: str) -> None:
        """Read the configuration again; one that is wrong changes nothing."""
        try:
            fresh = configuration.load(self._flags, self._environment)
        except BoxshipError as error:
            log.error("the configuration is not reloaded: %s", error)
            return
        self.config = configuration.reloaded(self.config, fresh)
        daemon_log.set_level(self.config.log_level)
        self._apply(self.config)
        log.info("configuration reloaded")
        journal.publish("daemon", "reload", identity, {"name": name, **told(self.config)})


def told(config: Config) -> dict[str, str]:
    """Return the attributes of the event: lists and maps as JSON text."""
    names = {option.key: option.name for option in OPTIONS if option.key}
    return {key: _text(config.values[names[key]]) for key in TOLD}


def _text(value: object) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, tuple | list | dict):
        return json.dumps(value, default=lambda one: getattr(one, "path", str(one)))
    return str(value)
