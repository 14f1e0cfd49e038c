"""What a git source asks for: addresses and refs as they are read, before git sees them."""

from __future__ import annotations

import base64

import pytest

from boxship.build.errors import BadGraph
from boxship.build.ops import Source
from boxship.build.sources.git import remote
from boxship.build.sources.git.remote import Wanted
from boxship.errors import InvalidRequest


def wanted(identifier: str = "git://host/r.git", **attrs: str) -> Wanted:
    said = tuple(sorted((key.replace("_", "."), value) for key, value in attrs.items()))
    return Wanted.of(Source(identifier, said))


@pytest.mark.parametrize(
    ("address", "host", "port"),
    [
        ("https://example.com/r.git", "example.com", 443),
        ("http://example.com:8080/r", "example.com", 8080),
        ("git://example.com/r", "example.com", 9418),
        ("ssh://git@example.com:2222/r.git", "example.com", 2222),
        ("git@example.com:owner/r.git", "example.com", 22),
        ("git@example.com:/srv/r.git", "example.com", 22),
        ("http://[::1]:99/r.git", "::1", 99),
    ],
)
def test_an_address_is_somewhere(address: str, host: str, port: int) -> None:
    assert remote.host_of(wanted(git_fullurl=address).remote) == (host, port)


@pytest.mark.parametrize(
    "address",
    [
        *("ext::sh -c id", "file:///etc", "/etc", "../r.git", "-u./x", "--upload-pack=x", "r.git"),
        *("https://-oProxyCommand=id/r.git", "ssh://-oProxyCommand=id/r", "git@-oProxyCommand=x:r"),
        *("ssh:///r.git", "http:///r.git", "http://host:0/r", "http://host:99999/r", "http://["),
        *("https://host/r.git\n--x", "https://host/a b", "fd::17/x", "host::r", "git@host:\\x"),
        *("transport::https://host/r", "data://x/y", "ftp://host/r.git"),
    ],
)
def test_what_is_no_address_elsewhere_is_refused(address: str) -> None:
    with pytest.raises(InvalidRequest, match="invalid git remote"):
        wanted(git_fullurl=address)


@pytest.mark.parametrize(
    "ref",
    ["-x", "--upload-pack=x", "a..b", "a b", "a\nb", "$(id)", "a/", "x.lock", "@{u}", "é"],
)
def test_a_ref_that_git_could_misunderstand_is_refused(ref: str) -> None:
    with pytest.raises(InvalidRequest, match="invalid git ref"):
        wanted(f"git://host/r.git#{ref}")


def test_who_logs_in_is_taken_out_of_an_address() -> None:
    found = wanted(git_fullurl="https://me%40home:pa%3Ass@host:8443/r.git")
    assert found.remote == "https://host:8443/r.git"
    kind, _, said = found.login.partition(" ")
    assert (kind, base64.b64decode(said)) == ("basic", b"me@home:pa:ss")
    assert wanted(git_fullurl="ssh://git@host/r.git").login == ""
    assert remote.shown("ssh://git:secret@host/r.git@v1") == "ssh://host/r.git@v1"
    assert remote.shown("git@host:r.git") == "git@host:r.git"


@pytest.mark.parametrize(
    ("key", "value"), [("git_checksum", "xyz"), ("git_checksum", "-1"), ("git_mtime", "now")]
)
def test_attributes_that_mean_nothing_are_refused(key: str, value: str) -> None:
    with pytest.raises(BadGraph):
        wanted(git_fullurl="https://host/r.git", **{key: value})
