"""The Dockerfile front end as the builder calls it: one conversion for each platform."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import Final

from boxship.build import remote
from boxship.build.announcing import announced_late
from boxship.build.dockerfile import include
from boxship.build.dockerfile.contexts import without
from boxship.build.dockerfile.conversions import Conversions
from boxship.build.dockerfile.convert import Converted
from boxship.build.dockerfile.errors import DockerfileError
from boxship.build.dockerfile.lint import Finding
from boxship.build.dockerfile.options import CONTEXT, Input, Options, Resolved
from boxship.build.dockerfile.parse import Parsed, decode, parse
from boxship.build.ops import Ref, Source
from boxship.build.policy import NOBODY, BadPolicy
from boxship.build.progress import Report, Warned
from boxship.build.request import BuildRequest, Dockerfile, Target
from boxship.build.scanning import GENERATOR
from boxship.build.sources.contexts import CONTEXT as CONTEXTS
from boxship.build.sources.images import SCHEME as IMAGE
from boxship.build.sources.images import ImageSource
from boxship.build.sources.layouts import SCHEME as LAYOUT
from boxship.build.sources.layouts import LayoutSource
from boxship.build.sources.source import Asker
from boxship.lib.ignore import Matcher
from boxship.lib.urls import without_logins
from boxship.spec.digest import Digest
from boxship.spec.platform import Platform
from boxship.spec.reference import Reference

LOADING: Final = "[internal] load metadata for "
LONG: Final = 1 << 16
INPUT: Final = "context"  # a result that stands for the client's folder
OWN: Final = Source(CONTEXTS)  # of whoever asks: two builds of one file have one graph


@dataclass(frozen=True, slots=True)
class Finder:
    """Finds base images for one build."""

    source: ImageSource
    layouts: LayoutSource
    asker: Asker
    report: Report

    async def resolve(self, reference: str, platform: Platform) -> Resolved:
        """Return an image's digest and configuration; of one that is pulled, tell how far it is."""
        if self.asker.judges != NOBODY:
            reference = await self._judged(reference, platform)
        if reference.startswith(LAYOUT):
            return await self.layouts.resolve(reference, platform, self.asker)
        with announced_late(self.report, f"{LOADING}{reference}") as tell:
            return await self.source.resolve(reference, platform, self.asker, tell)

    async def _judged(self, reference: str, platform: Platform) -> str:
        """Return the image that policies would have instead."""
        known = reference.startswith(LAYOUT)
        source = Source(reference if known else f"{IMAGE}{Reference.parse(reference)}")
        doing = "could not resolve image due to policy"
        found = (await self.asker.judges.admitted(source, platform, doing)).identifier
        if not found.startswith((LAYOUT, IMAGE)):
            raise BadPolicy(f"an image cannot be replaced by {found[:200]}")
        return found.removeprefix(IMAGE)


@dataclass(frozen=True, slots=True)
class Frontend:
    """Converts Dockerfiles."""

    source: ImageSource
    layouts: LayoutSource
    asker: Asker
    host: Platform
    conversions: Conversions

    async def targets(
        self, request: BuildRequest, file: Dockerfile, report: Report
    ) -> Sequence[Target]:
        """Return what is to be solved, one for each platform asked for."""
        finder = Finder(self.source, self.layouts, self.asker, report)
        found: list[Target] = []
        for platform in request.platforms or (self.host,):
            options, findings = self.options(request, platform), list[Finding]()
            try:
                converted = await self.conversions.convert(
                    file.text, partial(_parsed, file), options, finder, findings
                )
            finally:
                if file.checked is not None:
                    file.checked(findings)
                elif not found and not file.classic:
                    _warn(request, file, findings, report)
            if file.told is not None:
                file.told(converted)
            found.append(target_of(converted, several=len(request.platforms) > 1))
        return found

    def options(self, request: BuildRequest, platform: Platform) -> Options:
        """Return a request as the front end takes it."""
        no_cache: frozenset[str] | None = None
        if request.no_cache.all or request.no_cache.stages:
            stages = frozenset(request.no_cache.stages)
            no_cache = frozenset() if request.no_cache.all else stages
        assert isinstance(request.frontend, Dockerfile)
        return Options(
            target_platform=platform,
            build_platforms=(self.host,),
            context=_context(request),
            target=request.target,
            build_args=request.build_args,
            labels=request.labels,
            platform_given=bool(request.platforms),
            multi_platform=len(request.platforms) > 1,
            contexts=request.named_contexts,
            excludes=request.named_excludes,
            inputs={
                name: Input(ref, request.input_configs.get(name, b""))
                for name, ref in request.inputs.items()
            },
            no_cache=no_cache,
            filename=request.frontend.name,
            ignore=request.frontend.left_out
            or (Matcher(request.excludes) if request.excludes else None),
            classic=request.frontend.classic,
            check=request.frontend.check,
            outline=request.frontend.outline,
            all_stages=request.frontend.all_stages,
            scans=GENERATOR in (request.sbom or ()),
            network=request.network,
            network_name=request.network_name,
            hostname=request.hostname,
            hosts=request.hosts,
            ulimits=request.ulimits,
            resources=request.resources,
        )


def _context(request: BuildRequest) -> Source | Ref:
    """Return the build context; a client's is sent without what its `.dockerignore` names."""
    identifier = request.context or CONTEXT.identifier
    if identifier.startswith(OWN.identifier):
        return OWN
    if repository := remote.repository_of(identifier, request.build_args):
        return repository
    local = identifier.startswith("local://")
    if local and (given := request.inputs.get(INPUT)) is not None:
        return given
    return without(identifier, request.excludes if local else ())


async def _parsed(file: Dockerfile) -> Parsed:
    """Read a file; a long one where it holds up nobody."""
    if len(file.text) < LONG:
        return _read(file)
    return await asyncio.to_thread(_read, file)


def _read(file: Dockerfile) -> Parsed:
    if file.classic and not file.text:
        raise DockerfileError(f"the Dockerfile ({file.name}) cannot be empty")
    try:
        parsed = parse(decode(file.text))
    except DockerfileError as error:
        if not file.classic:
            raise
        raise DockerfileError(f"failed to parse {file.name}: {error}", error.places) from None
    return include.expand(parsed, file.include)


def _warn(
    request: BuildRequest, file: Dockerfile, findings: Sequence[Finding], report: Report
) -> None:
    """Tell what the checks have found, of the step that has loaded the file."""
    step = f"{request.ref}\0[internal] load build definition from {file.name}"
    for finding in findings:
        report(
            Warned(
                Digest.of(step.encode()),
                1,
                finding.short.encode("utf-8", "replace"),
                (finding.rule.description.encode(),),
                finding.rule.url,
                file.name,
                finding.places,
                without_logins(file.text),
            )
        )


def target_of(converted: Converted, *, several: bool) -> Target:
    """Return a conversion as something to solve."""
    return Target(
        converted.root,
        converted.platform,
        converted.config,
        name=str(converted.platform) if several else "",
        epoch=converted.epoch,
        scanned=converted.scanned,
    )
