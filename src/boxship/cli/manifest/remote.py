"""Manifests in registries, asked by the command itself: no engine takes part."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import TYPE_CHECKING, Any, TypeVar

from boxship.cli.credentials import key_of, lookup
from boxship.cli.manifest.store import DOCKER_MANIFEST, OCI_MANIFEST, Entry
from boxship.distribution import manifests
from boxship.distribution.auth import Credentials
from boxship.distribution.client import Registry
from boxship.distribution.errors import NotThere
from boxship.distribution.pool import Pool
from boxship.distribution.settings import Proxies, Settings
from boxship.errors import BoxshipError, NotFound
from boxship.lib import strictjson
from boxship.spec.digest import Digest
from boxship.spec.oci import image as oci
from boxship.spec.reference import Reference

if TYPE_CHECKING:
    from boxship.cli.shell import Shell

T = TypeVar("T")
CONFIG_LIMIT = strictjson.SIZE


class NotInRegistry(NotFound):
    """The registry has no such manifest."""

    def __init__(self, ref: Reference) -> None:
        super().__init__(f"no such manifest: {ref}")


class IsList(BoxshipError):
    """A list stands where one manifest was asked for."""

    def __init__(self, ref: Reference) -> None:
        super().__init__(f"{ref} is a manifest list")


class Remote:
    """A registry, for one command."""

    def __init__(self, registry: Registry) -> None:
        self.registry = registry

    async def entry(self, ref: Reference) -> Entry:
        """Return one image's manifest; IsList where there is a list."""
        found = await self._resolve(ref)
        if found.media_type in oci.INDEXES:
            raise IsList(ref)
        return await self._entry(ref, found, None)

    async def entries(self, ref: Reference) -> list[Entry]:
        """Return the manifests of a list, with the platforms that the list gives them."""
        found = await self._resolve(ref)
        entries: list[Entry] = []
        for listed in json.loads(found.data)["manifests"]:
            inner = replace(ref, digest=Digest.parse(listed["digest"]))
            document = await self._resolve(inner)
            entries.append(await self._entry(inner, document, listed.get("platform") or {}))
        return entries

    async def is_list(self, ref: Reference) -> bool:
        """Whether a reference names a list."""
        return (await self._resolve(ref)).media_type in oci.INDEXES

    async def mount(self, target: Reference, origin: Reference, entry: Entry) -> None:
        """Have all that a manifest points to in the target's repository."""
        document = json.loads(entry.raw)
        for about in (document["config"], *document["layers"]):
            digest = Digest.parse(about["digest"])
            if await self.registry.has_blob(target.path, digest):
                continue
            if not await self.registry.mount_blob(target.path, digest, origin.path):
                raise BoxshipError(
                    f"{self.registry.host} does not mount {digest} from {origin.path} "
                    f"into {target.path}"
                )

    async def put(self, target: Reference, media_type: str, data: bytes) -> Digest:
        """Put a document under the target's tag or digest."""
        name = str(target.digest or target.tag)
        return await self.registry.put_manifest(target.path, name, media_type, data)

    async def _resolve(self, ref: Reference) -> manifests.Manifest:
        try:
            return await self.registry.resolve(ref.path, str(ref.digest or ref.tag))
        except NotThere as error:
            raise NotInRegistry(ref) from error

    async def _entry(
        self, ref: Reference, found: manifests.Manifest, platform: dict[str, Any] | None
    ) -> Entry:
        if found.media_type not in (DOCKER_MANIFEST, OCI_MANIFEST):
            raise IsList(ref)
        if platform is None:
            platform = await self._platform(ref, json.loads(found.data)["config"])
        descriptor = {
            "mediaType": found.media_type,
            "digest": str(found.digest),
            "size": len(found.data),
            "platform": platform,
        }
        return Entry(str(ref), descriptor, found.data)

    async def _platform(self, ref: Reference, about: dict[str, Any]) -> dict[str, Any]:
        """Return what an image's configuration says that it was made for."""
        data = await self.registry.small_blob(
            ref.path, Digest.parse(about["digest"]), about["size"], CONFIG_LIMIT
        )
        config = json.loads(data)
        keys = ("architecture", "os", "os.version", "os.features", "variant")
        return {key: config[key] for key in keys if config.get(key)}


def ask(shell: Shell, host: str, insecure: bool, question: Callable[[Remote], Awaitable[T]]) -> T:
    """Ask a registry something, with the credentials that the configuration holds for it."""

    async def asked() -> T:
        async with remote(shell, host, insecure) as found:
            return await question(found)

    return asyncio.run(asked())


@asynccontextmanager
async def remote(shell: Shell, host: str, insecure: bool) -> AsyncIterator[Remote]:
    """Open a registry."""
    async with pool(shell, (host,) if insecure else ()) as found:
        yield Remote(Registry(host, credentials(shell, host), found))


@asynccontextmanager
async def pool(shell: Shell, insecure: tuple[str, ...] = ()) -> AsyncIterator[Pool]:
    """Open the way to registries, through the proxies that the environment names."""
    environment = shell.environment

    def setting(name: str) -> str:
        return environment.get(name, "") or environment.get(name.lower(), "")

    proxies = Proxies(setting("HTTP_PROXY"), setting("HTTPS_PROXY"), setting("NO_PROXY"))
    found = Pool(Settings(insecure=insecure, proxies=proxies))
    try:
        yield found
    finally:
        await found.close()


def log_in(shell: Shell, host: str, given: dict[str, str]) -> str:
    """Try credentials at their registry; return the identity token that it gives, if it does."""

    async def asked() -> str:
        async with pool(shell) as found:
            return await Registry(host, _credentials(given, host), found).login()

    return asyncio.run(asked())


def credentials(shell: Shell, host: str) -> Credentials:
    """Return what the configuration holds for a registry."""
    return _credentials(lookup(shell, key_of(host)), host)


def _credentials(found: dict[str, str], host: str) -> Credentials:
    return Credentials(
        username=found.get("username", ""),
        password=found.get("password", ""),
        identity_token=found.get("identitytoken", ""),
        registry_token=found.get("registrytoken", ""),
        server=host,
    )


def list_document(entries: Sequence[Entry]) -> tuple[str, bytes]:
    """Return a list of manifests as it is pushed, and its media type."""
    first = entries[0].descriptor["mediaType"] if entries else DOCKER_MANIFEST
    kind = oci.OCI_INDEX if first == OCI_MANIFEST else oci.DOCKER_INDEX
    listed = [
        {
            "mediaType": entry.descriptor["mediaType"],
            "size": entry.descriptor["size"],
            "digest": entry.descriptor["digest"],
            "platform": {
                "architecture": entry.platform.get("architecture", ""),
                "os": entry.platform.get("os", ""),
                **{
                    key: entry.platform[key]
                    for key in ("os.version", "os.features", "variant")
                    if entry.platform.get(key)
                },
            },
        }
        for entry in entries
    ]
    document = {"schemaVersion": 2, "mediaType": kind, "manifests": listed}
    return kind, json.dumps(document, indent=3, ensure_ascii=False).encode()
