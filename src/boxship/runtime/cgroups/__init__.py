"""Control groups: limits, accounting, freezing and killing for one container at a time.

`detect()` gives the tree of this machine, whichever versions it has mounted:

    tree = detect()
    group = tree.create("/boxship/4711", resources)
    ...  processes come in by group.entrance()
    group.kill()
    group.remove()
"""

from __future__ import annotations

from boxship.runtime.cgroups import layout, scopes
from boxship.runtime.cgroups.errors import CgroupUnavailable
from boxship.runtime.cgroups.features import Features
from boxship.runtime.cgroups.hybrid import HybridTree
from boxship.runtime.cgroups.stats import CgroupStats
from boxship.runtime.cgroups.tree import Cgroup, CgroupTree
from boxship.runtime.cgroups.v1 import V1Tree
from boxship.runtime.cgroups.v2 import V2Tree
from boxship.runtime.cgroups.writes import quota_of

__all__ = ["Cgroup", "CgroupStats", "CgroupTree", "Features", "detect", "quota_of", "tree_of"]


def detect() -> CgroupTree:
    """Return the tree of what this process sees mounted; CgroupUnavailable when there is none."""
    return tree_of(layout.here())


def tree_of(found: layout.Layout) -> CgroupTree:
    """Return the tree for a layout."""
    if found.v1 and found.v2:
        return HybridTree(V1Tree(found.v1), V2Tree(found.v2, alone=False))
    if found.v1:
        return V1Tree(found.v1)
    if found.v2:
        tree = V2Tree(found.v2)
        return scopes.ScopeTree(tree) if scopes.is_booted() else tree
    raise CgroupUnavailable("no cgroup filesystem is mounted")
