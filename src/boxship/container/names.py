"""Names of containers: which are allowed, and one for who does not care."""

from __future__ import annotations

import random
import re
from collections.abc import Callable, Container
from typing import Final

from boxship.container.errors import InvalidName

ALLOWED: Final = re.compile(r"/?[a-zA-Z0-9][a-zA-Z0-9_.-]+")

_ADJECTIVES: Final = (
    "able agile amber ample apt avid awake azure balmy bold brave breezy bright brisk bubbly "
    "calm candid casual cheery chief civil clean clear clever cool cosmic cosy crisp curious "
    "dapper daring deft devout dewy eager early earnest easy elated epic even exact fair famous "
    "fancy fast fierce fine firm fleet fluent fond frank free fresh frosty gallant gentle glad "
    "gleaming golden grand great green hale handy happy hardy hearty honest humble ideal jolly "
    "jovial keen kind lively loyal lucid lucky lunar mellow merry mighty mild modest neat nimble "
    "noble novel open patient peppy placid plucky polar polite prime proud quick quiet rapid "
    "ready regal robust rosy royal sage sandy sharp shiny silent silver sleek smart snug solar "
    "solid sonic spry stable stellar sturdy sunny super swift tender tidy trusty upbeat valiant "
    "vast velvet vivid warm wise witty young zealous zesty"
)
_NOUNS: Final = (
    "acorn anchor aspen aurora badger bamboo barge basalt beacon beaver birch bison bobcat brook "
    "canyon caravel cedar clipper clover comet compass condor copper coral crane crater cricket "
    "dahlia delta dinghy dolphin dune eagle ember falcon fennel fern ferry finch fjord flint "
    "fox galleon galaxy garnet gecko geyser ginger glacier granite grove gull harbor hazel heron "
    "hornet ibis iris island jasper juniper kayak kestrel kiwi lagoon lantern lark ledger lemur "
    "lichen lilac linnet lotus lynx magnet maple marble marlin meadow meteor mimosa moose moss "
    "nebula nectar newt oak oasis ocelot olive onyx opal orbit orchid osprey otter owl panda "
    "pebble pelican pepper petrel pine plover prairie puffin quail quartz quasar raven reef "
    "ridge river robin rudder saffron sail salmon schooner sloop sparrow spruce squid summit "
    "swan tern thistle tide topaz trout tulip tundra turtle valley violet walnut walrus willow "
    "wombat wren yacht yarrow zebra zephyr"
)
ADJECTIVES: Final = tuple(_ADJECTIVES.split())
NOUNS: Final = tuple(_NOUNS.split())


def checked(name: str) -> str:
    """Return a name that a user asked for, without the leading slash."""
    if not ALLOWED.fullmatch(name):
        raise InvalidName(name)
    return name.removeprefix("/")


def unused(taken: Container[str], pick: Callable[[int], int] = random.randrange) -> str:
    """Return an adjective and a noun that no container has as its name yet."""
    for attempt in range(1000):
        name = f"{ADJECTIVES[pick(len(ADJECTIVES))]}_{NOUNS[pick(len(NOUNS))]}"
        if attempt > 5:
            name += str(pick(10 ** (attempt // 6)))
        if name not in taken:
            return name
    raise RuntimeError("a thousand random names are all taken")
