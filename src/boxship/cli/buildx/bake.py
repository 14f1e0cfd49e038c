"""Build what a file says."""

from __future__ import annotations

from boxship.cli.command import Command, Flag
from boxship.cli.libraries import find_libraries

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from boxship.cli.shell import Shell

COMMAND = Command(
    usage="bake [OPTIONS] [TARGET...]",
    summary="Build from a file",
    names=("buildx bake", "buildx f", "builder bake"),
    flags=(
        Flag("allow", "", "Allow build to access specified resources", "array"),
        Flag("builder", "", "Override the configured builder instance", "string", ""),
        Flag("call", "", "Evaluate the build: build, check, outline, targets", "string", "build"),
        Flag("check", "", "Check the Dockerfiles and build nothing"),
        Flag("debug", "D", "Say more when something fails"),
        Flag("file", "f", "Build definition file", "array"),
        Flag("list", "", "List targets or variables", "string", ""),
        Flag("list-targets", "", "List available targets", hidden=True),
        Flag("list-variables", "", "List defined variables", hidden=True),
        Flag("load", "", 'Shorthand for "--set=*.output=type=docker"'),
        Flag("metadata-file", "", "Write build result metadata to a file", "string", ""),
        Flag("no-cache", "", "Do not use cache when building the image", "maybe"),
        Flag("policy", "", "Switch policies off (disabled=true); none is evaluated", "array"),
        Flag("print", "", "Print the options without building"),
        Flag("progress", "", "Progress: auto, none, plain, quiet, rawjson, tty", "string", "auto"),
        Flag("provenance", "", 'Shorthand for "--set=*.attest=type=provenance"', "string", ""),
        Flag("pull", "", "Always attempt to pull all referenced images", "maybe"),
        Flag("push", "", 'Shorthand for "--set=*.output=type=registry"'),
        Flag("sbom", "", 'Shorthand for "--set=*.attest=type=sbom"', "string", ""),
        Flag("set", "", 'Override target value (e.g., "targetpattern.key=value")', "array"),
        Flag("var", "", "Set a variable value (NAME=VALUE)", "array"),
    ),
    words="",
)


def run(shell: Shell, words: list[str], **given: Any) -> int:
    """Read the files, and build the targets named or the default ones."""
    find_libraries()
    from boxship.cli.baking.command import bake

    return bake(shell, words, given)
