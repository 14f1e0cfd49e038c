"""What `--push` and `--load` make of a target's outputs."""

from __future__ import annotations

from collections.abc import Sequence

from boxship.cli.building.fields import fields, joined, output_of


def with_push(outputs: Sequence[str], push: bool) -> list[str]:
    """Have images pushed, or none of them."""
    found: list[str] = []
    only_docker = True
    for text in outputs:
        kind = _kind(text)
        if kind == "registry" and not push:
            continue
        only_docker = only_docker and kind == "docker"
        if kind == "image":
            text = joined({**fields(text), "push": "true" if push else "false"})
        found.append(text)
    return [*found, "type=image,push=true"] if push and only_docker else found


def with_load(outputs: Sequence[str], load: bool) -> list[str]:
    """Have the engine get the image, where an image is what comes of the build."""
    if not load:
        return list(outputs)
    for text in outputs:
        kind = _kind(text)
        if kind == "docker" and not output_of(text).target:
            return list(outputs)
        if kind not in ("docker", "image", "registry", "oci"):
            return list(outputs)
    return [*outputs, "type=docker"]


def _kind(text: str) -> str:
    if text == "-" or "=" not in text:
        return "tar" if text == "-" else "local"
    return fields(text).get("type", "")
