"""The rules as text and elements, and answers to other programs' firewalls."""

from __future__ import annotations

from boxship.network import rules
from boxship.network.foreign import Place, answer, dropping, unanswerable
from boxship.network.record import Publication
from boxship.network.rules import BridgeRules

BRIDGE = BridgeRules("bx0", ("10.0.0.0/16", "fd00::/64"))


def test_an_element_is_padded_as_the_kernel_has_it():
    any_address = rules.element(Publication("tcp", "0.0.0.0", 8080, "10.0.0.2", 80))
    assert any_address.set == "any4"
    assert any_address.key == bytes([6, 0, 0, 0, 0x1F, 0x90, 0, 0])
    assert any_address.value == bytes([10, 0, 0, 2, 0, 80, 0, 0])
    one_address = rules.element(Publication("udp", "fd00::1", 53, "fd00::2", 5353))
    assert one_address.set == "publish6"
    assert (len(one_address.key), len(one_address.value)) == (24, 20)


def test_the_whole_table_is_one_transaction_that_replaces_what_was_there():
    text = rules.ruleset("t", [BRIDGE], [Publication("tcp", "127.0.0.1", 8080, "10.0.0.2", 80)])
    lines = text.splitlines()
    assert lines[:3] == ["add table inet t", "delete table inet t", "table inet t {"]
    assert "elements = { tcp . 127.0.0.1 . 8080 : 10.0.0.2 . 80 }" in text
    assert text.count("{") == text.count("}")


def test_an_internal_network_is_never_masqueraded_and_a_routed_one_not_guarded():
    inner = rules.ruleset("t", [BridgeRules("bx1", ("10.1.0.0/16",), internal=True)])
    assert 'oifname != "bx1" masquerade' not in inner
    assert '"bx1"' in next(line for line in inner.splitlines() if "set internal" in line)
    routed = rules.ruleset("t", [BridgeRules("bx2", ("10.2.0.0/16",), direct=True)])
    assert "fib daddr type != local drop" not in routed


def chain(name: str, policy: str | None = None, table: str = "filter", family: str = "ip"):
    found = {"family": family, "table": table, "name": name}
    return {**found, "hook": "forward", "policy": policy} if policy else found


def test_only_a_dropping_forward_chain_is_answered_in_dockers_chain_where_there_is_one():
    assert dropping([chain("FORWARD", "accept"), chain("DOCKER-USER")], ["ip"]) == []
    assert dropping([chain("FORWARD", "drop")], ["ip", "ip6"]) == [Place("ip", "FORWARD")]
    assert dropping([chain("FORWARD", "drop"), chain("DOCKER-USER")], ["ip"]) == [
        Place("ip", "DOCKER-USER")
    ]
    assert unanswerable([chain("f", "drop", "mine"), chain("f", "drop", "own")], "own") == [
        "ip mine f"
    ]


def test_an_answer_carries_the_mark_by_which_it_is_found_again():
    commands = list(answer(Place("ip", "FORWARD"), ["bx0"], "boxship bx0"))
    assert len(commands) == 2
    assert all('comment "boxship bx0"' in command for command in commands)
