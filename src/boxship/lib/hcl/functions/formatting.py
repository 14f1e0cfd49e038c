"""`format("%05.1f of %q", …)`: verbs %v %#v %t %b %d %o %x %X %e %f %g %s %q, widths, [places]."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from decimal import Decimal
from typing import Final

from boxship.lib.hcl import values
from boxship.lib.hcl.functions.define import STRING, anything, takes
from boxship.lib.hcl.functions.general import json_encode
from boxship.lib.hcl.source import BadValue
from boxship.lib.hcl.values import Value

VERB: Final = re.compile(
    r"%(?P<flags>[-+ 0#]*)(?P<width>\d*)(?:\.(?P<precision>\d*))?"
    r"(?:\[(?P<place>\d+)\])?(?P<verb>.)",
    re.DOTALL,
)
WIDEST: Final = 4096


def format_(pattern: str, *given: Value) -> str:
    """Put values where the verbs are."""
    next_ = 0
    highest = 0
    explicit = False

    def put(found: re.Match[str]) -> str:
        nonlocal next_, highest, explicit
        if found["verb"] == "%":
            return "%"
        if found["place"]:
            next_, explicit = int(found["place"]) - 1, True
        if not 0 <= next_ < len(given):
            raise BadValue(f'not enough arguments for "{found[0]}": need index {next_ + 1}')
        shown = _one(found, given[next_])
        next_ += 1
        highest = max(highest, next_)
        return shown

    if pattern.endswith("%") and not pattern.endswith("%%"):
        raise BadValue("unrecognized format character at the end")
    made = VERB.sub(put, pattern)
    if highest < len(given) and not explicit:
        raise BadValue(f"too many arguments; only {highest} used by format string")
    return made


def _one(found: re.Match[str], value: Value) -> str:
    flags, verb = found["flags"], found["verb"]
    width = int(found["width"] or 0)
    precision = None if found["precision"] is None else int(found["precision"] or 0)
    if width > WIDEST or (precision or 0) > WIDEST:
        raise BadValue("the width is too large")
    shown = _shown(verb, flags, value, precision)
    if "-" in flags:
        return shown.ljust(width)
    if "0" in flags and verb not in "sqvt":
        sign = shown[:1] if shown[:1] in "+- " else ""
        return sign + shown[len(sign) :].rjust(width - len(sign), "0")
    return shown.rjust(width)


def _shown(verb: str, flags: str, value: Value, precision: int | None) -> str:
    if value is None and verb != "v":
        raise BadValue(f'unsupported value for "%{verb}": null value cannot be formatted')
    match verb:
        case "v":
            plain = isinstance(value, bool | str) or values.is_number(value)
            return values.text(value) if plain and "#" not in flags else json_encode(value)
        case "t":
            return values.text(values.truth(value))
        case "s" | "q":
            said = values.text(value)
            said = said if precision is None else said[:precision]
            return said if verb == "s" else json.dumps(said, ensure_ascii=False)
        case "d" | "b" | "o" | "x" | "X":
            number = int(values.number(value))
            return _signed(flags, number, format(abs(number), verb))
        case "e" | "E" | "f" | "F" | "g" | "G":
            amount = values.number(value)
            places = 6 if precision is None else precision
            exact = abs(Decimal(amount))
            if verb in "gG" and precision is None:
                shown = _general(exact)
                return _signed(flags, amount, shown.upper() if verb == "G" else shown)
            return _signed(flags, amount, _two_digits(format(exact, f".{places}{verb}")))
    raise BadValue(f'unrecognized format character "{verb}"')


def _general(value: Decimal) -> str:
    """Return a number with all of its digits, and an exponent where that is large."""
    if not value or -4 <= value.adjusted() < 6:
        return values.text(values.reduced(value))
    return _two_digits(format(value.normalize(), "e"))


def _two_digits(said: str) -> str:
    """Return a number whose exponent has two digits at least."""
    return re.sub(r"(?<=[eE][+-])(\d)$", r"0\1", said)


def _signed(flags: str, value: Value, shown: str) -> str:
    if value < 0:
        return f"-{shown}"
    return f"+{shown}" if "+" in flags else f" {shown}" if " " in flags else shown


def _each(pattern: str, *given: Value) -> list[str]:
    """Format once for each element of the lists among the values."""
    sizes = {len(one) for one in given if isinstance(one, list)}
    if not sizes:
        return [format_(pattern, *given)]
    if len(sizes) > 1:
        raise BadValue("all lists must have the same length")
    return [
        format_(pattern, *(one[place] if isinstance(one, list) else one for one in given))
        for place in range(sizes.pop())
    ]


FUNCTIONS: Final[Mapping[str, Callable[..., Value]]] = {
    "format": takes(STRING, rest=anything)(format_),
    "formatlist": takes(STRING, rest=anything)(_each),
}
