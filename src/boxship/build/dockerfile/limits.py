"""What one Dockerfile may take in all, so that a hostile one ends soon and in little memory.

What a single word, line or stage may be is decided where it is read. Here is what adds up: text
that variables become, and what stages hand on to each other.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from boxship.build.dockerfile.errors import DockerfileError


@dataclass(slots=True)
class Allowance:
    """So much of something, and no more."""

    most: int
    what: str
    taken: int = 0

    def take(self, amount: int) -> None:
        """Take some of it; DockerfileError when that is more than there is."""
        self.taken += amount
        if self.taken > self.most:
            raise DockerfileError(f"{self.what}, more than {self.most} in all")


def text() -> Allowance:
    """Return what variables may become; matching a character counts like writing some."""
    return Allowance(8 << 20, "variables become too much text")


@dataclass(slots=True)
class Limits:
    """The allowances of one conversion.

    inherited: variables, labels and the like that stages begin with. environment: characters of
    variables that are given to RUN. triggers: instructions that come from ONBUILD. compared:
    names that were looked at to say which was meant; what goes over it is not suggested.
    """

    inherited: Allowance = field(
        default_factory=lambda: Allowance(200_000, "stages take over too much from each other")
    )
    environment: Allowance = field(
        default_factory=lambda: Allowance(32 << 20, "RUN instructions are given too many variables")
    )
    triggers: Allowance = field(
        default_factory=lambda: Allowance(5_000, "there are too many ONBUILD triggers")
    )
    compared: int = 20_000
