"""fmt's verbs."""

from __future__ import annotations

from boxship.lib.templates.values import Missing, Record

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

WIDEST = 1_000_000
QUOTED = {"\a": "\\a", "\b": "\\b", "\f": "\\f", "\n": "\\n", "\r": "\\r", "\t": "\\t", "\v": "\\v"}


def show(value: object) -> str:
    """Return `value` as %v prints it."""
    match value:
        case str():
            return value
        case bool():
            return "true" if value else "false"
        case int():
            return str(value)
        case float():
            return _shortest(value)
        case None:
            return "<nil>"
        case Missing():
            return "<no value>"
        case dict():
            inside = " ".join(f"{show(key)}:{show(value[key])}" for key in sorted(value))
            return f"map[{inside}]"
        case list() | tuple():
            return "[" + " ".join(map(show, value)) + "]"
        case Record():
            return show(value.go_json())
        case _:
            return str(value)


def _shortest(value: float) -> str:
    if value != value:
        return "NaN"
    if value in (float("inf"), float("-inf")):
        return "+Inf" if value > 0 else "-Inf"
    if value == 0 or 1e-4 <= abs(value) < 1e21:
        text = repr(value)
        if "e" in text:
            text = f"{value:.0f}" if abs(value) >= 1 else f"{value:f}"
        return text.removesuffix(".0")
    mantissa, _, exponent = repr(value).partition("e")
    if not exponent:
        mantissa, _, exponent = f"{value:e}".partition("e")
        mantissa = mantissa.rstrip("0").rstrip(".")
    return f"{mantissa.removesuffix('.0')}e{exponent[0]}{exponent[1:].rjust(2, '0')}"


def quote(text: str) -> str:
    """Return `text` as a quoted Go string."""
    parts = ['"']
    for char in text:
        code = ord(char)
        if char in '"\\':
            parts.append("\\" + char)
        elif char in QUOTED:
            parts.append(QUOTED[char])
        elif char.isprintable():
            parts.append(char)
        elif 0xDC80 <= code <= 0xDCFF:
            parts.append(f"\\x{code - 0xDC00:02x}")
        elif code < 0x80:
            parts.append(f"\\x{code:02x}")
        else:
            parts.append(f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}")
    return "".join(parts) + '"'


def go_print(values: Sequence[object]) -> str:
    """Print: a space between two operands of which neither is a string."""
    parts: list[str] = []
    before_string = True
    for value in values:
        is_string = isinstance(value, str)
        if parts and not is_string and not before_string:
            parts.append(" ")
        parts.append(show(value))
        before_string = is_string
    return "".join(parts)


def printf(text: str, values: Sequence[object]) -> str:
    """Sprintf with Go's verbs, its flags and its complaints inside the text."""
    parts: list[str] = []
    used = 0
    at = 0
    size = len(text)
    while at < size:
        percent = text.find("%", at)
        if percent < 0:
            parts.append(text[at:])
            break
        parts.append(text[at:percent])
        at = percent + 1
        flags = ""
        while at < size and text[at] in "+-# 0":
            flags += text[at]
            at += 1
        width, at, used = _measure(text, at, values, used)
        precision: int | None = None
        if text[at : at + 1] == ".":
            precision, at, used = _measure(text, at + 1, values, used)
            precision = precision or 0
        if at >= size:
            parts.append("%!(NOVERB)")
            break
        verb = text[at]
        at += 1
        if verb == "%":
            parts.append("%")
            continue
        if (width or 0) > WIDEST or (precision or 0) > WIDEST:
            parts.append("%!(BADWIDTH)")
            width = precision = None
        if used >= len(values):
            parts.append(f"%!{verb}(MISSING)")
            continue
        parts.append(_pad(_verb(verb, flags, precision, values[used]), flags, width, verb))
        used += 1
    if used < len(values):
        from boxship.lib.templates.values import type_name

        extra = ", ".join(f"{type_name(value)}={show(value)}" for value in values[used:])
        parts.append(f"%!(EXTRA {extra})")
    return "".join(parts)


def _measure(
    text: str, at: int, values: Sequence[object], used: int
) -> tuple[int | None, int, int]:
    if text[at : at + 1] == "*":
        value = values[used] if used < len(values) else None
        return (value if isinstance(value, int) else None), at + 1, used + 1
    start = at
    while at < len(text) and text[at].isdecimal() and at - start < 9:
        at += 1
    return (int(text[start:at]) if at > start else None), at, used


def _pad(text: str, flags: str, width: int | None, verb: str) -> str:
    if width is None or len(text) >= width:
        return text
    if "-" in flags:
        return text.ljust(width)
    if "0" in flags and verb not in "sqvT":
        sign = text[:1] if text[:1] in "+-" else ""
        return sign + text[len(sign) :].rjust(width - len(sign), "0")
    return text.rjust(width, "0" if "0" in flags and verb == "v" and text.isdecimal() else " ")


def _verb(verb: str, flags: str, precision: int | None, value: object) -> str:
    from boxship.lib.templates.values import type_name

    if verb == "v":
        return quote(value) if "#" in flags and isinstance(value, str) else show(value)
    if verb == "T":
        return type_name(value)
    if isinstance(value, list | tuple):
        return "[" + " ".join(_verb(verb, flags, precision, item) for item in value) + "]"
    text: str | None = None
    match value:
        case bool():
            text = show(value) if verb == "t" else None
        case str():
            text = _string(verb, flags, precision, value)
        case int():
            text = _integer(verb, flags, precision, value)
        case float():
            text = _float(verb, flags, precision, value)
    if text is None:
        if value is None:
            return f"%!{verb}(<nil>)"
        return f"%!{verb}({type_name(value)}={show(value)})"
    return text


def _string(verb: str, flags: str, precision: int | None, value: str) -> str | None:
    cut = value if precision is None else value[:precision]
    match verb:
        case "s":
            return cut
        case "q":
            return f"`{cut}`" if "#" in flags and "`" not in cut else quote(cut)
        case "x" | "X":
            data = cut.encode("utf-8", "surrogateescape").hex()
            return data.upper() if verb == "X" else data
        case _:
            return None


def _integer(verb: str, flags: str, precision: int | None, value: int) -> str | None:
    sign = "+" if "+" in flags and value >= 0 else " " if " " in flags and value >= 0 else ""
    match verb:
        case "d":
            digits = str(abs(value)).rjust(precision or 0, "0")
            return (sign or "-" * (value < 0)) + digits
        case "b" | "o" | "x" | "X":
            mark = {"b": "0b", "o": "0", "x": "0x", "X": "0X"}[verb] if "#" in flags else ""
            return sign + "-" * (value < 0) + mark + format(abs(value), verb)
        case "c" if 0 <= value < 0x110000:
            return chr(value)
        case "q" if 0 <= value < 0x110000:
            return "'" + quote(chr(value))[1:-1].replace('\\"', '"').replace("'", "\\'") + "'"
        case "U":
            return f"U+{value:04X}"
        case _:
            return None


def _float(verb: str, flags: str, precision: int | None, value: float) -> str | None:
    sign = "+" if "+" in flags else " " if " " in flags else ""
    match verb:
        case "f" | "F" | "e" | "E":
            return format(value, f"{sign}.{6 if precision is None else precision}{verb}")
        case "g" | "G":
            if precision is None:
                return _shortest(value)
            return format(value, f"{sign}.{precision or 1}{verb}")
        case _:
            return None
