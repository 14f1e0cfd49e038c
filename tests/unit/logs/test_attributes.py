from __future__ import annotations

import pytest

from boxship.errors import InvalidRequest
from boxship.logs.attributes import Source, attributes, check, tag

SOURCE = Source(
    id="0123456789abcdef" * 4,
    name="web",
    image_id="sha256:" + "9876543210fedcba" * 4,
    image_name="busybox:latest",
    command=("sh", "-c", "true"),
    labels={"app": "shop", "app.tier": "front", "other": "x"},
    environment=("MODE=prod", "MODEL=t", "EMPTY=", "WORD", "URL=a=b"),
    hostname="box",
)


@pytest.mark.parametrize(
    ("options", "found"),
    [
        ({}, {}),
        ({"labels": "app,absent"}, {"app": "shop"}),
        ({"labels": "app.*"}, {}),
        ({"labels-regex": "^app"}, {"app": "shop", "app.tier": "front"}),
        ({"env": "MODE,URL,EMPTY,WORD"}, {"MODE": "prod", "URL": "a=b", "EMPTY": ""}),
        ({"env-regex": "^MODE$"}, {"MODE": "prod"}),
        ({"env-regex": "MODE", "labels": "other"}, {"MODE": "prod", "MODEL": "t", "other": "x"}),
    ],
)
def test_what_is_chosen_is_kept_beside_each_line(
    options: dict[str, str], found: dict[str, str]
) -> None:
    assert attributes(options, SOURCE) == found


@pytest.mark.parametrize(
    ("template", "text"),
    [
        ("", ""),
        ("{{.ID}}", "0123456789ab"),
        ("{{.FullID}}", "0123456789abcdef" * 4),
        ("{{.Name}}/{{.ImageName}}", "web/busybox:latest"),
        ("{{.ImageID}}", "9876543210fe"),
        ("{{.Command}}", "sh -c true"),
        ("{{.Hostname}}", "box"),
        ('{{index .ContainerLabels "app"}}', "shop"),
        ("plain", "plain"),
    ],
)
def test_a_tag_is_a_template(template: str, text: str) -> None:
    assert tag({"tag": template}, SOURCE) == text


@pytest.mark.parametrize(
    "options", [{"labels-regex": "("}, {"env-regex": "["}, {"tag": "{{.ID"}, {"tag": "{{nothing}}"}]
)
def test_what_is_no_pattern_and_no_template_is_refused(options: dict[str, str]) -> None:
    with pytest.raises(InvalidRequest):
        check(options)


def test_a_tag_of_nothing_known_is_refused() -> None:
    with pytest.raises(InvalidRequest, match="Nothing"):
        tag({"tag": "{{.Nothing}}"}, SOURCE)
