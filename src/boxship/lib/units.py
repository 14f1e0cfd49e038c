"""Sizes as people read and write them."""

from __future__ import annotations

DECIMAL = ("B", "kB", "MB", "GB", "TB", "PB", "EB", "ZB", "YB")
BINARY = ("B", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB", "ZiB", "YiB")
MOST = 1 << 63  # the first that no size reaches
SCALE = {"": 0, "k": 1, "m": 2, "g": 3, "t": 4, "p": 5}


def human_size(size: float, precision: int = 4) -> str:
    """Return `size` in powers of 1000: 1234567 is 1.235MB."""
    return _scaled(size, 1000.0, DECIMAL, precision)


def binary_size(size: float, precision: int = 4) -> str:
    """Return `size` in powers of 1024: 1048576 is 1MiB."""
    return _scaled(size, 1024.0, BINARY, precision)


def _scaled(size: float, base: float, units: tuple[str, ...], precision: int) -> str:
    step = 0
    while size >= base and step < len(units) - 1:
        size /= base
        step += 1
    return f"{size:.{precision}g}{units[step]}"


def parse_ram(text: str) -> int:
    """Read a size in powers of 1024 (`512m`, `1.5GiB`, `100`); ValueError when it is not one."""
    return parse_size(text, 1024)


def parse_size(text: str, base: int) -> int:
    """Read a number with an optional unit; ValueError in Docker's words."""
    split = len(text)
    for at, char in enumerate(text):
        if not (char.isdigit() or char == "."):
            split = at
            break
    if text[:1] == "-" or split == 0:
        raise ValueError(f"invalid size: '{text}'")
    number, unit = text[:split], text[split:].strip(" ").lower()
    for suffix in ("ib", "b"):
        if unit.endswith(suffix) and (suffix != "ib" or len(unit) == 3):
            unit = unit[: -len(suffix)]
            break
    try:
        value = float(number)
    except ValueError:
        raise ValueError(f"invalid size: '{text}'") from None
    if unit not in SCALE or number.count(".") > 1:
        raise ValueError(f"invalid suffix: '{text[split:].strip(' ').lower()}'")
    if (value := value * base ** SCALE[unit]) >= MOST:
        raise ValueError(f"invalid size: '{text}'")
    return int(value)
