"""Libraries for the few commands that need any: the others start without looking for them."""

from __future__ import annotations

import sys


def find_libraries() -> None:
    """Have installed packages importable, also where the interpreter started without them."""
    if sys.flags.no_site and "site" not in sys.modules:
        import site

        site.main()
