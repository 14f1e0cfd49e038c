"""What this builder can do, in the names by which BuildKit's clients ask."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from boxship.errors import NotSupported
from boxship.spec.buildkit import gateway_pb2 as gateway

LLB: Final = frozenset(
    [
        "source.image",
        "source.image.resolvemode",
        "source.image.checksum",
        "source.local",
        "source.local.unique",
        "source.local.sessionid",
        "source.local.includepatterns",
        "source.local.followpaths",
        "source.local.excludepatterns",
        "source.local.sharedkeyhint",
        "source.git",
        "source.git.keepgitdir",
        "source.git.fullurl",
        "source.git.httpauth",
        "source.git.knownsshhosts",
        "source.git.mountsshsock",
        "source.git.subdir",
        "source.git.checksum",
        "source.http",
        "source.http.checksum",
        "source.http.perm",
        "soruce.http.uidgid",
        "source.ocilayout",
        "exec.meta.base",
        "exec.meta.cdi",
        "exec.meta.cgroup.parent",
        "exec.meta.network",
        "exec.meta.proxyenv",
        "exec.meta.security",
        "exec.meta.setsdefaultpath",
        "exec.meta.ulimit",
        "exec.meta.linux.resources",
        "exec.meta.removemountstubs.recursive",
        "exec.mount.bind",
        "exec.mount.bind.readwrite-nooutput",
        "exec.mount.cache",
        "exec.mount.cache.sharing",
        "exec.mount.selector",
        "exec.mount.tmpfs",
        "exec.mount.tmpfs.size",
        "exec.mount.secret",
        "exec.mount.ssh",
        "exec.cgroup",
        "exec.secretenv",
        "exec.validexitcode",
        "file.base",
        "file.rm.wildcard",
        "file.copy.includeexcludepatterns",
        "file.copy.requiredpaths",
        "file.rm.nofollowsymlink",
        "file.copy.alwaysreplaceexistingdestpaths",
        "file.copy.modestring",
        "file.symlink.create",
        "constraints",
        "platform",
        "meta.ignorecache",
        "meta.description",
        "meta.exportcache",
        "mergeop",
        "diffop",
        "exporter.image.annotations",
        "exporter.image.attestations",
        "exporter.sourcedateepoch",
        "exporter.multiple",
        "source.policy",
        "source.policy.session",
        "gc.freespacefilter",
        "history.filter",
    ]
)
GATEWAY: Final = frozenset(
    [
        "solve.base",
        "solve.inlinereturn",
        "resolveimage",
        "resolveimage.resolvemode",
        "readfile",
        "return",
        "returnmap",
        "readdir",
        "statfile",
        "importcaches",
        "proto.refarray",
        "reference.attestations",
        "reference.output",
        "frontend.inputs",
        "gateway.solve.metadata",
        "gateway.exec",
        "gateway.exec.extrahosts",
        "gateway.exec.secretenv",
        "gateway.exec.signals",
        "gateway.exec.filesystem",
        "frontend.caps",
        "gateway.solve.evaluate",
        "gateway.evaluate",
        "gateway.warnings",
        "source.metaresolver",
    ]
)


UNHEEDED: Final = (
    "git.bundle",
    "git.checkoutbundle",
    "git.sig.",
    "http.authheadersecret",
    "http.header.",
    "http.sig.",
    "image.layerlimit",
    "oci.layerlimit",
)
"""How attributes of sources begin that must not be passed over: another source would come of it."""


def check_llb(asked: Mapping[str, bool]) -> None:
    """Refuse an operation that needs what is not there."""
    for name, needed in asked.items():
        if needed and name not in LLB:
            raise NotSupported(f"requested feature {name[:100]} has no support in this builder")


def check_attrs(attrs: Mapping[str, str]) -> None:
    """Refuse a source that is to be verified, or asked for, as this builder cannot do it."""
    for name in attrs:
        if name.startswith(UNHEEDED):
            raise NotSupported(f"the attribute {name[:100]} of a source is not supported")


def messages(names: frozenset[str]) -> list[gateway.Capability]:
    return [gateway.Capability(id=name, enabled=True) for name in sorted(names)]
