"""Small matters of wording."""

from __future__ import annotations

DELETE = "\x7f"


def visible(text: str) -> str:
    """Return `text` with control characters and broken bytes written as escapes.

    A name or label chosen by a stranger must not drive the reader's terminal.
    """
    if text.isprintable():
        return text
    return "".join(char if char.isprintable() else _escape(char) for char in text)


def visible_block(text: str) -> str:
    """Like `visible`, for text of several lines: newlines and tabs stay."""
    return "\n".join("\t".join(map(visible, line.split("\t"))) for line in text.split("\n"))


def _escape(char: str) -> str:
    code = ord(char)
    if char in "\n\r\t":
        return {"\n": "\\n", "\r": "\\r", "\t": "\\t"}[char]
    if 0xDC80 <= code <= 0xDCFF:  # a byte that was no UTF-8
        return f"\\x{code - 0xDC00:02x}"
    if code < 0x100:
        return f"\\x{code:02x}"
    # Marks of direction and the like; ordinary letters of every script are printable.
    return f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"


def shorten(text: str, length: int) -> str:
    """Return `text` in at most `length` columns, the last an ellipsis when it was longer."""
    if length <= 0:
        return ""
    if width_of(text) <= length:
        return text
    kept, taken = 0, 1
    for char in text:
        taken += width_of(char)
        if taken > length:
            break
        kept += 1
    return text[:kept] + "…"


def count(number: int, noun: str) -> str:
    """Return `1 argument`, `2 arguments`."""
    return f"{number} {noun}" + ("" if number == 1 else "s")


def natural(text: str) -> list[tuple[int, int, str]]:
    """Return a key that sorts `item2` before `item10`."""
    found: list[tuple[int, int, str]] = []
    at = 0
    while at < len(text):
        start = at
        digits = "0" <= text[at] <= "9"
        while at < len(text) and ("0" <= text[at] <= "9") == digits:
            at += 1
        part = text[start:at]
        found.append((0, int(part), part) if digits else (1, 0, part))
    return found


def width_of(text: str) -> int:
    """Return how many columns of a terminal a text takes."""
    if text.isascii():
        return len(text)
    import unicodedata

    return sum(
        0 if unicodedata.combining(char) else 1 + (unicodedata.east_asian_width(char) in "WF")
        for char in text
    )
