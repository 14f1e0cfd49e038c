"""What software a result has, by a scanner's word: an image that is run on the result.

The scanner finds the result beneath BUILDKIT_SCAN_SOURCE, read-only, further stages and the
context in folders beneath BUILDKIT_SCAN_SOURCE_EXTRAS, and writes in-toto statements into the
folder BUILDKIT_SCAN_DESTINATION, one in each file.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from boxship.build import ops, statements
from boxship.build.dockerfile import image as images
from boxship.build.dockerfile.options import Resolved
from boxship.build.ops import About, Ref, Source, Vertex
from boxship.build.request import Target
from boxship.build.statements import Statement
from boxship.errors import InvalidRequest
from boxship.spec.platform import Platform
from boxship.spec.reference import Reference

GENERATOR: Final = "generator"
SOURCE: Final = "/run/src/core/sbom"
EXTRAS: Final = "/run/src/extras/"
DESTINATION: Final = "/run/out/"


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


def written(root: int) -> list[Statement]:
    """Read what a scanner has written; InvalidRequest where that makes no sense."""
    found = statements.in_folder(root, "scanner's file")
    if not found:
        raise InvalidRequest("the scanner has written no statements")
    return found
