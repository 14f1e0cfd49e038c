"""Upload an image to a registry."""

from __future__ import annotations

from boxship.cli.command import Command, Flag
from boxship.cli.image.naming import canonical, platform_json, split_tag, tagged
from boxship.cli.notes import note
from boxship.cli.progress import show_progress
from boxship.lib.words import visible

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from boxship.cli.shell import Shell

COMMAND = Command(
    usage="push [OPTIONS] NAME[:TAG]",
    summary="Upload an image to a registry",
    names=(
        "image push",
        "push",
    ),
    flags=(
        Flag("all-tags", "a", "Push all tags of an image to the repository"),
        Flag("disable-content-trust", "", "", "bool", True, hidden=True),
        Flag(
            "platform",
            "",
            "Push one platform's manifest as an image of its own (os[/arch[/variant]]); the index "
            "and what else it lists are not pushed",
            "string",
            "",
        ),
        Flag("quiet", "q", "Show only the name"),
    ),
    at_least=1,
    at_most=1,
    words="image",
)

ONE_PLATFORM = (
    "Using --platform pushes only the specified platform manifest of a multi-platform image "
    "index.\nOther components, like attestations, will not be included.\n"
    "To push the complete multi-platform image, remove the --platform flag.\n"
)
MISSING = (
    "You're trying to push a manifest list/index which\n"
    "references multiple platform specific manifests, but not all of them are available locally\n"
    "or available to the remote repository.\n\n"
    "Make sure you have all the referenced content and try again.\n\n"
    "You can also push only a single platform specific manifest directly by specifying the "
    "platform you want to push with the --platform flag."
)


def run(
    shell: Shell,
    words: list[str],
    *,
    all_tags: bool,
    disable_content_trust: bool,
    platform: str,
    quiet: bool,
) -> int:
    """Show the progress of each layer."""
    from boxship.cli.credentials import authorization

    (name,) = words
    repository, tag = split_tag(name)
    wanted = platform_json(platform, f"Invalid platform {platform}")
    if wanted:
        shell.out.line("")
        bold = "\x1b[1m--platform\x1b[0m" if shell.out.is_terminal() else "--platform"
        note(shell.out, ONE_PLATFORM.replace("--platform", bold))
    if "@" in name:
        return shell.report("cannot push a digest reference")
    if all_tags:
        if tag:
            return shell.report("tag can't be used with --all-tags/-a")
    elif not tag:
        tag = "latest"
        if not quiet:
            shell.out.line("Using default tag: latest")
            shell.out.flush()
    if platform and not shell.client.at_least("1.46"):
        return shell.report('"--platform" requires API version 1.46')
    reports = shell.client.images.push(repository, tag, wanted, authorization(shell, name))
    notes: list[str] = []
    try:
        show_progress(shell.out, reports, quiet=quiet, aux=lambda said: notes.extend(note_of(said)))
        if quiet:
            shell.out.line(canonical(name) if all_tags else canonical(tagged(name)))
    finally:
        for text in notes:
            shell.out.line("")
            note(shell.out, text)
    return 0


def note_of(said: dict[str, Any]) -> list[str]:
    """Return what the user should know of a result, besides the result."""
    if said.get("manifestPushedInsteadOfIndex"):
        index, manifest = said.get("originalIndex") or {}, said.get("selectedManifest") or {}
        whole, one = (visible(str(about.get("digest", ""))) for about in (index, manifest))
        return [
            "Not all multiplatform-content is present and only the available single-platform "
            f"image was pushed\n\x1b[31m{whole}\x1b[0m -> \x1b[32m{one}\x1b[0m"
        ]
    return [MISSING] if said.get("contentMissing") else []
