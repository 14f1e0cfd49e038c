"""The parts of a parsed template. `str()` of a node is its source, as Go's messages quote it."""

from __future__ import annotations


class Node:
    """Something at a place in the source."""

    __slots__ = ("at",)

    def __init__(self, at: int) -> None:
        self.at = at


class Text(Node):
    __slots__ = ("text",)

    def __init__(self, at: int, text: str) -> None:
        super().__init__(at)
        self.text = text


class Literal(Node):
    """A number, string, character or bool."""

    __slots__ = ("source", "value")

    def __init__(self, at: int, source: str, value: str | int | float | bool) -> None:
        super().__init__(at)
        self.source = source
        self.value = value

    def __str__(self) -> str:
        return self.source


class Dot(Node):
    __slots__ = ()

    def __str__(self) -> str:
        return "."


class Nil(Node):
    __slots__ = ()

    def __str__(self) -> str:
        return "nil"


class Name(Node):
    """A function."""

    __slots__ = ("name",)

    def __init__(self, at: int, name: str) -> None:
        super().__init__(at)
        self.name = name

    def __str__(self) -> str:
        return self.name


class Fields(Node):
    """`.A.B`, on the dot, on a variable (`$x.A`) or on a parenthesis (`(expr).A`)."""

    __slots__ = ("base", "names")

    def __init__(self, at: int, base: Node | None, names: list[str]) -> None:
        super().__init__(at)
        self.base = base
        self.names = names

    def __str__(self) -> str:
        base = "" if self.base is None else str(self.base)
        if isinstance(self.base, Pipeline):
            base = f"({base})"
        return base + "".join("." + name for name in self.names)


class Variable(Node):
    __slots__ = ("name",)

    def __init__(self, at: int, name: str) -> None:
        super().__init__(at)
        self.name = name

    def __str__(self) -> str:
        return self.name


class Command(Node):
    """A function, method or value with its arguments."""

    __slots__ = ("words",)

    def __init__(self, at: int, words: list[Node]) -> None:
        super().__init__(at)
        self.words = words

    def __str__(self) -> str:
        return " ".join(
            f"({word})" if isinstance(word, Pipeline) else str(word) for word in self.words
        )


class Pipeline(Node):
    """Commands, each given the value of the one before; perhaps kept in variables."""

    __slots__ = ("assigns", "commands", "variables")

    def __init__(
        self, at: int, variables: list[str], assigns: bool, commands: list[Command]
    ) -> None:
        super().__init__(at)
        self.variables = variables
        self.assigns = assigns
        self.commands = commands

    def __str__(self) -> str:
        text = " | ".join(map(str, self.commands))
        if self.variables:
            sign = "=" if self.assigns else ":="
            text = f"{', '.join(self.variables)} {sign} {text}"
        return text


class Action(Node):
    __slots__ = ("pipe",)

    def __init__(self, at: int, pipe: Pipeline) -> None:
        super().__init__(at)
        self.pipe = pipe


class Branch(Node):
    """if, with or range."""

    __slots__ = ("kind", "otherwise", "pipe", "then")

    def __init__(
        self, at: int, kind: str, pipe: Pipeline, then: list[Node], otherwise: list[Node]
    ) -> None:
        super().__init__(at)
        self.kind = kind
        self.pipe = pipe
        self.then = then
        self.otherwise = otherwise


class Jump(Node):
    """break or continue."""

    __slots__ = ("kind",)

    def __init__(self, at: int, kind: str) -> None:
        super().__init__(at)
        self.kind = kind


class Call(Node):
    """{{template "name" pipeline}}."""

    __slots__ = ("name", "pipe", "source")

    def __init__(self, at: int, name: str, source: str, pipe: Pipeline | None) -> None:
        super().__init__(at)
        self.name = name
        self.source = source
        self.pipe = pipe

    def __str__(self) -> str:
        return "{{template " + self.source + (f" {self.pipe}" if self.pipe else "") + "}}"
