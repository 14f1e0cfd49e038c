"""What all instructions need while they are converted."""

from __future__ import annotations

import time
from collections.abc import Iterable
from dataclasses import dataclass, field

from boxship.build.dockerfile import image as images
from boxship.build.dockerfile import instructions as ins
from boxship.build.dockerfile import lint, names
from boxship.build.dockerfile.drafts import Draft, DraftRef
from boxship.build.dockerfile.errors import DockerfileError, nearest
from boxship.build.dockerfile.image import WINDOWS
from boxship.build.dockerfile.limits import Limits
from boxship.build.dockerfile.options import Options
from boxship.build.dockerfile.scope import NOT_ENVIRONMENT
from boxship.build.dockerfile.shell import Lexer, quoted
from boxship.build.dockerfile.state import Command, State, States
from boxship.build.ops import About, Place, Resources, Source
from boxship.spec.oci.image import ImageConfig

SECOND = 1_000_000_000
MOMENTS = 4 << 20  # bytes of configurations that a classic build can be gone back to


@dataclass(eq=False, slots=True)
class Converter:
    """One conversion: options, all stages, and what has been found out so far.

    context_paths: what is read of the build context. steps: the drafts that each instruction
    made, for those who tell of a build instruction by instruction.
    """

    options: Options
    lexer: Lexer
    linter: lint.Linter
    states: States
    global_args: dict[str, str]
    proxies: tuple[tuple[str, str], ...]
    epoch: int | None
    context: DraftRef | None = None
    context_paths: set[str] = field(default_factory=set)
    steps: dict[Command, list[Draft]] = field(default_factory=dict)
    said: dict[Command, str] = field(default_factory=dict)
    moments: dict[Command, images.Moment] = field(default_factory=dict)
    room: int = MOMENTS
    ports: int = 0
    limits: Limits = field(default_factory=Limits)
    historian: images.Historian = field(init=False)
    state: State = field(init=False)
    command: Command = field(init=False)

    def __post_init__(self) -> None:
        created = None
        if self.epoch is not None:
            created = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(self.epoch))
        self.historian = images.Historian(classic=self.options.classic, created=created)

    def build_context(self) -> DraftRef:
        """Return the build context, which becomes a vertex once something reads it."""
        if self.context is None:
            wanted = self.options.context
            if isinstance(wanted, Source):
                about = About(name="[internal] load build context")
                self.context = DraftRef(Draft(wanted, about=about))
            else:
                self.context = DraftRef(Draft.of(wanted.vertex), wanted.output)
        return self.context

    @property
    def line(self) -> ins.Line:
        """The line that is being converted."""
        return self.command.instruction.line

    @property
    def timestamp(self) -> int:
        """What files made here are dated; -1 for the time they are made."""
        return -1 if self.epoch is None else self.epoch * SECOND

    def expand(self, word: str) -> str:
        """Return a word with its variables, and note those that nobody has set."""
        return self._told(self.lexer, word)

    def expand_document(self, text: str) -> str:
        """Return a document with its variables; quotes in it mean nothing."""
        return self._told(Lexer(skip_quotes=True, allowance=self.lexer.allowance), text)

    def expand_words(self, word: str) -> list[str]:
        """Return the words that a word becomes."""
        if not any(char in word for char in ("$", "'", '"', self.lexer.escape)):
            return word.split()
        found = self.lexer.expand(word, self.state.env, words=True)
        self.undefined(found.unmatched)
        return found.words

    def _told(self, lexer: Lexer, word: str) -> str:
        if "$" not in word and "'" not in word and '"' not in word and lexer.escape not in word:
            return word
        found = lexer.expand(word, self.state.env)
        self.undefined(found.unmatched)
        return found.text

    def undefined(self, unmatched: Iterable[str]) -> None:
        """Note variables that nobody has set or declared."""
        for name in sorted(unmatched):
            if name in self.state.args or name in NOT_ENVIRONMENT:
                continue
            self.limits.compared -= len(self.state.env)
            meant = nearest(name, self.state.env) if self.limits.compared > 0 else ""
            hint = f" (did you mean ${meant}?)" if meant else ""
            self.find(lint.UNDEFINED_VAR, f"Usage of undefined variable '${name}'{hint}")

    @property
    def is_windows(self) -> bool:
        """Whether the stage's image is for Windows."""
        return self.state.image is not None and self.state.image.os == WINDOWS

    def check_path(self, path: str) -> None:
        """Refuse a path as Windows writes it, for its images."""
        if self.is_windows and ("\\" in path or path[1:2] == ":"):
            raise DockerfileError(
                f"paths with drives and backslashes are not supported: {quoted(path)}; write "
                "slashes, from the root of drive C on"
            )

    def find(self, rule: lint.Rule, message: str, *places: Place) -> None:
        """Note that the line breaks a rule."""
        line = self.line
        self.linter.find(rule, places or (line.place,), message, line.comments)

    def named(self, text: str) -> str:
        """Count a step and return its vertex's name; `text` with what variables it has."""
        return names.prefixed(
            self.state,
            names.upper_first(text),
            multi_platform=self.options.multi_platform,
            env=self.state.env,
            on_build=self.command.on_build,
        )

    def about(self, name: str, *, group: str = "", resources: Resources | None = None) -> About:
        """Return what is told of a vertex of this line."""
        return About(
            name=name,
            ignore_cache=self.state.ignore_cache,
            file=self.options.filename,
            places=(self.line.place,),
            group=group,
            resources=resources or self.options.resources,
        )

    def made(self, *drafts: Draft) -> None:
        """Note that this line made drafts."""
        self.steps.setdefault(self.command, []).extend(drafts)

    def commit(self, said: str, *, layer: bool = False, built: bool = False) -> None:
        """Write a history entry."""
        assert self.state.image is not None
        self.said[self.command] = said
        self.historian.add(self.state.image, said, layer=layer, built=built)
        if self.options.classic and self.room > 0:
            self._remember(self.state.image)

    def _remember(self, image: ImageConfig) -> None:
        """Take note of the image as it is now: its step can be gone back to."""
        images.run_config(image).env = list(self.state.image_env.values()) or None
        moment = images.Moment.of(image)
        self.room -= len(moment.config)
        self.moments[self.command] = moment
