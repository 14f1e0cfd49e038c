"""Engine API documents: networks, as published for API 1.56.

Every member is optional: an absent member and a JSON null both read as None, and None is
left out when a document is written. `api/` decides what a version must show.
"""

from __future__ import annotations

from msgspec import field

from boxship.spec.engine.container import EndpointSettings
from boxship.spec.engine.document import Document


class IPAMConfig(Document):
    """Engine API object `IPAMConfig`."""

    subnet: str | None = field(default=None, name="Subnet")
    ip_range: str | None = field(default=None, name="IPRange")
    gateway: str | None = field(default=None, name="Gateway")
    auxiliary_addresses: dict[str, str] | None = field(default=None, name="AuxiliaryAddresses")


class IPAM(Document):
    """Engine API object `IPAM`."""

    driver: str | None = field(default=None, name="Driver")
    config: list[IPAMConfig] | None = field(default=None, name="Config")
    options: dict[str, str] | None = field(default=None, name="Options")


class ConfigReference(Document):
    """Engine API object `ConfigReference`."""

    network: str | None = field(default=None, name="Network")


class PeerInfo(Document):
    """Engine API object `PeerInfo`."""

    name: str | None = field(default=None, name="Name")
    ip: str | None = field(default=None, name="IP")


class Network(Document):
    """Engine API object `Network`."""

    name: str | None = field(default=None, name="Name")
    id: str | None = field(default=None, name="Id")
    created: str | None = field(default=None, name="Created")
    scope: str | None = field(default=None, name="Scope")
    driver: str | None = field(default=None, name="Driver")
    enable_i_pv4: bool | None = field(default=None, name="EnableIPv4")
    enable_i_pv6: bool | None = field(default=None, name="EnableIPv6")
    ipam: IPAM | None = field(default=None, name="IPAM")
    internal: bool | None = field(default=None, name="Internal")
    attachable: bool | None = field(default=None, name="Attachable")
    ingress: bool | None = field(default=None, name="Ingress")
    config_from: ConfigReference | None = field(default=None, name="ConfigFrom")
    config_only: bool | None = field(default=None, name="ConfigOnly")
    options: dict[str, str] | None = field(default=None, name="Options")
    labels: dict[str, str] | None = field(default=None, name="Labels")
    peers: list[PeerInfo] | None = field(default=None, name="Peers")


class NetworkSummary(Document):
    """Engine API object `NetworkSummary`."""

    name: str | None = field(default=None, name="Name")
    id: str | None = field(default=None, name="Id")
    created: str | None = field(default=None, name="Created")
    scope: str | None = field(default=None, name="Scope")
    driver: str | None = field(default=None, name="Driver")
    enable_i_pv4: bool | None = field(default=None, name="EnableIPv4")
    enable_i_pv6: bool | None = field(default=None, name="EnableIPv6")
    ipam: IPAM | None = field(default=None, name="IPAM")
    internal: bool | None = field(default=None, name="Internal")
    attachable: bool | None = field(default=None, name="Attachable")
    ingress: bool | None = field(default=None, name="Ingress")
    config_from: ConfigReference | None = field(default=None, name="ConfigFrom")
    config_only: bool | None = field(default=None, name="ConfigOnly")
    options: dict[str, str] | None = field(default=None, name="Options")
    labels: dict[str, str] | None = field(default=None, name="Labels")
    peers: list[PeerInfo] | None = field(default=None, name="Peers")


class NetworkInspect(Document):
    """Engine API object `NetworkInspect`."""

    name: str | None = field(default=None, name="Name")
    id: str | None = field(default=None, name="Id")
    created: str | None = field(default=None, name="Created")
    scope: str | None = field(default=None, name="Scope")
    driver: str | None = field(default=None, name="Driver")
    enable_i_pv4: bool | None = field(default=None, name="EnableIPv4")
    enable_i_pv6: bool | None = field(default=None, name="EnableIPv6")
    ipam: IPAM | None = field(default=None, name="IPAM")
    internal: bool | None = field(default=None, name="Internal")
    attachable: bool | None = field(default=None, name="Attachable")
    ingress: bool | None = field(default=None, name="Ingress")
    config_from: ConfigReference | None = field(default=None, name="ConfigFrom")
    config_only: bool | None = field(default=None, name="ConfigOnly")
    options: dict[str, str] | None = field(default=None, name="Options")
    labels: dict[str, str] | None = field(default=None, name="Labels")
    peers: list[PeerInfo] | None = field(default=None, name="Peers")


class SubnetStatus(Document):
    """Engine API object `SubnetStatus`."""

    ips_in_use: int | None = field(default=None, name="IPsInUse")
    dynamic_ips_available: int | None = field(default=None, name="DynamicIPsAvailable")


class IPAMStatus(Document):
    """Engine API object `IPAMStatus`."""

    subnets: dict[str, SubnetStatus] | None = field(default=None, name="Subnets")


class NetworkStatus(Document):
    """Engine API object `NetworkStatus`."""

    ipam: IPAMStatus | None = field(default=None, name="IPAM")


class NetworkTaskInfo(Document):
    """Engine API object `NetworkTaskInfo`."""

    name: str | None = field(default=None, name="Name")
    endpoint_id: str | None = field(default=None, name="EndpointID")
    endpoint_ip: str | None = field(default=None, name="EndpointIP")
    info: dict[str, str] | None = field(default=None, name="Info")


class ServiceInfo(Document):
    """Engine API object `ServiceInfo`."""

    vip: str | None = field(default=None, name="VIP")
    ports: list[str] | None = field(default=None, name="Ports")
    local_lb_index: int | None = field(default=None, name="LocalLBIndex")
    tasks: list[NetworkTaskInfo] | None = field(default=None, name="Tasks")


class EndpointResource(Document):
    """Engine API object `EndpointResource`."""

    name: str | None = field(default=None, name="Name")
    endpoint_id: str | None = field(default=None, name="EndpointID")
    mac_address: str | None = field(default=None, name="MacAddress")
    i_pv4_address: str | None = field(default=None, name="IPv4Address")
    i_pv6_address: str | None = field(default=None, name="IPv6Address")


class NetworkCreateResponse(Document):
    """Engine API object `NetworkCreateResponse`."""

    id: str | None = field(default=None, name="Id")
    warning: str | None = field(default=None, name="Warning")


class NetworkConnectRequest(Document):
    """Engine API object `NetworkConnectRequest`."""

    container: str | None = field(default=None, name="Container")
    endpoint_config: EndpointSettings | None = field(default=None, name="EndpointConfig")


class NetworkDisconnectRequest(Document):
    """Engine API object `NetworkDisconnectRequest`."""

    container: str | None = field(default=None, name="Container")
    force: bool | None = field(default=None, name="Force")
