"""What is kept beside each line of a log: labels, environment and a tag of its container."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from boxship.errors import InvalidRequest
from boxship.lib import re2, templates
from boxship.lib.templates.values import Record

SHORT = 12


@dataclass(frozen=True, slots=True, kw_only=True)
class Source:
    """The container whose output is kept, and the host it runs on."""

    id: str
    name: str  # without a slash
    image_id: str = ""
    image_name: str = ""
    command: Sequence[str] = ()
    labels: Mapping[str, str] = field(default_factory=dict)
    environment: Sequence[str] = ()
    hostname: str = ""


def check(options: Mapping[str, str]) -> None:
    """Refuse what is no pattern or no template."""
    for name in ("labels-regex", "env-regex"):
        _pattern(options, name)
    templates.compile(options.get("tag", ""), "log-tag")


def attributes(options: Mapping[str, str], source: Source) -> dict[str, str]:
    """Return what the options choose of a container's labels and environment."""
    environment = dict(line.split("=", 1) for line in source.environment if "=" in line)
    return {
        **dict(_chosen(options, "labels", source.labels)),
        **dict(_chosen(options, "env", environment)),
    }


def tag(options: Mapping[str, str], source: Source) -> str:
    """Return the tag that the options ask for, from a template such as `{{.Name}}/{{.ID}}`."""
    text = options.get("tag", "")
    return templates.compile(text, "log-tag").render(_Info(source)) if text else ""


def _chosen(
    options: Mapping[str, str], name: str, there: Mapping[str, str]
) -> Iterator[tuple[str, str]]:
    for key in options.get(name, "").split(","):
        if key in there:
            yield key, there[key]
    if pattern := _pattern(options, f"{name}-regex"):
        yield from ((key, value) for key, value in there.items() if pattern.search(key))


def _pattern(options: Mapping[str, str], name: str) -> re2.Expression | None:
    text = options.get(name, "")
    try:
        return re2.compile(text) if text else None
    except re2.InvalidExpression as reason:
        raise InvalidRequest(f"invalid value for {name}: {text}: {reason}") from None


class _Info(Record):
    """A source under the names that templates know it by."""

    go_type = "logger.Info"

    def __init__(self, source: Source) -> None:
        self._source = source

    def go_field(self, name: str) -> object:
        return self._fields()[name]

    def go_json(self) -> object:
        return self._fields()

    def _fields(self) -> dict[str, object]:
        source = self._source
        return {
            "ID": source.id[:SHORT],
            "FullID": source.id,
            "Name": source.name,
            "ImageID": source.image_id.removeprefix("sha256:")[:SHORT],
            "ImageFullID": source.image_id,
            "ImageName": source.image_name,
            "Command": " ".join(source.command),
            "Hostname": source.hostname,
            "DaemonName": "boxship",
            "ContainerID": source.id,
            "ContainerName": f"/{source.name}",
            "ContainerImageID": source.image_id,
            "ContainerImageName": source.image_name,
            "ContainerEntrypoint": source.command[0] if source.command else "",
            "ContainerArgs": list(source.command[1:]),
            "ContainerEnv": list(source.environment),
            "ContainerLabels": dict(source.labels),
        }
