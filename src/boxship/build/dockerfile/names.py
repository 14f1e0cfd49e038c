"""What vertices are called: `[build 2/5] RUN make`."""

from __future__ import annotations

from collections.abc import Mapping

from boxship.build.dockerfile.state import State
from boxship.errors import InvalidRequest
from boxship.spec.platform import Platform


def upper_first(text: str) -> str:
    """Return a line with its instruction in capitals."""
    first, space, rest = text.partition(" ")
    return first.upper() + space + rest


def prefixed(
    state: State,
    text: str,
    *,
    multi_platform: bool,
    env: Mapping[str, str],
    on_build: bool = False,
) -> str:
    """Count the next step of a stage and return its name."""
    state.index += 1
    return again(state, text, multi_platform=multi_platform, env=env, on_build=on_build)


def again(
    state: State,
    text: str,
    *,
    multi_platform: bool,
    env: Mapping[str, str],
    on_build: bool = False,
) -> str:
    """Return the name of a further vertex of the step that was counted last."""
    if not state.total:
        return text
    parts = []
    if multi_platform and state.platform is not None:
        parts.append(f"{state.platform}{_crossing(state.platform, env)}")
    if state.shown:
        parts.append(state.shown)
    parts.append(f"{state.index:{len(str(state.total))}d}/{state.total}")
    return f"[{' '.join(parts)}] {'ONBUILD ' if on_build else ''}{text}"


def _crossing(base: Platform, env: Mapping[str, str]) -> str:
    """Say for what platform a stage builds that runs on another."""
    if "TARGETPLATFORM" in env:
        try:
            target = Platform.parse(env["TARGETPLATFORM"], base)
        except InvalidRequest:
            return ""
    elif {"TARGETOS", "TARGETARCH", "TARGETVARIANT"} & env.keys():
        target = Platform.normal(
            env.get("TARGETOS") or base.os,
            env.get("TARGETARCH") or base.architecture,
            env.get("TARGETVARIANT", ""),
        )
    else:
        return ""
    if target.os != base.os:
        return f"->{target}"
    if target.architecture != base.architecture:
        return "->" + "/".join(filter(None, (target.architecture, target.variant)))
    return ""
