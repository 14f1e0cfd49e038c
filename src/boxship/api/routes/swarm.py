"""Routes of a swarm, as a node in no swarm answers; and plugins, of which there are none."""

from __future__ import annotations

from http import HTTPStatus
from typing import Final

from boxship.api.routing import Call, Reply, route
from boxship.errors import NotFound, NotSupported, Unavailable

NOT_A_MANAGER: Final = (
    'This node is not a swarm manager. Use "docker swarm init" or "docker swarm join" to connect '
    "this node to swarm and try again."
)


@route("GET", "/swarm")
@route("POST", "/swarm/update")
@route("GET", "/swarm/unlockkey")
@route("POST", "/swarm/unlock")
@route("GET", "/nodes")
@route("GET", "/nodes/{id}")
@route("DELETE", "/nodes/{id}")
@route("POST", "/nodes/{id}/update")
@route("GET", "/services")
@route("POST", "/services/create")
@route("GET", "/services/{id}")
@route("DELETE", "/services/{id}")
@route("POST", "/services/{id}/update")
@route("GET", "/services/{id}/logs")
@route("GET", "/tasks")
@route("GET", "/tasks/{id}")
@route("GET", "/tasks/{id}/logs")
@route("GET", "/secrets")
@route("POST", "/secrets/create")
@route("GET", "/secrets/{id}")
@route("DELETE", "/secrets/{id}")
@route("POST", "/secrets/{id}/update")
@route("GET", "/configs", since="1.30")
@route("POST", "/configs/create", since="1.30")
@route("GET", "/configs/{id}", since="1.30")
@route("DELETE", "/configs/{id}", since="1.30")
@route("POST", "/configs/{id}/update", since="1.30")
def refuse(call: Call) -> Reply:
    raise Unavailable(NOT_A_MANAGER)


@route("POST", "/swarm/leave")
def leave(call: Call) -> Reply:
    raise Unavailable("This node is not part of a swarm")


@route("POST", "/swarm/init")
@route("POST", "/swarm/join")
def found(call: Call) -> Reply:
    raise NotSupported("this engine cannot form a swarm yet")


@route("GET", "/plugins")
def list_plugins(call: Call) -> Reply:
    return Reply(HTTPStatus.OK, [])


@route("GET", "/plugins/{name...}/json")
@route("DELETE", "/plugins/{name...}")
@route("POST", "/plugins/{name...}/enable")
@route("POST", "/plugins/{name...}/disable")
def no_plugin(call: Call) -> Reply:
    raise NotFound(f'plugin "{call.path["name"]}" not found')


@route("GET", "/plugins/privileges")
@route("POST", "/plugins/pull")
@route("POST", "/plugins/create", streams=True)
def no_plugins(call: Call) -> Reply:
    raise NotSupported("this engine does not run managed plugins yet")
