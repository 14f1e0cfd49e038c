"""Build an image from a Dockerfile."""

from __future__ import annotations

from boxship.cli.command import Command, Flag
from boxship.cli.libraries import find_libraries

EPOCH = "SOURCE_DATE_EPOCH"  # taken from the environment without being asked for
TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from boxship.cli.building.asked import Asked
    from boxship.cli.shell import Shell

COMMAND = Command(
    usage="build [OPTIONS] PATH | URL | -",
    summary="Build an image from a Dockerfile",
    names=("image build", "build", "builder build", "buildx build"),
    flags=(
        Flag("add-host", "", "Add a custom host-to-IP mapping (format: host:ip)", "list"),
        Flag("allow", "", "Allow extra privileged entitlement (network.host)", "array"),
        Flag("annotation", "", "Add annotation to the image", "array"),
        Flag("attest", "", "Attestation parameters (format: type=sbom,generator=image)", "array"),
        Flag("build-arg", "", "Set build-time variables", "array"),
        Flag("build-context", "", "Additional build contexts (format: name=path)", "array"),
        Flag("builder", "", "Only the engine's own builder, default", "string", "", hidden=True),
        Flag("cache-from", "", "External cache sources (format: type=local,src=dir)", "array"),
        Flag("cache-to", "", "Cache export destinations (format: type=local,dest=dir)", "array"),
        Flag("call", "", "Evaluate the build: build, check, targets", "string", "build"),
        Flag("cgroup-parent", "", "Parent cgroup of the RUN instructions", "string", ""),
        Flag("check", "", "Check the Dockerfile and build nothing"),
        Flag("compress", "", "Accepted and without effect", hidden=True),
        Flag("cpu-period", "", "Limit the CPU CFS period of RUN", "int", 0),
        Flag("cpu-quota", "", "Limit the CPU CFS quota of RUN", "int", 0),
        Flag("cpu-shares", "c", "CPU shares of RUN (relative weight)", "int", 0),
        Flag("cpuset-cpus", "", "CPUs in which RUN may execute (0-3, 0,1)", "string", ""),
        Flag("cpuset-mems", "", "MEMs in which RUN may execute (0-3, 0,1)", "string", ""),
        Flag("debug", "D", "Accepted and without effect", hidden=True),
        Flag("disable-content-trust", "", "Accepted and without effect", hidden=True),
        Flag("file", "f", "Name of the Dockerfile (default: PATH/Dockerfile)", "string", ""),
        Flag("force-rm", "", "Accepted and without effect", hidden=True),
        Flag("iidfile", "", "Write the image ID to a file", "string", ""),
        Flag("isolation", "", "Accepted and without effect", "string", "", hidden=True),
        Flag("label", "", "Set metadata for the image", "array"),
        Flag("load", "", "Load the result into the engine, which is the default"),
        Flag("memory", "m", "Memory limit of RUN", "bytes", 0),
        Flag("memory-swap", "", "Limit of memory plus swap of RUN", "swap", 0),
        Flag("metadata-file", "", "Write build result metadata to a file", "string", ""),
        Flag("network", "", "Networking mode of RUN", "string", "default"),
        Flag("no-cache", "", "Do not use the cache"),
        Flag("no-cache-filter", "", "Do not cache specified stages", "array"),
        Flag("output", "o", "Output destination (format: type=local,dest=path)", "array"),
        Flag("platform", "", "Set target platforms", "array"),
        Flag("progress", "", "Progress: auto, plain, tty, quiet, rawjson", "string", "auto"),
        Flag("provenance", "", "Shorthand for --attest=type=provenance", "string", ""),
        Flag("pull", "", "Always look for newer base images"),
        Flag("push", "", "Push the result to its registry"),
        Flag("quiet", "q", "Print nothing but the image ID"),
        Flag("rm", "", "Accepted and without effect", "bool", True, hidden=True),
        Flag("sbom", "", "Shorthand for --attest=type=sbom", "string", ""),
        Flag("secret", "", "Secret to expose (format: id=mysecret,src=/path)", "array"),
        Flag("shm-size", "", "Size of /dev/shm of RUN", "bytes", 0),
        Flag("ssh", "", "SSH agent or keys to expose (format: default|id=socket|key,…)", "array"),
        Flag("tag", "t", "Name and optionally a tag (format: name:tag)", "array"),
        Flag("target", "", "Set the target build stage", "string", ""),
        Flag("ulimit", "", "Ulimit options", "array"),
    ),
    at_least=1,
    at_most=1,
    words="",
)


def run(shell: Shell, words: list[str], **given: Any) -> int:
    """Build, show how it goes, and say what came of it."""
    find_libraries()
    from boxship.cli.building.calls import call_named, show
    from boxship.cli.building.run import (
        build_all,
        image_id,
        metadata,
        metadata_text,
        progress_mode,
        write_file,
    )

    quiet = given["quiet"]
    mode = progress_mode(shell, "quiet" if quiet else given["progress"])
    asked = _asked(shell, words[0], given)
    call = call_named("check" if given["check"] else given["call"])
    asked.options = {**asked.options, **call.options}
    status, results = build_all(shell, {"": asked}, mode)
    if status:
        return status
    result = results[""]
    if not call.is_build:
        return show(shell, call, result)
    if given["iidfile"]:
        write_file(given["iidfile"], image_id(result))
    if given["metadata_file"]:
        write_file(given["metadata_file"], metadata_text(metadata(result)))
    if quiet and image_id(result):
        shell.out.line(image_id(result))
    return 0


def _asked(shell: Shell, context: str, given: dict[str, Any]) -> Asked:
    from boxship.cli.building.asked import Asked

    attests = list(given["attest"])
    for kind in ("provenance", "sbom"):
        if said := given[kind]:
            attests.append(_attestation(kind, said))
    return Asked(
        context=context,
        dockerfile=given["file"],
        tags=given["tag"],
        args=_args(shell, given["build_arg"]),
        labels=dict(_pair(text) for text in given["label"]),
        contexts=dict(_pair(text) for text in given["build_context"]),
        target=given["target"],
        platforms=[one for text in given["platform"] for one in text.split(",") if one],
        outputs=given["output"],
        cache_from=given["cache_from"],
        cache_to=given["cache_to"],
        secrets=given["secret"],
        ssh=given["ssh"],
        allow=given["allow"],
        annotations=given["annotation"],
        attests=attests,
        options=_resources(given),
        no_cache=given["no_cache"],
        no_cache_filter=given["no_cache_filter"],
        pull=given["pull"],
        network=given["network"],
        push=given["push"],
        load=given["load"],
    )


def _attestation(kind: str, said: str) -> str:
    if said in ("true", "1"):
        return f"type={kind}"
    if said in ("false", "0"):
        return f"type={kind},disabled=true"
    return f"type={kind},{said}"


def _pair(text: str) -> tuple[str, str]:
    key, _, value = text.partition("=")
    return key, value


def _args(shell: Shell, given: list[str]) -> dict[str, str]:
    """Return build arguments; one without a value has the environment's, or is not there."""
    found: dict[str, str] = {}
    for text in given:
        key, equals, value = text.partition("=")
        if equals:
            found[key] = value
        elif key in shell.environment:
            found[key] = shell.environment[key]
    if EPOCH in shell.environment:
        found.setdefault(EPOCH, shell.environment[EPOCH])
    return found


def _resources(given: dict[str, Any]) -> dict[str, str]:
    options: dict[str, str] = {}
    numbers = ("memory", "memory-swap", "cpu-period", "cpu-quota", "cpu-shares", "shm-size")
    for name in (*numbers, "cpuset-cpus", "cpuset-mems", "cgroup-parent"):
        if value := given[name.replace("-", "_")]:
            options[name] = str(value)
    if given["ulimit"]:
        options["ulimit"] = ",".join(given["ulimit"])
    hosts = []
    for text in given["add_host"]:
        name, _, address = text.partition("=") if "=" in text else text.partition(":")
        hosts.append(f"{name}={address}")
    if hosts:
        options["add-hosts"] = ",".join(hosts)
    return options
