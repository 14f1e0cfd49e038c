"""The devices that a process of a build asks for: which are meant, and which it may have."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Final

from boxship.build.errors import NoSuchDevice, NotConsented
from boxship.build.ops import Device
from boxship.runtime.cdi import Found, is_kind

ENTITLEMENT: Final = "device"
CLASS: Final = "org.mobyproject.buildkit.device.class"
AUTO_ALLOW: Final = "org.mobyproject.buildkit.device.autoallow"
_ON: Final = frozenset({"1", "t", "T", "true", "TRUE", "True"})


def allowed(
    wanted: Sequence[Device], offered: Mapping[str, Found], consent: Collection[str]
) -> tuple[str, ...]:
    """Return the names of the devices that are meant, in order.

    NoSuchDevice where one that is needed is not offered; NotConsented where one is not allowed:
    by the entitlement `device`, which is for all, by `device=NAME[,alias=OTHER]`, or by itself.
    """
    everything, by_name = _consent(consent)
    chosen: list[str] = []
    for one in wanted:
        name = by_name.get(one.name, one.name)
        chosen += _meant(Device(name, one.optional), offered)
    chosen = list(dict.fromkeys(chosen))
    if not everything:
        fine = set(by_name.values())
        refused = [
            name
            for name in chosen
            if name not in fine and offered[name].kind not in fine and not is_free(offered[name])
        ]
        if refused:
            raise NotConsented(refused)
    return tuple(chosen)


def is_free(found: Found) -> bool:
    """Whether a device needs no consent."""
    return found.annotations.get(AUTO_ALLOW, "") in _ON


def _consent(given: Collection[str]) -> tuple[bool, dict[str, str]]:
    """Return whether all devices are allowed, and which are: what is asked for, what is given."""
    everything, by_name = False, dict[str, str]()
    for text in given:
        kind, equals, rest = text.partition("=")
        if kind != ENTITLEMENT:
            continue
        if not equals:
            everything = True
            continue
        name, *more = rest.split(",")
        name = name.removeprefix("name=")
        alias = next((one.removeprefix("alias=") for one in more if one.startswith("alias=")), "")
        by_name[alias or name] = name
    return everything, by_name


def _meant(wanted: Device, offered: Mapping[str, Found]) -> list[str]:
    kind, _, name = wanted.name.partition("=")
    if not is_kind(kind):
        raise NoSuchDevice(f'invalid device "{wanted.name[:200]}"')
    of_kind = [one for one in offered if offered[one].kind == kind]
    match name:
        case "":
            found = of_kind[:1]
        case "*":
            found = of_kind
        case _:
            found = [wanted.name] if wanted.name in offered else []
            found = found or [o for o in of_kind if offered[o].annotations.get(CLASS) == name]
    if not found and not wanted.optional:
        raise NoSuchDevice(f'required device "{wanted.name[:200]}" is not registered')
    return found
