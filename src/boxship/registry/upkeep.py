"""What one does with a registry's storage: collect, retain, check, purge; each tells of it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from boxship.lib.duration import human
from boxship.registry import collect, retention
from boxship.registry.check import Checker
from boxship.registry.config import Config
from boxship.registry.proxy.evict import Evictor
from boxship.registry.proxy.upstreams import read as read_upstreams
from boxship.registry.service import Service


@dataclass(frozen=True, slots=True)
class Chore:
    """What is asked for. `grace` and `untagged` are the configuration's where they are None."""

    kind: str  # gc, retention, check, purge, evict
    dry: bool = False
    repair: bool = False
    grace: float | None = None
    untagged: bool | None = None


class Upkeep:
    """Does chores on one registry, one after the other."""

    def __init__(self, service: Service, config: Config) -> None:
        self._service = service
        self._config = config
        self.problems = 0  # that the last check has found

    def run(self, chore: Chore) -> Iterator[str]:
        """Do a chore; yield a line for each thing done or found."""
        match chore.kind:
            case "gc":
                yield from self._collect(chore)
            case "retention":
                yield from self._retain(chore)
            case "check":
                yield from self._check(chore)
            case "evict":
                yield from self._evict(chore)
            case "purge":
                yield from self._purge(chore)
            case _:
                raise ValueError(chore.kind)

    def _collect(self, chore: Chore) -> Iterator[str]:
        section = self._config.storage.collection
        grace = section.grace if chore.grace is None else chore.grace
        untagged = section.untagged if chore.untagged is None else chore.untagged
        collector = collect.Collector(self._service)
        plan = collector.plan(grace, untagged=untagged)
        removals = plan.removals if chore.dry else collector.carry_out(plan)
        yield from collect.told(plan, removals, dry=chore.dry)

    def _retain(self, chore: Chore) -> Iterator[str]:
        rules = self._config.retention.rules
        if not rules:
            yield "no rules of retention are configured (retention.rules)"
            return
        keeper = retention.Retention(self._service, rules)
        plan = keeper.plan()
        yield from retention.told(plan if chore.dry else keeper.carry_out(plan), dry=chore.dry)

    def _check(self, chore: Chore) -> Iterator[str]:
        self.problems = 0
        upstreams = read_upstreams(self._config.proxy)
        checker = Checker(self._service, lambda name: upstreams.of(name) is not None)
        for finding in checker.run(repair=chore.repair):
            self.problems += 1
            yield finding.sentence + (" (removed)" if chore.repair and finding.keys else "")
        yield "all is whole" if not self.problems else f"{self.problems} problems"

    def _evict(self, chore: Chore) -> Iterator[str]:
        section = self._config.proxy
        evictor = Evictor(self._service, read_upstreams(section))
        plan = evictor.plan(section.ttl, section.maxsize)
        verb = "would remove" if chore.dry else "removed"
        for one in plan if chore.dry else evictor.carry_out(plan):
            yield one.sentence(verb)
        yield from self._collect(chore)

    def _purge(self, chore: Chore) -> Iterator[str]:
        uploads = self._service.uploads
        section = self._config.storage.maintenance.uploadpurging
        age = section.age if chore.grace is None else chore.grace
        for name, identity, idle in list(uploads.abandoned(age)):
            if not chore.dry:
                uploads.purge(name, identity)
            verb = "would remove" if chore.dry else "removed"
            yield f"{verb} upload {identity} to {name}: nothing has come for {human(idle).lower()}"
