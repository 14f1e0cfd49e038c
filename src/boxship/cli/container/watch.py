"""Keeping up with the usage of several containers: a thread reads each one's stream."""

from __future__ import annotations

import threading
import time

from boxship.cli.container.usage import Usage
from boxship.errors import BoxshipError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from boxship.client.engine import Engine

STARTS = ("start", "create")
ENDS = ("die", "destroy")


class Watch:
    """The newest usage of each container watched, in the order they were added."""

    def __init__(self, engine: Callable[[], Engine], *, whole: bool) -> None:
        self._engine = engine
        self._whole = whole
        self._usages: dict[str, Usage] = {}
        self._live: set[str] = set()
        self._lock = threading.Lock()
        self.problems: list[str] = []

    def add(self, name: str) -> None:
        """Begin to watch a container."""
        with self._lock:
            if name in self._live:
                return
            self._live.add(name)
            self._usages.setdefault(name, Usage(name, {}, whole=self._whole))
        threading.Thread(target=self._read, args=(name,), daemon=True).start()

    def _read(self, name: str) -> None:
        try:
            for sample in self._engine().containers.stats(name, stream=True):
                with self._lock:
                    if name not in self._live:
                        return
                    self._usages[name] = Usage(name, sample, whole=self._whole)
        except BoxshipError as error:
            self.problems.append(str(error))
        finally:
            with self._lock:
                self._live.discard(name)

    def follow(self, everything: bool) -> None:
        """Watch containers that appear, and forget those that go."""
        filters = {"type": ["container"], "event": [*STARTS, *ENDS]}
        try:
            for event in self._engine().system.events(filters=filters):
                action, name = event.get("Action"), event["Actor"]["ID"]
                if action == "start" or (action == "create" and everything):
                    self.add(name)
                elif action == "destroy" or (action == "die" and not everything):
                    with self._lock:
                        self._live.discard(name)
                        self._usages.pop(name, None)
        except BoxshipError as error:
            self.problems.append(str(error))

    def wait_first(self, seconds: float) -> None:
        """Give every container the time for a first sample."""
        end = time.monotonic() + seconds
        while time.monotonic() < end and not self.problems:
            with self._lock:
                if all(usage.sample for usage in self._usages.values()):
                    return
            time.sleep(0.02)

    def usages(self) -> list[Usage]:
        with self._lock:
            return list(self._usages.values())

    def is_over(self) -> bool:
        """Tell whether no container is read any more."""
        with self._lock:
            return not self._live
