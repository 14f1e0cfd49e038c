"""Images as a tree: each with its names, and below it what there is for each platform."""

from __future__ import annotations

import posix

from boxship.lib.units import human_size
from boxship.lib.words import shorten, visible

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable

    from boxship.cli.output import Output
    from boxship.client.documents import ImageSummary

WARNING = (
    "WARNING: This is an experimental feature. The output may change and shouldn't be depended on."
)
WIDE = 80  # where nobody knows how wide it is
NARROWEST = 12  # a first column narrower than this costs the last ones
SPACE = "   "
TITLES = (("ID", 12), ("DISK USAGE", 10), ("CONTENT SIZE", 12), ("EXTRA", 5))
EXTRA = 3  # which column that is
PLAIN, BOLD, FAINT, BLUE = "\x1b[39m", "\x1b[39m\x1b[1m", "\x1b[39m\x1b[2m", "\x1b[34m\x1b[1m"
YELLOW, END = "\x1b[93m", "\x1b[0m"
CHIP = "\x1b[38;5;0m\x1b[48;5;14m U \x1b[0m"
NOTE = "\x1b[1m\x1b[106m\x1b[30mi\x1b[0m\x1b[0m \x1b[96mInfo → \x1b[0m\x1b[0m "
NOTE_WIDTH = 21
BRANCH = 7  # what a branch takes in the first column, as Docker counts it


class Row:
    """One line: an image or one of its manifests."""

    __slots__ = ("available", "content", "id", "in_use", "platform", "size")

    def __init__(
        self, id: str, size: int, content: int, *, in_use: bool, platform: str, available: bool
    ) -> None:
        self.id = visible(id.removeprefix("sha256:")[:12])
        self.size = size
        self.content = content
        self.in_use = in_use
        self.platform = platform
        self.available = available


def show_tree(output: Output, images: Iterable[ImageSummary], *, everything: bool) -> None:
    """Write the tree, as wide as the terminal is, the newest first."""
    shown = [one for one in images if everything or names_of(one) or one.get("RepoDigests")]
    Tree(output).show(sorted(shown, key=lambda one: one.get("Created", 0), reverse=True))


class Tree:
    """The columns for one output."""

    def __init__(self, output: Output) -> None:
        self._put = output.write
        self._colours = output.is_terminal()
        self._width = WIDE
        if self._colours:
            try:
                self._width = posix.get_terminal_size(output.descriptor).columns or WIDE
            except OSError:
                pass
        self._titles: tuple[tuple[str, int], ...] = TITLES
        self._first = 0

    def show(self, images: list[ImageSummary]) -> None:
        parts = [(names_of(one), children_of(one)) for one in images]
        self._fit(parts)
        self._head()
        for image, (names, children) in zip(images, parts, strict=True):
            self._names(names)
            self._details(whole(image, children))
            self._put("\n")
            for number, child in enumerate(children):
                branch = "└─ " if number == len(children) - 1 else "├─ "
                self._cell(branch + child.platform, self._colour(child))
                self._details(child)
                self._put("\n")
            self._put("\n")

    def _fit(self, parts: list[tuple[list[str], list[Row]]]) -> None:
        """Give the first column what it needs, at the cost of the last ones where it must."""
        left = self._width
        for number, (_, width) in enumerate(TITLES):
            if left - width - len(SPACE) < NARROWEST:
                self._titles = TITLES[:number]
                break
            left -= width + len(SPACE)
        widest = len("IMAGE")
        for names, children in parts:
            lengths = [len(name) for name in names]
            lengths += [len(child.platform) + BRANCH for child in children]
            widest = max([widest, *lengths])
        self._first = min(left, widest)

    def _head(self) -> None:
        if self._colours:
            self._put(f"{YELLOW}{WARNING}{END}\n")
            self._put(f"{' ' * (self._width - NOTE_WIDTH)}{NOTE}{CHIP} In Use \n\n")
        else:
            self._put(f"{WARNING}\n{'Info ->  U In Use '.rjust(self._width)}\n\n")
        self._put(f"{BOLD}IMAGE{END}{' ' * (self._first - len('IMAGE'))}")
        for title, width in self._titles:
            self._put(f"{SPACE}{BOLD}{title}{END}{' ' * (width - len(title))}")
        self._put("\n")

    def _names(self, names: list[str]) -> None:
        """Write the names, the last one in the first column and the others above it."""
        for name in names[:-1]:
            self._put(self._painted(shorten(name, self._width), BLUE) + "\n")
        self._cell(names[-1] if names else "<untagged>", BLUE if names else FAINT)

    def _details(self, row: Row) -> None:
        colour = PLAIN if not row.platform else self._colour(row)
        values = (row.id, human_size(row.size, 3), human_size(row.content, 3))
        for number, (_, width) in enumerate(self._titles):
            self._put(SPACE)
            if number == EXTRA:
                chip, taken = (CHIP, 3) if self._colours else ("U", 1)
                self._put(chip + " " * (width - taken) if row.in_use else " " * width)
                continue
            text = values[number]
            fill = " " * (width - len(text))
            painted = self._painted(text, colour)
            self._put(painted + fill if number == 0 else fill + painted)

    def _cell(self, text: str, colour: str) -> None:
        text = shorten(text, self._first)
        self._put(self._painted(text, colour) + " " * (self._first - len(text)))

    def _colour(self, row: Row) -> str:
        return PLAIN if row.available else FAINT

    def _painted(self, text: str, colour: str) -> str:
        return f"{colour}{text}{END}" if self._colours else text


def names_of(image: ImageSummary) -> list[str]:
    """Return the names, the longest first."""
    names = [visible(str(name)) for name in image.get("RepoTags") or []]
    return sorted((n for n in names if n != "<none>:<none>"), key=len, reverse=True)


def children_of(image: ImageSummary) -> list[Row]:
    """Return what there is for each platform; attestations are not shown."""
    found: list[Row] = []
    for one in image.get("Manifests") or []:
        data, size = one.get("ImageData") or {}, one.get("Size") or {}
        if one.get("Kind") != "image":
            continue
        platform = data.get("Platform") or {}
        words = (platform.get(key) for key in ("os", "architecture", "variant"))
        found.append(
            Row(
                str(one.get("ID", "")),
                size.get("Total", 0),
                size.get("Content", 0),
                in_use=bool(data.get("Containers")),
                platform=visible("/".join(filter(None, words))),
                available=bool(one.get("Available")),
            )
        )
    return found


def whole(image: ImageSummary, children: list[Row]) -> Row:
    """Return an image's own line."""
    return Row(
        str(image.get("Id", "")),
        image.get("Size", 0),
        sum(child.content for child in children),
        in_use=any(child.in_use for child in children),
        platform="",
        available=True,
    )
