"""Classic BPF as seccomp(2) takes it, assembled from the end towards the start.

A filter can only jump forward. Whoever assembles backwards knows where every jump leads when it
writes the jump; a place is therefore counted from the end. Conditional jumps reach 255
instructions: what lies further away is reached by a jump in between, and a verdict, which is one
instruction itself, is simply repeated.
"""

from __future__ import annotations

import struct
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, NewType

LOAD: Final = 0x20  # the word of struct seccomp_data at this offset
AND: Final = 0x54
JUMP: Final = 0x05
JUMP_EQUAL: Final = 0x15
JUMP_GREATER: Final = 0x25
JUMP_NOT_BELOW: Final = 0x35
RETURN: Final = 0x06
MOST: Final = 4096  # instructions that the kernel takes
REACH: Final = 255

NUMBER_AT: Final = 0  # offsets in struct seccomp_data
ARCHITECTURE_AT: Final = 4
ARGUMENTS_AT: Final = 16

Place = NewType("Place", int)


@dataclass(frozen=True, slots=True)
class Instruction:
    code: int
    operand: int
    yes: int = 0
    no: int = 0

    def encode(self) -> bytes:
        return struct.pack("HBBI", self.code, self.yes, self.no, self.operand)


class Assembler:
    """A filter under construction; each method puts something before all that is there."""

    def __init__(self) -> None:
        self._reversed: list[Instruction] = []
        self._verdicts: dict[int, Place] = {}
        self._nearest: dict[int, Place] = {}  # the copy put last
        self._value_at: dict[Place, int] = {}

    def verdict(self, value: int) -> Place:
        """Return the place that ends the filter with `value`, the same one each time."""
        if value not in self._verdicts:
            self._verdicts[value] = self._end_with(value)
        return self._verdicts[value]

    def _end_with(self, value: int) -> Place:
        place = self._put(Instruction(RETURN, value))
        self._nearest[value] = place
        self._value_at[place] = value
        return place

    def load(self, offset: int, then: Place) -> Place:
        """Load a word of the call's data."""
        return self._before(Instruction(LOAD, offset), then)

    def mask(self, bits: int, then: Place) -> Place:
        """Keep some bits of what is loaded."""
        return self._before(Instruction(AND, bits), then)

    def test(self, code: int, operand: int, yes: Place, no: Place) -> Place:
        """Compare what is loaded, and go one of two ways; both are put in reach first."""
        if yes == no:
            return yes
        while True:
            for place in (yes, no):
                if self._distance(place) > REACH:
                    nearer = self._bring_near(place)
                    yes, no = (nearer if p == place else p for p in (yes, no))
                    break
            else:
                break
        return self._put(Instruction(code, operand, self._distance(yes), self._distance(no)))

    def _bring_near(self, place: Place) -> Place:
        value = self._value_at.get(place)
        if value is None:
            return self._put(Instruction(JUMP, self._distance(place)))
        nearest = self._nearest[value]
        return nearest if self._distance(nearest) <= REACH else self._end_with(value)

    def search(self, bounds: Sequence[tuple[int, Place]]) -> Place:
        """Go where the last bound not above what is loaded says, by halving; the first is 0."""
        if len(bounds) == 1:
            return bounds[0][1]
        middle = len(bounds) // 2
        high = self.search(bounds[middle:])
        low = self.search(bounds[:middle])
        return self.test(JUMP_NOT_BELOW, bounds[middle][0], high, low)

    def _before(self, instruction: Instruction, then: Place) -> Place:
        """Put an instruction that goes on at `then`, which need not be what comes next."""
        distance = self._distance(then)
        if distance:
            self._put(Instruction(JUMP, distance))
        return self._put(instruction)

    def _put(self, instruction: Instruction) -> Place:
        self._reversed.append(instruction)
        return Place(len(self._reversed))

    def _distance(self, place: Place) -> int:
        """Return how many instructions lie between the next one put and `place`."""
        return len(self._reversed) - place

    def finish(self, start: Place) -> bytes:
        """Return the filter, which begins at `start`."""
        if self._distance(start):
            self._put(Instruction(JUMP, self._distance(start)))
        return b"".join(instruction.encode() for instruction in reversed(self._reversed))
