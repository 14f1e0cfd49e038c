from __future__ import annotations

import pytest

from boxship.errors import InvalidRequest, NotFound
from boxship.logs.drivers.files import driver
from boxship.logs.drivers.options import size


@pytest.mark.parametrize(
    ("text", "bytes_"),
    [
        ("10m", 10 << 20),
        ("1k", 1024),
        ("5", 5),
        ("1.5g", 3 << 29),
        ("2kb", 2048),
        ("3 MiB", 3 << 20),
    ],
)
def test_sizes_are_read_as_docker_reads_them(text, bytes_):
    assert size(text) == bytes_


@pytest.mark.parametrize(
    ("name", "options", "message"),
    [
        ("json-file", {"x": "1"}, "unknown log opt 'x' for json-file log driver"),
        ("json-file", {"max-file": "0"}, "max-file cannot be less than 1"),
        ("json-file", {"max-file": "9" * 5000}, "max-file is no number"),
        ("json-file", {"max-size": "9" * 400}, "invalid size"),
        ("json-file", {"max-size": "1k", "compress": "true"}, "compress cannot be true"),
        ("local", {"max-size": "lots"}, "invalid size: 'lots'"),
        ("none", {"max-size": "1k"}, "unknown log opt 'max-size' for none log driver"),
        ("json-file", {"mode": "sometimes"}, "logging mode not supported: sometimes"),
        ("none", {"mode": "sometimes"}, "logging mode not supported: sometimes"),
        ("local", {"max-buffer-size": "1m"}, "only supported with 'mode=non-blocking'"),
        ("local", {"mode": "non-blocking", "max-buffer-size": "0"}, "must be a positive number"),
        ("json-file", {"labels-regex": "("}, "invalid value for labels-regex"),
    ],
)
def test_options_that_make_no_sense_are_refused(name, options, message):
    with pytest.raises(InvalidRequest, match=message):
        driver(name).validate(options)


def test_a_driver_that_is_not_there_is_named():
    with pytest.raises(NotFound, match="no log driver named 'fluent'"):
        driver("fluent")


def test_what_was_asked_for_is_what_the_shim_is_told():
    made = driver("json-file").choose({"max-size": "1m", "max-file": "2"}, "/l", {"tag": "t"})
    assert (made.max_size, made.max_file, made.compress, made.attrs) == (
        1 << 20,
        2,
        False,
        {"tag": "t"},
    )
    made = driver("json-file").choose({"max-file": "3"}, "/l", {})
    assert (made.max_size, made.max_file) == (0, 3)  # it is full never
    made = driver("local").choose({}, "/l", {})
    assert (made.max_size, made.max_file, made.compress) == (20 << 20, 5, True)


@pytest.mark.parametrize(
    ("options", "room"),
    [
        ({}, 0),
        ({"mode": "blocking"}, 0),
        ({"mode": "non-blocking"}, 1 << 20),
        ({"mode": "non-blocking", "max-buffer-size": "4m"}, 4 << 20),
    ],
)
def test_a_log_that_is_not_waited_for_has_a_buffer(options, room):
    for name in ("json-file", "local"):
        driver(name).validate(options)
        assert driver(name).choose(options, "/l", {}).buffer == room
