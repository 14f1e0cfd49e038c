"""Engine API document: what is asked of `POST /networks/create`, published inline for API 1.56."""

from __future__ import annotations

from msgspec import field

from boxship.spec.engine.document import Document
from boxship.spec.engine.network import IPAM, ConfigReference


class NetworkCreateRequest(Document):
    """Engine API object `NetworkCreateRequest`."""

    name: str | None = field(default=None, name="Name")
    check_duplicate: bool | None = field(default=None, name="CheckDuplicate")
    driver: str | None = field(default=None, name="Driver")
    scope: str | None = field(default=None, name="Scope")
    internal: bool | None = field(default=None, name="Internal")
    attachable: bool | None = field(default=None, name="Attachable")
    ingress: bool | None = field(default=None, name="Ingress")
    config_only: bool | None = field(default=None, name="ConfigOnly")
    config_from: ConfigReference | None = field(default=None, name="ConfigFrom")
    ipam: IPAM | None = field(default=None, name="IPAM")
    enable_i_pv4: bool | None = field(default=None, name="EnableIPv4")
    enable_i_pv6: bool | None = field(default=None, name="EnableIPv6")
    options: dict[str, str] | None = field(default=None, name="Options")
    labels: dict[str, str] | None = field(default=None, name="Labels")
