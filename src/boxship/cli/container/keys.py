"""Which keys detach: the option, else the configuration, else ctrl-p ctrl-q."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from boxship.cli.shell import Shell


def keys_of(shell: Shell, option: str) -> tuple[bytes, str]:
    """Return the bytes of the keys, and their names where they are not the engine's default."""
    from boxship.cli.terminal import DEFAULT_DETACH_KEYS, detach_bytes

    named = option or shell.config.text("detachKeys")
    return detach_bytes(named or DEFAULT_DETACH_KEYS), named
