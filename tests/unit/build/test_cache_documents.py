"""Caches that travel: what is written reads back; what others wrote is not trusted."""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping, Sequence
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from boxship.build import inline
from boxship.build.cache import document
from boxship.build.cache.document import Step, Travelling
from boxship.build.inline import KnownStep
from boxship.errors import BoxshipError
from boxship.lib import strictjson
from boxship.snapshot.driver import ChainId
from boxship.spec.digest import Digest
from boxship.spec.oci import image as oci
from boxship.spec.oci.image import Descriptor

HEX = [Digest.of(bytes([n])).hex for n in range(12)]


def descriptor(number: int) -> Descriptor:
    return Descriptor(
        media_type=oci.OCI_LAYER_GZIP, digest=Digest.of(b"blob %d" % number), size=number + 1
    )


def travelling(number: int) -> Travelling:
    return Travelling(
        descriptor(number), Digest.of(b"layer %d" % number), 1_700_000_000_000_000_000
    )


def blobs(count: int = 12) -> dict[str, Descriptor]:
    return {str(descriptor(n).digest): descriptor(n) for n in range(count)}


STACKS = st.lists(st.integers(0, 11), min_size=1, max_size=6)
STEPS = st.lists(
    st.tuples(
        st.sampled_from(HEX[:6]), st.sampled_from(HEX[6:]),
        st.dictionaries(st.integers(0, 3), STACKS, max_size=3),
    ),
    max_size=8,
)  # fmt: skip


@given(STEPS)
def test_what_is_written_reads_back(
    said: Sequence[tuple[str, str, Mapping[int, Sequence[int]]]],
) -> None:
    stacks: dict[Digest, list[Travelling]] = {}
    steps = []
    for key, identity, outputs in said:
        tops = {}
        for number, layers in outputs.items():
            top = Digest.of(repr(layers).encode())
            stacks[top] = [travelling(one) for one in layers]
            tops[number] = top
        steps.append(Step(key, identity, tops))
    written = strictjson.encode(document.write(steps, stacks))
    known = document.read(written, blobs())
    first: dict[str, Step] = {}
    for step in steps:
        first.setdefault(step.identity, step)
        assert step.identity in known.steps
    for step in first.values():
        if step.key != step.identity:
            assert known.identities[step.key] in {one.identity for one in steps}
        for number, top in step.outputs.items():
            found = known.results[document.name(step.identity, number)]
            assert [one.diff_id for one in found] == [one.diff_id for one in stacks[top]]
            assert [one.descriptor for one in found] == [one.descriptor for one in stacks[top]]


NUMBERS = st.integers(-3, 9) | st.sampled_from([2**31, -(2**63), 10**30])
DIGESTS = st.sampled_from(
    ["", "sha256:", "sha256:" + HEX[0], "sha256:" + HEX[0].upper(), "sha256:" + "0" * 63,
     "../../x", "sha512:" + "0" * 128, str(descriptor(1).digest), str(descriptor(2).digest)]
)  # fmt: skip
ENTRY = st.fixed_dictionaries(
    {"blob": DIGESTS},
    optional={
        "parent": NUMBERS,
        "annotations": st.none() | st.fixed_dictionaries(
            {}, optional={"diffID": DIGESTS, "mediaType": st.sampled_from(["", oci.OCI_LAYER]),
                          "size": NUMBERS}
        ),
    },
)  # fmt: skip
LINKS = st.lists(
    st.lists(
        st.fixed_dictionaries(
            {"link": NUMBERS}, optional={"selector": st.sampled_from(["", "sha256:x"])}
        ),
        max_size=3,
    ),
    max_size=3,
)
RECORD = st.fixed_dictionaries(
    {"digest": DIGESTS},
    optional={
        "layers": st.lists(st.fixed_dictionaries({"layer": NUMBERS}), max_size=3),
        "inputs": LINKS,
        "chains": st.just([{"layers": [0]}]),
    },
)


@given(
    st.fixed_dictionaries(
        {},
        optional={"layers": st.lists(ENTRY, max_size=6), "records": st.lists(RECORD, max_size=8)},
    )
)
def test_whatever_is_said_is_read_or_refused(said: dict[str, Any]) -> None:
    try:
        known = document.read(json.dumps(said).encode(), blobs())
    except BoxshipError:
        return
    for stack in known.results.values():
        assert 0 < len(stack) <= document.DEEPEST
        assert all(str(one.descriptor.digest) in blobs() for one in stack)
    assert set(known.identities.values()) <= known.steps


def entry(number: int, parent: int) -> dict[str, Any]:
    about = {"diffID": str(travelling(number).diff_id), "mediaType": oci.OCI_LAYER_GZIP}
    return {"blob": str(descriptor(number).digest), "parent": parent, "annotations": about}


def record(layer: int, digest: str = HEX[0], **more: Any) -> dict[str, Any]:
    return {"digest": f"sha256:{digest}", "layers": [{"layer": layer}], **more}


@pytest.mark.parametrize(
    "layers",
    [
        [entry(0, 0)],
        [entry(0, 1), entry(1, 0)],
        [entry(0, 7)],
        [entry(0, -2)],
        [{**entry(0, -1), "blob": "sha256:" + "f" * 64}],
        [{"blob": str(descriptor(0).digest), "parent": -1}],
        [{**entry(0, -1), "annotations": {"diffID": "sha256:short"}}],
        [],
    ],
    ids=["itself", "circle", "beyond", "below", "no-blob", "no-diff-id", "bad-diff-id", "none"],
)
def test_a_result_without_its_layers_is_none(layers: list[dict[str, Any]]) -> None:
    said = json.dumps({"layers": layers, "records": [record(0)]}).encode()
    known = document.read(said, blobs())
    assert known.results == {}
    assert known.steps == {HEX[0]}


def test_a_stack_has_an_end() -> None:
    deep = [entry(0, number - 1) for number in range(document.DEEPEST + 1)]
    deepest = document.DEEPEST - 1
    said = {"layers": deep, "records": [record(deepest), record(deepest + 1, HEX[1])]}
    known = document.read(json.dumps(said).encode(), blobs())
    assert set(known.results) == {HEX[0]}


def test_many_deep_stacks_do_not_hold_an_engine_up() -> None:
    """Sixteen megabytes of layers, each on the last, and results that end everywhere in them."""
    count = 20_000
    names = [Digest.of(b"%d" % number).hex for number in range(count)]
    layers = [
        entry(0, -1 if number % document.DEEPEST == 0 else number - 1) for number in range(count)
    ]
    records = [record(number, name) for number, name in enumerate(names)]
    data = json.dumps({"layers": layers, "records": records}).encode()
    assert len(data) < document.LIMIT
    known = document.read(data, blobs())
    assert sum(map(len, known.results.values())) <= document.MOST_TOGETHER + document.DEEPEST


def test_a_document_that_is_too_large_is_refused() -> None:
    with pytest.raises(BoxshipError):
        document.read(b" " * (document.LIMIT + 1) + b"{}", {})


def test_links_that_lead_nowhere_lead_to_nothing() -> None:
    said = {
        "records": [
            {"digest": f"sha256:{HEX[0]}", "inputs": [[{"link": 1}, {"link": 5}, {"link": -1}]]},
            {"digest": f"sha256:{HEX[1]}", "inputs": [[{"link": 0}], [{"link": 1}]]},
            {"digest": "nonsense", "inputs": [[{"link": 0}]]},
            {"digest": f"sha256:{HEX[2]}", "inputs": [[{"link": 0, "selector": "sha256:x"}]]},
        ]
    }
    known = document.read(json.dumps(said).encode(), {})
    assert known.identities == {HEX[1]: HEX[1], HEX[0]: HEX[1]}
    assert known.steps == {HEX[0], HEX[1], HEX[2]}


@given(st.lists(st.tuples(st.sampled_from(HEX[:4]), st.sampled_from(HEX[4:8]), st.integers(0, 2),
                          st.integers(0, 4)), max_size=8))  # fmt: skip
def test_what_an_image_carries_reads_back(said: list[tuple[str, str, int, int]]) -> None:
    chains = [ChainId(Digest.of(bytes([n]))) for n in range(3)]
    elsewhere = ChainId(Digest.of(b"elsewhere"))
    steps = [
        KnownStep(key, identity, output, chains[at] if at < 3 else elsewhere)
        for key, identity, output, at in said
    ]
    config = json.dumps({inline.MEMBER: inline.write(steps, chains)}).encode()
    found = {one.called: one for one in inline.read(config, 3)}
    first: dict[str, KnownStep] = {}
    for step in steps:
        if step.chain in chains:
            first.setdefault(document.name(step.identity, step.output), step)
    assert set(found) == set(first)
    for called, step in first.items():
        assert chains[found[called].layer] == step.chain
        if step.output == 0:
            assert found[called].keys == (step.key,)
    assert all(one.layer == 0 for one in inline.read(config, 1))


def carried(records: object) -> bytes:
    data = base64.b64encode(json.dumps(records).encode()).decode()
    return json.dumps({inline.MEMBER: data}).encode()


@pytest.mark.parametrize(
    "config",
    [
        b"", b"[]", b'{"moby.buildkit.cache.v0": 1}', b'{"moby.buildkit.cache.v0": "%%"}',
        carried({"version": 1, "records": []}), carried(None), carried([1]),
        carried([record(-1)]), carried([record(2)]), carried([record(10**20)]),
        carried([{"digest": "x", "layers": [{"layer": 0}]}]),
        carried([{"digest": f"sha256:{HEX[0]}"}]),
        json.dumps({inline.MEMBER: base64.b64encode(b"[" * 100_000).decode()}).encode(),
    ],
)  # fmt: skip
def test_nonsense_in_an_image_is_passed_over(config: bytes) -> None:
    assert inline.read(config, 2) == []


def test_a_cache_is_told_from_an_image() -> None:
    config = Descriptor(media_type=document.CONFIG, digest=Digest.of(b"c"), size=1)
    image = Descriptor(media_type=oci.OCI_CONFIG, digest=Digest.of(b"i"), size=1)
    layers = [descriptor(0)]
    for top in (document.manifest(config, layers), document.index(config, layers, docker=False)):
        found = document.parts(top.media_type, strictjson.encode(top))
        assert found is not None
        assert found[0].digest == config.digest
    other = document.manifest(image, layers)
    assert document.parts(other.media_type, strictjson.encode(other)) is None
    with pytest.raises(BoxshipError):
        document.parts(oci.OCI_MANIFEST, b"{")
