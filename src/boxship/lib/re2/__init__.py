"""Regular expressions as RE2 and Go know them, matched in a time that is linear in the text.

parse.py     text -> what it says, as a tree
program.py   the tree -> instructions of a small machine
run.py       the machine: all that may match is followed side by side, nothing is tried again
matching.py  the same, slower, for who wants to know which part it is that matches
"""

from __future__ import annotations

from boxship.lib.re2.errors import InvalidExpression as InvalidExpression
from boxship.lib.re2.matching import Match as Match
from boxship.lib.re2.matching import Matcher as Matcher
from boxship.lib.re2.matching import matcher as matcher
from boxship.lib.re2.run import Expression as Expression
from boxship.lib.re2.run import compile as compile
