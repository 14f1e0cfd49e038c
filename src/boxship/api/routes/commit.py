"""`POST /commit`: an image of a container."""

from __future__ import annotations

from http import HTTPStatus

from boxship.api.routing import Call, Reply, route
from boxship.container.commit import Commits, Wanted
from boxship.errors import InvalidRequest
from boxship.spec.engine.container import ContainerConfig
from boxship.spec.reference import Reference


@route("POST", "/commit")
async def commit(call: Call, commits: Commits) -> Reply:
    query = call.query
    said_nothing = call.raw.strip() in (b"", b"null")  # docker sends null without a config
    wanted = Wanted(
        config=None if said_nothing else call.body(ContainerConfig),
        changes=query.all("changes"),
        name=name_of(query.text("repo"), query.text("tag")),
        author=query.text("author"),
        comment=query.text("comment"),
        pause=query.flag("pause", default=True),
    )
    made = await commits.commit(query.text("container"), wanted)
    return Reply(HTTPStatus.CREATED, {"Id": str(made.id)})


def name_of(repository: str, tag: str) -> str:
    """Return the name for the image, none where there is no repository."""
    if not repository:
        return ""
    reference = Reference.parse(repository)
    if reference.digest is not None:
        raise InvalidRequest("cannot commit to digest reference")
    return f"{reference.familiar_repository}:{tag}" if tag else repository
