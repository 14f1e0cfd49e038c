"""Where things lie in the storage: the reference server's layout; folders can change hands.

    docker/registry/v2/blobs/ALGORITHM/XX/HEX/data                  content; XX: two digits
    docker/registry/v2/repositories/NAME/
        _layers/ALGORITHM/HEX/link                                  a blob is in this repository
        _manifests/revisions/ALGORITHM/HEX/link                     a manifest is
        _manifests/tags/TAG/current/link                            the manifest that a tag names
        _manifests/tags/TAG/index/ALGORITHM/HEX/link                all that it has named
        _manifests/referrers/ALGORITHM/HEX/ALGORITHM/HEX/link       ours: subject, then referrer
        _manifests/referrers/indexed                                ours: they have been found
        _uploads/UUID/{data,startedat}                              a blob that is not finished

A link holds the digest it stands for. What is ours the reference server does not look at; a
repository that it has written to has no `indexed`, or `check` finds what is missing in it.
"""

from __future__ import annotations

from typing import Final

from boxship.registry.names import Digest

BASE: Final = "docker/registry/v2"
BLOBS: Final = f"{BASE}/blobs"
REPOSITORIES: Final = f"{BASE}/repositories"


def blob_folder(digest: Digest) -> str:
    return f"{BLOBS}/{digest.algorithm}/{digest.hex[:2]}/{digest.hex}"


def blob(digest: Digest) -> str:
    return f"{blob_folder(digest)}/data"


def repository(name: str) -> str:
    return f"{REPOSITORIES}/{name}"


def layers(name: str) -> str:
    return f"{REPOSITORIES}/{name}/_layers"


def layer(name: str, digest: Digest) -> str:
    return f"{REPOSITORIES}/{name}/_layers/{digest.algorithm}/{digest.hex}/link"


def manifests(name: str) -> str:
    return f"{REPOSITORIES}/{name}/_manifests"


def revisions(name: str) -> str:
    return f"{REPOSITORIES}/{name}/_manifests/revisions"


def revision(name: str, digest: Digest) -> str:
    return f"{REPOSITORIES}/{name}/_manifests/revisions/{digest.algorithm}/{digest.hex}/link"


def tags(name: str) -> str:
    return f"{REPOSITORIES}/{name}/_manifests/tags"


def tag(name: str, tag: str) -> str:
    return f"{REPOSITORIES}/{name}/_manifests/tags/{tag}"


def current(name: str, tag: str) -> str:
    return f"{REPOSITORIES}/{name}/_manifests/tags/{tag}/current/link"


def tag_history(name: str, tag: str, digest: Digest) -> str:
    return f"{REPOSITORIES}/{name}/_manifests/tags/{tag}/index/{digest.algorithm}/{digest.hex}/link"


def indexed(name: str) -> str:
    return f"{REPOSITORIES}/{name}/_manifests/referrers/indexed"


def referrers(name: str, subject: Digest) -> str:
    return f"{REPOSITORIES}/{name}/_manifests/referrers/{subject.algorithm}/{subject.hex}"


def referrer(name: str, subject: Digest, digest: Digest) -> str:
    return f"{referrers(name, subject)}/{digest.algorithm}/{digest.hex}/link"


def uploads(name: str) -> str:
    return f"{REPOSITORIES}/{name}/_uploads"


def upload(name: str, upload: str) -> str:
    return f"{REPOSITORIES}/{name}/_uploads/{upload}"


def above(key: str) -> str:
    """Return the folder that a key lies in."""
    return key.rpartition("/")[0]
