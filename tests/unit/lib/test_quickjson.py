"""The small JSON codec agrees with the standard one."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from boxship.lib import quickjson

VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**63)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=20,
)


@given(VALUES)
def test_what_is_written_reads_back_the_same(value: object) -> None:
    text = quickjson.encode(value)
    assert json.loads(text) == value
    assert quickjson.decode(text) == value


@given(VALUES)
def test_laying_out_changes_no_token(value: object) -> None:
    text = json.dumps(value)
    assert quickjson.indent(text) == json.dumps(value, indent=4)


def test_laying_out_keeps_escapes_and_numbers_as_sent() -> None:
    assert (
        quickjson.indent('{"a":1.50,"b":"\\u003c"}') == '{\n    "a": 1.50,\n    "b": "\\u003c"\n}'
    )


@pytest.mark.parametrize("text", ["", "{", "[1,]", "{} x", "nul", '"\x01"', "NaN", "[" * 100000])
def test_what_is_no_document_is_refused(text: str) -> None:
    with pytest.raises(ValueError):
        quickjson.decode(text)


def test_documents_in_a_row_are_read_one_by_one() -> None:
    first, at = quickjson.decode_first('{"a":1} \n [2]', 0)
    assert (first, quickjson.decode_first('{"a":1} \n [2]', at)[0]) == ({"a": 1}, [2])
    assert quickjson.pieces('[{"a": 1}, 2 , "x"]') == ['{"a": 1}', "2", '"x"']
