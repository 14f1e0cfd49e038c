"""Variables and labels from options and files."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

LONGEST_LINE = 1 << 20
BYTE_ORDER_MARK = "\ufeff"


def variables_of(files: Iterable[str], given: Iterable[str], ours: Mapping[str, str]) -> list[str]:
    """Return `NAME=value` lines, those of files first; a name alone takes our own value, if any."""
    found: list[str] = []
    for path in files:
        found.extend(_from_file(path, ours))
    for text in given:
        if "=" in text:
            found.append(text)
        elif text in ours:
            found.append(f"{text}={ours[text]}")
        else:
            found.append(text)  # the engine removes a variable that has no value
    return found


def labels_of(
    files: Iterable[str], given: Iterable[str], ours: Mapping[str, str]
) -> dict[str, str]:
    lines: list[str] = []
    for path in files:
        lines.extend(line for line in _from_file(path, None) if "=" in line)
    lines.extend(given)
    return pairs_of(lines)


def pairs_of(lines: Iterable[str], what: str = "") -> dict[str, str]:
    """Return `key=value` lines as a mapping; where `what` is given, the sign is required."""
    found: dict[str, str] = {}
    for line in lines:
        key, equals, value = line.partition("=")
        if what and not equals:
            raise ValueError(f"invalid {what}")
        found[key] = value
    return found


def _from_file(path: str, ours: Mapping[str, str] | None) -> list[str]:
    try:
        with open(path, "rb") as file:
            data = file.read()
    except OSError as error:
        reason = (error.strerror or str(error)).lower()
        raise ValueError(f"open {path}: {reason}") from error
    found: list[str] = []
    for number, raw in enumerate(data.split(b"\n"), 1):
        try:
            line = raw.rstrip(b"\r").decode()
        except UnicodeDecodeError:
            text = raw.decode("utf-8", "replace")
            problem = f"invalid env file ({path}): invalid utf8 bytes at line {number}: {text}"
            raise ValueError(problem) from None
        if number == 1:
            line = line.removeprefix(BYTE_ORDER_MARK)
        line = line.lstrip()
        if not line or line[0] == "#":
            continue
        name, equals, value = line.partition("=")
        name = name.lstrip()
        if any(char.isspace() for char in name):
            raise ValueError(f"invalid env file ({path}): variable '{name}' contains whitespaces")
        if not name:
            raise ValueError(f"invalid env file ({path}): no variable name on line '{line}'")
        if equals:
            found.append(f"{name}={value}")
        elif ours is None:
            found.append(name.strip())
        elif name.strip() in ours:
            found.append(f"{name.strip()}={ours[name.strip()]}")
    return found
