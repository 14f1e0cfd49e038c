"""The network routes."""

from __future__ import annotations

import time
from http import HTTPStatus
from typing import Final

from boxship.api.moment import before
from boxship.api.query import Filters
from boxship.api.render import networks as render
from boxship.api.routing import Call, Reply, route
from boxship.errors import InvalidRequest
from boxship.network.creation import NetworkRequest
from boxship.network.errors import NoSuchNetwork
from boxship.network.networks import Networks
from boxship.network.record import Subnet
from boxship.spec.engine.container import EndpointSettings
from boxship.spec.engine.network import IPAM, NetworkConnectRequest, NetworkDisconnectRequest
from boxship.spec.engine.network_create import NetworkCreateRequest

LIST_FILTERS: Final = frozenset(
    {"dangling", "driver", "id", "label", "name", "scope", "type", "idOrName"}
)
PRUNE_FILTERS: Final = frozenset({"label", "label!", "until"})


@route("GET", "/networks")
@route("GET", "/networks/")
def list_networks(call: Call, networks: Networks) -> Reply:
    filters = call.query.filters()
    filters.only(LIST_FILTERS)
    chosen = networks.list(dict(filters.items()))
    return Reply(document=[render.summary(networks, one, call.version) for one in chosen])


@route("POST", "/networks/create")
async def create(call: Call, networks: Networks) -> Reply:
    made = await networks.create(requested(call.body(NetworkCreateRequest)))
    return Reply(HTTPStatus.CREATED, {"Id": made.id, "Warning": ""})


@route("POST", "/networks/prune")
async def prune(call: Call, networks: Networks) -> Reply:
    filters = call.query.filters()
    filters.only(PRUNE_FILTERS)
    gone = await networks.prune(dict(filters.items()), _until(filters))
    return Reply(document={"NetworksDeleted": gone or None})


@route("GET", "/networks/{id...}")
def inspect(call: Call, networks: Networks) -> Reply:
    found = networks.resolve(call.path["id"])
    scope = call.query.text("scope")
    if scope and scope != found.scope:
        raise NoSuchNetwork(call.path["id"])
    return Reply(document=render.inspected(networks, found, call.version))


@route("DELETE", "/networks/{id...}")
async def remove(call: Call, networks: Networks) -> Reply:
    await networks.remove(call.path["id"])
    return Reply(HTTPStatus.NO_CONTENT)


@route("POST", "/networks/{id...}/connect")
async def connect(call: Call, networks: Networks) -> Reply:
    asked = call.body(NetworkConnectRequest)
    settings = asked.endpoint_config or EndpointSettings()
    await networks.connect(_container(asked.container), call.path["id"], settings)
    return Reply()


@route("POST", "/networks/{id...}/disconnect")
async def disconnect(call: Call, networks: Networks) -> Reply:
    asked = call.body(NetworkDisconnectRequest)
    container = _container(asked.container)
    await networks.disconnect(container, call.path["id"], force=bool(asked.force))
    return Reply()


def requested(asked: NetworkCreateRequest) -> NetworkRequest:
    """Turn what a client sent into what the engine is asked for."""
    ipam = asked.ipam or IPAM()
    subnets = [
        Subnet(
            one.subnet or "",
            one.gateway or "",
            one.ip_range or "",
            one.auxiliary_addresses or {},
        )
        for one in ipam.config or ()
    ]
    return NetworkRequest(
        name=asked.name or "",
        driver=asked.driver or "",
        scope=asked.scope or "",
        internal=bool(asked.internal),
        attachable=bool(asked.attachable),
        ingress=bool(asked.ingress),
        config_only=bool(asked.config_only),
        config_from=(asked.config_from.network or "") if asked.config_from else "",
        ipv4=asked.enable_i_pv4,
        ipv6=asked.enable_i_pv6,
        ipam_driver=ipam.driver or "",
        ipam_options=ipam.options,
        subnets=subnets,
        options=asked.options or {},
        labels=asked.labels or {},
    )


def _container(name: str | None) -> str:
    if not name:
        raise InvalidRequest("container cannot be empty")
    return name


def _until(filters: Filters) -> int | None:
    text = filters.one("until")
    return None if text is None else before(text, time.time_ns())
