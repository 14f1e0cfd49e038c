"""What daemon.json says of the builder."""

from __future__ import annotations

import msgspec
import pytest

from boxship.daemon.buildsettings import BuilderDocument, cache_limits, entitlements


def read(document: object) -> BuilderDocument:
    return msgspec.convert(document, BuilderDocument)


def test_the_hosts_network_is_allowed_and_insecure_steps_are_not() -> None:
    assert entitlements(read({})) == {"network.host", "device"}
    said = {"entitlements": {"network-host": False, "security-insecure": True, "device": False}}
    assert entitlements(read(said)) == {"security.insecure"}


def test_the_cache_is_kept_as_small_as_asked() -> None:
    usual = cache_limits(read({}), "/")
    assert usual is not None
    assert usual.most >= usual.reserved == 2 << 30
    asked = cache_limits(read({"gc": {"defaultKeepStorage": "20GB"}}), "/")
    assert asked is not None
    assert (asked.reserved, asked.most) == (20 << 30, 20 << 30)
    assert cache_limits(read({"gc": {"enabled": False}}), "/") is None


@pytest.mark.parametrize("document", [{"gc": {"colour": 1}}, {"entitlements": []}, {"x": {}}])
def test_what_makes_no_sense_is_refused(document: object) -> None:
    with pytest.raises(msgspec.ValidationError):
        read(document)
