"""What software a result has, by a scanner's word: an image that is run on the result.

The scanner finds the result beneath BUILDKIT_SCAN_SOURCE, read-only, further stages and the
context in folders beneath BUILDKIT_SCAN_SOURCE_EXTRAS, and writes in-toto statements into the
folder BUILDKIT_SCAN_DESTINATION, one in each file.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

import msgspec

from boxship.build import ops
from boxship.build.dockerfile import image as images
from boxship.build.dockerfile.options import Resolved
from boxship.build.ops import About, Ref, Source, Vertex
from boxship.build.request import Target
from boxship.errors import InvalidRequest
from boxship.kernel import paths
from boxship.lib import strictjson
from boxship.spec.platform import Platform
from boxship.spec.reference import Reference

GENERATOR: Final = "generator"
SOURCE: Final = "/run/src/core/sbom"
EXTRAS: Final = "/run/src/extras/"
DESTINATION: Final = "/run/out/"
MOST: Final = 1000  # statements
LARGEST: Final = 64 << 20  # bytes of one

Statement = tuple[str, Mapping[str, Any]]
"""The kind of a predicate, and the predicate."""


class _InToto(msgspec.Struct):
    """A statement, as far as it is kept: whom it is about is said anew."""

    predicate_type: str = msgspec.field(name="predicateType")
    predicate: dict[str, Any]


@dataclass(frozen=True, slots=True)
class Scanner:
    """A scanner's image; parameters are what else was asked of it, by name."""

    image: Resolved
    parameters: Mapping[str, str]
    host: Platform

    @property
    def name(self) -> str:
        """The image's name, with its digest."""
        found = Reference.parse(self.image.reference)
        return str(Reference(found.host, found.path, found.tag, self.image.digest))

    def scan(self, target: Target) -> Ref:
        """Return the step whose result are the statements about `target`."""
        config = images.run_config(images.decode(self.image.config))
        args = (*(config.entrypoint or ()), *(config.cmd or ()))
        if not args:
            raise InvalidRequest(f"scanner {self.image.reference} does not have cmd")
        env = [*(config.env or ())]
        env += [f"BUILDKIT_SCAN_DESTINATION={DESTINATION}", f"BUILDKIT_SCAN_SOURCE={SOURCE}"]
        env += [f"BUILDKIT_SCAN_{name}={value}" for name, value in self.parameters.items()]
        platform = target.platform or self.host
        inputs = [Ref(Vertex(Source(f"docker-image://{self.name}"), platform=self.host))]
        result = ops.SCRATCH
        if target.root is not None:
            inputs.append(target.root)
            result = 1
        extras = list[ops.Mount]()
        for name, ref in target.scanned:
            number = ops.SCRATCH
            if ref is not None:
                inputs.append(ref)
                number = len(inputs) - 1
            extras.append(ops.Bind(f"{EXTRAS}sbom-{name}", number, readonly=True))
        if extras:
            env.append(f"BUILDKIT_SCAN_SOURCE_EXTRAS={EXTRAS}")
        op = ops.Exec(
            args=args,
            env=tuple(env),
            cwd=config.working_dir or "/",
            user=config.user or "",
            mounts=(
                ops.Bind("/", 0),
                ops.Tmpfs("/tmp"),
                ops.Bind(SOURCE, result, readonly=True),
                *extras,
                ops.Bind(DESTINATION, ops.SCRATCH, output=0),
            ),
        )
        about = About(name=f"[{platform}] generating sbom using {self.image.reference}")
        return Ref(Vertex(op, tuple(inputs), self.host, about))


def statements(root: int) -> list[Statement]:
    """Read what a scanner has written; InvalidRequest where that makes no sense."""
    found: list[Statement] = []
    for name in sorted(os.listdir(root))[: MOST + 1]:
        if not stat.S_ISREG(os.stat(name, dir_fd=root, follow_symlinks=False).st_mode):
            continue
        data = paths.read_file_in_root(root, name, LARGEST + 1) or b""
        said = strictjson.decode(data, _InToto, f"scanner's file {name[:100]}", limit=LARGEST)
        found.append((said.predicate_type, said.predicate))
    if not found:
        raise InvalidRequest("the scanner has written no statements")
    if len(found) > MOST:
        raise InvalidRequest("the scanner has written too many statements")
    return found
