"""Add additional information to a local image manifest."""

from __future__ import annotations

from boxship.cli.command import Command, Flag
from boxship.errors import InvalidRequest

TYPE_CHECKING = False
if TYPE_CHECKING:
    from boxship.cli.shell import Shell
    from boxship.spec.reference import Reference

COMMAND = Command(
    usage="annotate [OPTIONS] MANIFEST_LIST MANIFEST",
    summary="Add additional information to a local image manifest",
    names=("manifest annotate",),
    flags=(
        Flag("arch", "", "Architecture", "string", ""),
        Flag("os", "", "Operating system", "string", ""),
        Flag("os-features", "", "Feature of the operating system", "list"),
        Flag("os-version", "", "Version of the operating system", "string", ""),
        Flag("variant", "", "Variant of the architecture", "string", ""),
    ),
    at_least=2,
    at_most=2,
)
KNOWN = {
    "aix": "ppc64",
    "android": "386 amd64 arm arm64",
    "darwin": "386 amd64 arm arm64",
    "dragonfly": "amd64",
    "freebsd": "386 amd64 arm arm64 riscv64",
    "illumos": "amd64",
    "ios": "arm64",
    "js": "wasm",
    "linux": "386 amd64 arm arm64 loong64 ppc64le mips64 mips64le riscv64 s390x",
    "netbsd": "386 amd64 arm",
    "openbsd": "386 amd64 arm",
    "plan9": "386 amd64",
    "solaris": "amd64",
    "wasip1": "wasm",
    "windows": "386 amd64 arm arm64",
}


def run(
    shell: Shell,
    words: list[str],
    *,
    arch: str,
    os: str,
    os_features: list[str],
    os_version: str,
    variant: str,
) -> int:
    """Change what the list says of one manifest's platform."""
    from boxship.cli.manifest.store import Lists, NoSuchManifest

    target = _named(words[0], "manifest list")
    ref = _named(words[1], "manifest")
    lists = Lists(shell)
    try:
        entry = lists.get(target, ref)
    except NoSuchManifest:
        return shell.report(f"manifest for image {words[1]} does not exist in {words[0]}")
    platform = dict(entry.platform)
    said = {"os": os, "architecture": arch, "variant": variant, "os.version": os_version}
    platform.update({key: value for key, value in said.items() if value})
    features = list(platform.get("os.features") or [])
    for feature in (one for text in os_features for one in text.split(",")):
        if feature and feature not in features:
            features.append(feature)
    if features:
        platform["os.features"] = features
    if platform.get("architecture") not in KNOWN.get(platform.get("os", ""), "").split():
        return shell.report(
            f"manifest entry for image has unsupported os/arch combination: {os}/{arch}"
        )
    entry.descriptor["platform"] = platform
    lists.save(target, ref, entry)
    return 0


def _named(text: str, what: str) -> Reference:
    from boxship.cli.manifest.store import named

    try:
        return named(text)
    except InvalidRequest as error:
        problem = f"annotate: error parsing name for {what} {text}: {error}"
        raise InvalidRequest(problem) from error
