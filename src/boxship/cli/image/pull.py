"""Download an image from a registry."""

from __future__ import annotations

from boxship.cli.command import Command, Flag
from boxship.cli.image.naming import canonical, split_tag, tagged
from boxship.cli.progress import show_progress

TYPE_CHECKING = False
if TYPE_CHECKING:
    from boxship.cli.output import Output
    from boxship.cli.shell import Shell

COMMAND = Command(
    usage="pull [OPTIONS] NAME[:TAG|@DIGEST]",
    summary="Download an image from a registry",
    names=(
        "image pull",
        "pull",
    ),
    flags=(
        Flag("all-tags", "a", "Download all tags of the repository"),
        Flag("disable-content-trust", "", "", "bool", True, hidden=True),
        Flag("platform", "", "Platform of the image", "string", ""),
        Flag("quiet", "q", "Do not show progress"),
    ),
    at_least=1,
    at_most=1,
    words="",
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
    """Show the progress, and the name of what was pulled."""
    from boxship.spec.reference import Reference

    (name,) = words
    Reference.parse(name)
    if all_tags and (":" in name.rpartition("/")[2] or "@" in name):
        return shell.report("tag can't be used with --all-tags/-a")
    platform = platform or shell.environment.get("DOCKER_DEFAULT_PLATFORM", "")
    if not quiet and not all_tags and tagged(name) != name:
        shell.out.line("Using default tag: latest")
    pull_image(shell, name, platform=platform, quiet=quiet, output=shell.out, all_tags=all_tags)
    shell.out.line(canonical(name) if all_tags else canonical(tagged(name)))
    return 0


def pull_image(
    shell: Shell,
    name: str,
    *,
    platform: str,
    quiet: bool,
    output: Output,
    all_tags: bool = False,
) -> None:
    """Have the engine pull an image, with the credentials that the configuration holds for it."""
    from boxship.cli.credentials import authorization

    repository, tag = split_tag(name if all_tags else tagged(name))
    query = {"fromImage": canonical(repository), "tag": tag, "platform": platform}
    reports = shell.client.images.pull(query, authorization(shell, name))
    show_progress(output, reports, quiet=quiet)
