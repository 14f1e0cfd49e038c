"""Build an image from a Dockerfile."""

from __future__ import annotations

from boxship.cli.command import Command, Flag
from boxship.cli.libraries import find_libraries
from boxship.errors import BoxshipError, InvalidRequest

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from boxship.cli.building.asked import Asked
    from boxship.cli.shell import Shell


def _limit(text: str) -> str:
    """Check a `--ulimit`, which the engine gets as it is."""
    from boxship.cli.container.devices import ulimit_of

    ulimit_of(text)
    return text


COMMAND = Command(
    usage="build [OPTIONS] PATH | URL | -",
    summary="Build an image from a Dockerfile",
    names=("image build", "build", "builder build", "buildx build", "buildx b"),
    flags=(
        Flag("add-host", "", "Add a custom host-to-IP mapping (format: host:ip)", "list"),
        Flag("allow", "", "Allow extra privileged entitlement (network.host)", "array"),
        Flag("annotation", "", "Add annotation to the image", "array"),
        Flag("attest", "", "Attestation parameters (format: type=sbom,generator=image)", "array"),
        Flag("build-arg", "", "Set build-time variables", "array"),
        Flag("build-context", "", "Additional build contexts (format: name=path)", "array"),
        Flag("builder", "", "Override the configured builder instance", "string", ""),
        Flag("cache-from", "", "External cache sources (format: type=local,src=dir)", "array"),
        Flag("cache-to", "", "Cache export destinations (format: type=local,dest=dir)", "array"),
        Flag("call", "", "Evaluate the build: build, check, outline, targets", "string", "build"),
        Flag("cgroup-parent", "", "Parent cgroup of the RUN instructions", "string", ""),
        Flag("check", "", "Check the Dockerfile and build nothing"),
        Flag("compress", "", "Accepted and without effect", hidden=True),
        Flag("cpu-period", "", "Limit the CPU CFS period of RUN", "int", 0),
        Flag("cpu-quota", "", "Limit the CPU CFS quota of RUN", "int", 0),
        Flag("cpu-shares", "c", "CPU shares of RUN (relative weight)", "int", 0),
        Flag("cpuset-cpus", "", "CPUs in which RUN may execute (0-3, 0,1)", "string", ""),
        Flag("cpuset-mems", "", "MEMs in which RUN may execute (0-3, 0,1)", "string", ""),
        Flag("debug", "D", "Show all of the warnings"),
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
        Flag("policy", "", "Switch policies off (disabled=true); none is evaluated", "array"),
        Flag("print", "", "Old name of --call", "string", "", hidden=True),
        Flag("progress", "", "Progress: auto, none, plain, quiet, rawjson, tty", "string", "auto"),
        Flag("provenance", "", "Shorthand for --attest=type=provenance", "string", ""),
        Flag("pull", "", "Always look for newer base images"),
        Flag("push", "", "Push the result to its registry"),
        Flag("quiet", "q", "Print nothing but the image ID"),
        Flag(
            "resource", "", "Limit what RUN may use (format: memory=2g, cpu-quota=50000)", "array"
        ),
        Flag("rm", "", "Accepted and without effect", "bool", True, hidden=True),
        Flag("sbom", "", "Shorthand for --attest=type=sbom", "string", ""),
        Flag("secret", "", "Secret to expose (format: id=mysecret,src=/path)", "array"),
        Flag("security-opt", "", "Accepted and without effect", "array", hidden=True),
        Flag("shm-size", "", "Size of /dev/shm of RUN", "bytes", 0),
        Flag("squash", "", "Without effect: use several stages", hidden=True),
        Flag("ssh", "", "SSH agent or keys to expose (format: default|id=socket|key,…)", "array"),
        Flag("tag", "t", "Name and optionally a tag (format: name:tag)", "array"),
        Flag("target", "", "Set the target build stage", "string", ""),
        Flag("ulimit", "", "Ulimit options", "ulimit", check=_limit),
    ),
    at_least=1,
    at_most=1,
    words="",
)
WARNED = {
    "squash": "experimental flag squash is removed with BuildKit. You should squash inside build "
    "using a multi-stage Dockerfile for efficiency.",
    "isolation": "isolation flag is deprecated with BuildKit.",
    "security_opt": "security-opt flag is deprecated. Use --allow and RUN --security instead.",
}


def run(shell: Shell, words: list[str], **given: Any) -> int:
    """Build, show how it goes, and say what came of it."""
    find_libraries()
    from boxship.cli.building.run import build_all

    try:
        return build(shell, words[0], given, build_all)
    except BoxshipError as error:
        return shell.report(f"ERROR: {error}")


def build(shell: Shell, context: str, given: dict[str, Any], do: Callable[..., Any]) -> int:
    """Have a build done by `do`, which is called as `build_all`, and say what came of it."""
    from boxship.cli.building.builders import chosen_builder
    from boxship.cli.building.calls import call_named, show
    from boxship.cli.building.metadata import write_metadata
    from boxship.cli.building.run import image_id, progress_mode, write_file

    for name, warning in WARNED.items():
        if given[name]:
            shell.say(f"WARNING: {warning}")
    quiet, progress = given["quiet"], given["progress"]
    if quiet and progress not in ("auto", "quiet"):
        raise InvalidRequest(f"progress={progress} and quiet cannot be used together")
    mode = progress_mode(shell, "quiet" if quiet else progress)
    call = call_named("check" if given["check"] else given["print"] or given["call"])
    builder = chosen_builder(shell, given["builder"])
    asked = _asked(shell, context, given)
    asked.options = {**asked.options, **call.options}
    status: int
    status, results = do(shell, {"": asked}, mode, builder=builder, debug=given["debug"])
    if status:
        return status
    result = results[""]
    if not call.is_build:
        return show(shell, call, result)
    if given["iidfile"]:
        write_file(given["iidfile"], image_id(result), "writing image ID file: ")
    if given["metadata_file"]:
        write_metadata(shell, given["metadata_file"], result, builder)
    if quiet and image_id(result):
        shell.out.line(image_id(result))
    return 0


def _asked(shell: Shell, context: str, given: dict[str, Any]) -> Asked:
    from boxship.cli.building import policies
    from boxship.cli.building.asked import Asked
    from boxship.cli.building.checks import arguments_of, attestation, contexts_of, pairs_of

    attests = list(given["attest"])
    attests += [attestation(kind, given[kind]) for kind in ("provenance", "sbom") if given[kind]]
    return Asked(
        context=context,
        dockerfile=given["file"],
        tags=given["tag"],
        args=arguments_of(given["build_arg"], shell.environment),
        labels=pairs_of(given["label"]),
        contexts=contexts_of(given["build_context"]),
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
        policies_off=policies.are_off(given["policy"]),
    )


def _resources(given: dict[str, Any]) -> dict[str, str]:
    from boxship.cli.building.checks import hosts_of
    from boxship.cli.building.resources import NUMBERS, TEXTS, option, resources_of

    options = resources_of(given["resource"])
    for name in (*NUMBERS, *TEXTS):
        if value := given[name.replace("-", "_")]:
            options[option(name)] = str(value)
    for name in ("cgroup-parent", "shm-size"):
        if value := given[name.replace("-", "_")]:
            options[name] = str(value)
    if given["ulimit"]:
        options["ulimit"] = ",".join(given["ulimit"])
    if hosts := hosts_of(given["add_host"]):
        options["add-hosts"] = ",".join(hosts)
    return options
