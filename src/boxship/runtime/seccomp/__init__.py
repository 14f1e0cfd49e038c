"""System call filters: profiles in, the instructions for seccomp(2) out."""

from __future__ import annotations

from boxship.runtime.seccomp.cache import compiled
from boxship.runtime.seccomp.compiler import compile, flags_of
from boxship.runtime.seccomp.default import default_profile
from boxship.runtime.seccomp.profile import parse_profile

__all__ = ["compile", "compiled", "default_profile", "flags_of", "parse_profile"]
