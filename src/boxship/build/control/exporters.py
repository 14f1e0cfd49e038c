"""What clients want of a result, and where cached results come from, in the builder's words."""

from __future__ import annotations

import base64
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Final

from boxship.build.request import BuildRequest, Built, CacheOption, Export, Kind
from boxship.errors import NotSupported
from boxship.spec.buildkit import control_pb2 as pb

KINDS: Final = {
    "image": Kind.IMAGE,
    "moby": Kind.IMAGE,
    "docker": Kind.DOCKER,
    "oci": Kind.OCI,
    "local": Kind.LOCAL,
    "tar": Kind.TAR,
}
ENCODED: Final = frozenset({"containerimage.descriptor"})
NOTHING: Final = frozenset({"", "cacheonly"})


def asked_of(request: pb.SolveRequest) -> list[tuple[str, Mapping[str, str]]]:
    """Return the kinds and attributes of what is to be made of the result."""
    found: list[tuple[str, Mapping[str, str]]] = [
        (one.type, dict(one.attrs)) for one in request.exporters
    ]
    if not found and request.exporter_deprecated:
        found = [(request.exporter_deprecated, dict(request.exporter_attrs_deprecated))]
    return found


def with_exports(
    request: BuildRequest, wanted: Sequence[tuple[str, Mapping[str, str]]]
) -> BuildRequest:
    """Return the request with what is to be made of its result."""
    exports: list[Export] = []
    tags: list[str] = list(request.tags)
    for number, (kind, attrs) in enumerate(wanted):
        if kind in NOTHING:
            continue
        if kind not in KINDS:
            raise NotSupported(f"exporter {kind[:100]!r} could not be found")
        exports.append(Export(KINDS[kind], attrs, number))
        if KINDS[kind] is Kind.IMAGE:
            tags += [name for name in attrs.get("name", "").split(",") if name]
    return replace(request, exports=tuple(exports), tags=tuple(dict.fromkeys(tags)))


def with_cache(request: BuildRequest, options: pb.CacheOptions) -> BuildRequest:
    """Return the request with where cached results come from and go to."""
    imports = [CacheOption(one.type, dict(one.attrs)) for one in options.imports]
    imports += [CacheOption("registry", {"ref": ref}) for ref in options.import_refs_deprecated]
    exports = [CacheOption(one.type, dict(one.attrs)) for one in options.exports]
    if options.export_ref_deprecated:
        attrs = dict(options.export_attrs_deprecated) | {"ref": options.export_ref_deprecated}
        exports.append(CacheOption("registry", attrs))
    return replace(
        request,
        cache_from=(*request.cache_from, *imports),
        cache_to=(*request.cache_to, *exports),
    )


def response(built: Built) -> dict[str, str]:
    """Return what a build came to, as clients read it: what is JSON travels in base64."""
    return {
        key: base64.b64encode(value.encode()).decode() if key in ENCODED else value
        for key, value in built.metadata.items()
    }
