"""What stages stand on: images, named contexts, nothing."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Mapping, Sequence

from boxship.build.dockerfile import contexts, gitref, lint, names
from boxship.build.dockerfile import image as images
from boxship.build.dockerfile.drafts import Draft, DraftRef
from boxship.build.dockerfile.errors import (
    BaseUnavailable,
    DockerfileError,
    NoSuchBase,
    suggest,
)
from boxship.build.dockerfile.options import Images, Options
from boxship.build.dockerfile.state import SCRATCH, State, States
from boxship.build.ops import About, Source
from boxship.errors import InvalidRequest, NotFound, Unavailable
from boxship.lib.groups import first_of
from boxship.spec.oci.image import ImageConfig
from boxship.spec.platform import Platform
from boxship.spec.reference import Reference

COMMON = ("alpine", "busybox", "centos", "debian", "golang", "ubuntu", "fedora")
TOGETHER = 8  # images that are looked up at a time


class Bases:
    """Finds the base of each stage once, several at a time."""

    def __init__(
        self, options: Options, finder: Images, states: States, linter: lint.Linter
    ) -> None:
        self._options = options
        self._finder = finder
        self._states = states
        self._linter = linter
        self._room = asyncio.Semaphore(TOGETHER)

    async def resolve(self, reachable: Iterable[State]) -> None:
        """Find the base of each stage that has not been looked up yet."""
        waiting = [s for s in reachable if s.base is None and not (s.resolved or s.done)]
        if len(waiting) == 1:
            await self._one(waiting[0])
        elif waiting:
            try:
                async with asyncio.TaskGroup() as tasks:
                    for state in sorted(waiting, key=self._states.all.index):
                        tasks.create_task(self._one(state))
            except BaseExceptionGroup as errors:
                raise first_of(errors) from None

    async def _one(self, state: State) -> None:
        state.resolved = True
        try:
            async with self._room:
                await self._base(state)
        except DockerfileError as error:
            raise error.at(state.place) from None
        if state.unregistered:
            state.done = True

    async def _base(self, state: State) -> None:
        platform = state.platform or self._options.target_platform
        if state.context is not None:
            await self._named(state, state.context, platform)
            state.done = True
            return
        if state.base_name == SCRATCH:
            state.image = images.empty(self._options.target_platform)
            state.platform = self._options.target_platform
            if self._options.classic:
                images.run_config(state.image).working_dir = None
            return
        if named := contexts.find(self._options, state.base_name, platform):
            await self._named(state, named, platform)
            return
        await self._image(state, state.base_name, state.base_name, platform)

    async def _named(self, state: State, value: str, platform: Platform) -> None:
        """Stand on what a named context holds."""
        kind, colon, rest = value.partition(":")
        if kind == "docker-image" and colon:
            await self._image(state, rest.removeprefix("//"), value, platform)
            return
        state.platform = platform
        if kind == "input":
            given = self._options.inputs.get(rest)
            if given is None:
                raise DockerfileError(f"unknown input {rest!r} of a named context")
            if given.ref is not None:
                state.root = DraftRef(Draft.of(given.ref.vertex), given.ref.output)
            state.image = images.decode(given.config) if given.config else self._empty(platform)
            return
        source = _source(value, self._options.excludes)
        if kind == "oci-layout":
            found = await self._finder.resolve(source.identifier, platform)
            state.image = images.decode(found.config)
            state.base_image = images.copy(state.image)
        else:
            state.image = self._empty(platform)
        about = About(name=f"[context {state.shown or state.base_name}] load from {value[:200]}")
        if source.identifier.startswith("local://"):
            about = About(name=f"[context {state.shown or state.base_name}] load from client")
        state.root = DraftRef(Draft(source, platform=platform, about=about))

    def _empty(self, platform: Platform) -> ImageConfig:
        return images.empty(platform)

    async def _image(self, state: State, name: str, said: str, platform: Platform) -> None:
        try:
            reference = Reference.parse(name).with_default_tag()
        except InvalidRequest as error:
            raise DockerfileError(
                f'failed to parse stage name "{name}": {error}', [state.place]
            ) from None
        try:
            found = await self._finder.resolve(str(reference), platform)
        except NotFound as error:
            known = [*self._states.names(), *COMMON]
            message = suggest(f"{said}: {error}", said, known)
            raise NoSuchBase(message, [state.place]) from error
        except Unavailable as error:
            message = f"{said}: failed to resolve source metadata for {reference}: {error}"
            raise BaseUnavailable(message, [state.place]) from error
        state.image = images.decode(found.config)
        state.base_image = images.copy(state.image)
        canonical = Reference.parse(found.reference)
        if found.digest is not None:
            canonical = Reference(canonical.host, canonical.path, canonical.tag, found.digest)
        if state.platform is None and not self._options.platform_given:
            platform = self._detect(state.image, platform)
        if not images.is_scratch(state.image):
            text = f"FROM {canonical}"
            options = self._options
            about = About(
                name=names.prefixed(state, text, multi_platform=options.multi_platform, env={}),
                file=options.filename,
                places=(state.place,),
            )
            source = Source(f"docker-image://{canonical}")
            state.source = Draft(source, platform=platform, about=about)
            state.root = DraftRef(state.source)
            self._check_platform(state, said, platform)
        state.platform = platform

    def _detect(self, config: ImageConfig, wanted: Platform) -> Platform:
        """Return what an image is for, where nobody asked and we build for that too."""
        if (config.os, config.architecture) == (wanted.os, wanted.architecture):
            return wanted
        for platform in self._options.build_platforms:
            if (config.os, config.architecture) == (platform.os, platform.architecture):
                return platform
        return wanted

    def _check_platform(self, state: State, said: str, platform: Platform) -> None:
        config = state.image
        if config is None or (config.os, config.architecture) == (
            platform.os,
            platform.architecture,
        ):
            return
        self._linter.find(
            lint.INVALID_BASE_IMAGE_PLATFORM,
            [state.place],
            f'Base image {said} was pulled with platform "{config.platform}", '
            f'expected "{platform}" for current build',
        )


def _source(value: str, excludes: Mapping[str, Sequence[str]]) -> Source:
    kind, colon, rest = value.partition(":")
    if kind == "local" and colon:
        folder = rest.removeprefix("//")
        return contexts.without(f"local://{folder}", excludes.get(folder, ()))
    if kind == "oci-layout" and colon:
        return Source(f"oci-layout://{rest.removeprefix('//')}")
    if repository := gitref.parse(value):
        return repository.source(checksum=repository.checksum)
    if value.startswith(("http://", "https://")):
        return Source(value, (("http.filename", "context"), ("http.unpack", "true")))
    raise DockerfileError(f"unsupported context source {kind!r} for a named context")
