"""Push a manifest list to a repository."""

from __future__ import annotations

from boxship.cli.command import Command, Flag
from boxship.cli.libraries import find_libraries

TYPE_CHECKING = False
if TYPE_CHECKING:
    from boxship.cli.shell import Shell

COMMAND = Command(
    usage="push [OPTIONS] MANIFEST_LIST",
    summary="Push a manifest list to a repository",
    names=("manifest push",),
    flags=(
        Flag("insecure", "", "Talk to a registry without TLS, or with a certificate of its own"),
        Flag("purge", "p", "Remove the local list when it has been pushed"),
    ),
    at_least=1,
    at_most=1,
)


def run(shell: Shell, words: list[str], *, insecure: bool, purge: bool) -> int:
    """Have all that the list names in its repository, then the list itself."""
    find_libraries()
    from boxship.cli.manifest.remote import Remote, ask, list_document
    from boxship.cli.manifest.store import Lists, named
    from boxship.spec.digest import Digest
    from boxship.spec.reference import Reference

    target = named(words[0])
    lists = Lists(shell)
    entries = lists.list(target)
    if not entries:
        return shell.report(f"{target} not found")
    origins: list[Reference] = []
    for entry in entries:
        if not entry.platform.get("architecture") or not entry.platform.get("os"):
            return shell.report(
                f"manifest {entry.ref} must have an OS and Architecture to be pushed to a registry"
            )
        origin = Reference.parse(entry.ref)
        if origin.host != target.host:
            return shell.report(
                "cannot use source images from a different registry than the target image: "
                f"{origin.host} != {target.host}"
            )
        origins.append(origin)

    async def pushed(remote: Remote) -> Digest:
        for entry, origin in zip(entries, origins, strict=True):
            if origin.path == target.path:
                continue
            await remote.mount(target, origin, entry)
            there = target.with_digest(Digest.of(entry.raw))
            digest = await remote.put(there, entry.descriptor["mediaType"], entry.raw)
            shell.out.line(f"Pushed ref {there} with digest: {digest}")
            shell.out.flush()
        return await remote.put(target, *list_document(entries))

    shell.out.line(str(ask(shell, target.host, insecure, pushed)))
    if purge:
        lists.remove(target)
    return 0
