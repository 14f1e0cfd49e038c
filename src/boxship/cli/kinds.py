"""Kinds of option values: what help calls them and how their text becomes a value."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

INT64 = 1 << 63


class Kind:
    """`title` is the word in help, empty for a switch; `empty` makes the value of one not given."""

    __slots__ = ("empty", "parse", "repeats", "shown", "title")

    def __init__(
        self,
        title: str,
        parse: Callable[[str], object],
        *,
        repeats: bool = False,
        shown: str = "",
    ) -> None:
        self.title = title
        self.parse = parse
        self.repeats = repeats
        self.shown = shown


def parse_bool(text: str) -> bool:
    if text in ("1", "t", "T", "true", "TRUE", "True"):
        return True
    if text in ("0", "f", "F", "false", "FALSE", "False"):
        return False
    raise ValueError(f'strconv.ParseBool: parsing "{text}": invalid syntax')


def _integer(text: str, function: str, low: int, high: int) -> int:
    plain = text.lstrip("+-")
    try:
        if not plain or len(text) - len(plain) > 1 or not plain.isascii():
            raise ValueError
        old_octal = len(plain) > 1 and plain[0] == "0" and plain.isdecimal()
        value = int(text, 8 if old_octal else 0)
    except ValueError:
        raise ValueError(f'strconv.{function}: parsing "{text}": invalid syntax') from None
    if not low <= value < high:
        raise ValueError(f'strconv.{function}: parsing "{text}": value out of range')
    return value


def parse_int(text: str) -> int:
    return _integer(text, "ParseInt", -INT64, INT64)


def parse_unsigned(text: str) -> int:
    return _integer(text, "ParseUint", 0, 1 << 64)


def parse_uint16(text: str) -> int:
    return _integer(text, "ParseUint", 0, 1 << 16)


def parse_bytes(text: str) -> int:
    from boxship.lib.units import parse_ram

    return parse_ram(text)


def parse_swap(text: str) -> int:
    return -1 if text == "-1" else parse_bytes(text)


def parse_duration(text: str) -> int:
    from boxship.lib import duration

    return duration.parse(text)


def parse_cpus(text: str) -> int:
    """Read a number of processors as nanoseconds of one in each second."""
    whole, _, part = text.strip("+").partition(".")
    digits = whole.lstrip("-") + part
    if not digits.isdecimal() or not digits.isascii():
        raise ValueError(f"failed to parse {text} as a rational number")
    if len(part.rstrip("0")) > 9:
        raise ValueError("value is too precise")
    value = int(whole.lstrip("-") or "0") * 10**9 + int(part.ljust(9, "0")[:9] or "0")
    return -value if whole.startswith("-") else value


def parse_filter(text: str) -> str:
    if "=" not in text and text:
        raise ValueError("bad format of filter (expected name=value)")
    return text


def parse_ip(text: str) -> str:
    import _socket

    for family in (_socket.AF_INET, _socket.AF_INET6):
        try:
            return _socket.inet_ntop(family, _socket.inet_pton(family, text.strip()))
        except OSError:
            continue
    raise ValueError(f"failed to parse IP: {_quoted(text)}")


def _quoted(text: str) -> str:
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'


KINDS: dict[str, Kind] = {
    "bool": Kind("", parse_bool),
    "maybe": Kind("", parse_bool),  # a switch that tells "not given" from "no"
    "string": Kind("string", str),
    "int": Kind("int", parse_int),
    "uint": Kind("uint", parse_unsigned),
    "uint16": Kind("uint16", parse_uint16, shown="0"),
    "bytes": Kind("bytes", parse_bytes),
    "swap": Kind("bytes", parse_swap),
    "decimal": Kind("decimal", parse_cpus),
    "duration": Kind("duration", parse_duration, shown="0s"),
    "ip": Kind("string", parse_ip),
    "list": Kind("list", str, repeats=True),
    "map": Kind("map", str, repeats=True, shown="map[]"),
    "filter": Kind("filter", parse_filter, repeats=True),
    "array": Kind("stringArray", str, repeats=True),
    "mount": Kind("mount", str, repeats=True),
    "network": Kind("network", str, repeats=True),
    "ulimit": Kind("ulimit", str, repeats=True, shown="[]"),
    "devices": Kind("list", str, repeats=True, shown="[]"),
    "gpus": Kind("gpu-request", str, repeats=True),
}
