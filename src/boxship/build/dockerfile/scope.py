"""Which variables an instruction sees."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Final

from boxship.build.dockerfile import instructions as ins
from boxship.build.dockerfile.errors import DockerfileError
from boxship.build.dockerfile.options import Options
from boxship.build.dockerfile.shell import Lexer
from boxship.spec.platform import Platform

PROXIES: Final = ("http_proxy", "https_proxy", "ftp_proxy", "no_proxy", "all_proxy")
NOT_ENVIRONMENT: Final = frozenset({"BUILDKIT_SBOM_SCAN_CONTEXT", "BUILDKIT_SBOM_SCAN_STAGE"})
BUILTIN: Final = frozenset(
    {
        "BUILDKIT_BUILD_NAME",
        "BUILDKIT_CACHE_MOUNT_NS",
        "BUILDKIT_CONTEXT_KEEP_GIT_DIR",
        "BUILDKIT_DOCKERFILE_CHECK",
        "BUILDKIT_INLINE_CACHE",
        "BUILDKIT_MULTI_PLATFORM",
        "BUILDKIT_SANDBOX_HOSTNAME",
        "BUILDKIT_SYNTAX",
        "SOURCE_DATE_EPOCH",
        *NOT_ENVIRONMENT,
    }
)

PLATFORM_NAMES: Final = frozenset(
    f"{prefix}{part}"
    for prefix in ("BUILD", "TARGET")
    for part in ("PLATFORM", "OS", "OSVERSION", "ARCH", "VARIANT")
) | {"TARGETSTAGE"}


def is_proxy(name: str) -> bool:
    """Whether a build argument is one of those that need no ARG."""
    return name.lower() in PROXIES


def proxies(build_args: Mapping[str, str]) -> tuple[tuple[str, str], ...]:
    """Return the proxy variables that RUN sees, by their names in small letters."""
    found: dict[str, str] = {}
    for name in sorted(build_args):
        if is_proxy(name):
            found[name.lower()] = build_args[name]
    return tuple(found.items())


def platform_args(options: Options, last_stage: str) -> dict[str, str]:
    """Return the arguments that are there by themselves."""
    found: dict[str, str] = {}
    for prefix, platform in (
        ("BUILD", options.build_platforms[0]),
        ("TARGET", options.target_platform),
    ):
        found |= _platform(prefix, platform)
    found["TARGETSTAGE"] = options.target or last_stage or "default"
    for name in found:
        if name in options.build_args:
            found[name] = options.build_args[name]
    return found


def _platform(prefix: str, platform: Platform) -> dict[str, str]:
    return {
        f"{prefix}PLATFORM": str(platform),
        f"{prefix}OS": platform.os,
        f"{prefix}OSVERSION": platform.os_version,
        f"{prefix}ARCH": platform.architecture,
        f"{prefix}VARIANT": platform.variant,
    }


def global_args(
    known: Mapping[str, str],
    declared: Iterable[ins.Arg],
    build_args: Mapping[str, str],
    lexer: Lexer,
) -> dict[str, str]:
    """Return the values of what is declared before the first FROM."""
    found = dict(known)
    for arg in declared:
        for definition in arg.definitions:
            value = build_args.get(definition.key)
            if value is None and definition.value is not None:
                try:
                    value = lexer.word(definition.value, found)
                except DockerfileError as error:
                    raise error.at(arg.line.place) from None
            if value is not None:
                found.pop(definition.key, None)
                found[definition.key] = value
    return found
