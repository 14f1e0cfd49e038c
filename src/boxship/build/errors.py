"""What stops a build."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from boxship.build.ops import Ref, Vertex
from boxship.errors import BoxshipError, Forbidden, InvalidRequest, NotFound


class BuildFailed(BoxshipError):
    """A vertex could not be solved; `vertex` is the one, and the cause is what it raised."""

    def __init__(self, message: str, vertex: Vertex | None = None) -> None:
        super().__init__(message)
        self.vertex = vertex


class ProcessFailed(BoxshipError):
    """A RUN's process ended with a code that is no success."""

    def __init__(self, args: tuple[str, ...], code: int, hint: str = "") -> None:
        command = " ".join(args)
        super().__init__(
            f'process "{command}" did not complete successfully: exit code: {code}{hint}'
        )
        self.code = code
        self.command = command
        self.left: Mapping[int, Ref] = {}  # what it has left behind, by results, if that was asked
        self.hint = hint


class ProcessNotRun(BoxshipError):
    """A RUN's process could not be begun; the cause says why."""

    def __init__(self, args: tuple[str, ...], cause: BoxshipError) -> None:
        super().__init__(f'process "{" ".join(args)}" did not complete successfully: {cause}')
        self.cause = cause


class NotEntitled(Forbidden):
    """Something was asked for that needs the consent of client and daemon."""

    def __init__(self, entitlement: str) -> None:
        super().__init__(f"{entitlement} is not allowed")


class NotConsented(Forbidden):
    """Devices were asked for that need consent."""

    def __init__(self, names: Sequence[str]) -> None:
        what = f"device {names[0]} is" if len(names) == 1 else f"devices {', '.join(names)} are"
        super().__init__(f"{what} requested by the build but not allowed")


class NoSuchDevice(InvalidRequest):
    """The host does not offer a device that is needed."""


class BadGraph(InvalidRequest):
    """A definition that makes no sense."""


class NoSuchFile(NotFound):
    """A file to be copied is not there."""

    def __init__(self, path: str) -> None:
        super().__init__(f'"{path}": not found')
        self.path = path


class NotInInput(NoSuchFile):
    """A file that a step takes of its input `ref` is not there, so the step has no key."""

    def __init__(self, path: str, ref: str) -> None:
        super().__init__(path)
        said = f"failed to compute cache key: failed to calculate checksum of ref {ref}: {self}"
        self.args = (said,)


class NoSuchOwner(NotFound):
    """A copy is to belong to somebody whom the image does not know."""

    def __init__(self, kind: str, letter: str, name: str) -> None:
        super().__init__(
            "unable to convert uid/gid chown string to host mapping: "
            f"can't find {letter}id for {kind} {name}: no such {kind}: {name}"
        )


class Outside(InvalidRequest):
    """An address that builds may not reach."""
