"""What comes of a build: digests, attestations, caches that travel, squashed images, disk usage."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest
from tests.support.building import Workshop, image, run
from tests.support.engine import Engine
from tests.support.stories import tell

from boxship.build.ops import About, Ref, Vertex
from boxship.build.request import CacheOption
from boxship.errors import NotSupported


def test_the_same_input_and_epoch_give_the_same_digest() -> None:
    async def story(shop: Workshop) -> None:
        made = []
        for _ in range(2):
            vertex = run(image("busybox"), "mkdir /d; echo x > /d/x").vertex
            step = Ref(Vertex(vertex.op, vertex.inputs, about=About(name="x", ignore_cache=True)))
            built = await shop.build(step, source_date_epoch=1000000)
            made.append(built.image)
            await asyncio.sleep(1.1)  # layers have times of whole seconds
        assert made[0] is not None
        assert made[0] == made[1]
        config = shop.engine.images.get(str(made[0].digest)).config
        assert config.created == "1970-01-12T13:46:40Z"
        assert config.history is not None
        assert config.history[-1].created == "1970-01-12T13:46:40Z"

    tell(story, 9)


def test_what_is_attested_lies_beside_the_image_and_tells_no_secrets() -> None:
    async def story(shop: Workshop) -> None:
        built = await shop.dockerfile(
            "FROM busybox\nARG TOKEN\nRUN mkdir -p /lib/apk/db && "
            "printf 'P:musl\\nV:1.2-r0\\nA:x86_64\\n\\n' > /lib/apk/db/installed\n",
            shop.builder.contexts.new().__enter__()[0],
            tags=("t:1",),
            provenance={"mode": "max"},
            sbom={},
            build_args={"TOKEN": "t0ps3cret", "PLACE": "https://me:t0ps3cret@example.com/"},
        )
        assert built.image is not None
        statements = shop.engine.images.statements("t:1", whole=True)
        kinds = {one.predicate: one.document for one in statements}
        software = kinds["https://spdx.dev/Document"]
        assert software is not None
        assert [p["name"] for p in software["predicate"]["packages"]] == ["musl"]
        source = kinds["https://slsa.dev/provenance/v0.2"]
        assert source is not None
        (material,) = source["predicate"]["materials"]
        assert material["uri"].startswith("pkg:docker/busybox@latest?platform=linux%2F")
        assert "t0ps3cret" not in repr(source)
        assert source["subject"][0]["digest"]["sha256"] in repr(built.manifests)

    tell(story, 11)


def test_an_image_carries_its_cache_to_another_machine() -> None:
    async def story(shop: Workshop) -> None:
        text = "FROM busybox\nRUN cat /proc/sys/kernel/random/uuid > /once\nRUN cp /once /twice\n"
        context = shop.builder.contexts.new().__enter__()[0]
        inline = (CacheOption("inline"),)
        await shop.dockerfile(text, context, tags=("t:1",), cache_to=inline)
        once = shop.read("t:1", "/twice")
        await shop.builder.cache.prune({}, everything=True)
        assert not shop.builder.cache.usage()
        source = (CacheOption("registry", {"ref": "t:1"}),)
        await shop.dockerfile(text, context, tags=("t:2",), cache_from=source)
        assert shop.read("t:2", "/twice") == once
        with pytest.raises(NotSupported):
            await shop.dockerfile(text, context, cache_to=(CacheOption("gha"),))

    tell(story, 12)


def test_a_squashed_image_has_one_layer_more_than_its_base() -> None:
    async def story(shop: Workshop) -> None:
        text = "FROM busybox\nRUN echo a > /a; echo b > /b\nRUN rm /a /bin/vi\nENV X=1\nRUN true\n"
        context = shop.builder.contexts.new().__enter__()[0]
        await shop.dockerfile(text, context, tags=("t:1",), squash=True)
        found = shop.engine.images.get("t:1")
        base = shop.engine.images.get("busybox")
        assert found.variant.diff_ids[:-1] == base.variant.diff_ids
        assert shop.read("t:1", "/b") == b"b\n"
        for gone in ("/a", "/bin/vi"):
            with pytest.raises(FileNotFoundError):
                shop.read("t:1", gone)
        lines = shop.engine.images.history("t:1")
        assert lines[0].comment == "layers merged by --squash"

    tell(story, 13)


def test_the_disk_usage_has_the_build_cache(own_engine: Engine, tmp_path: Path) -> None:
    own_engine.boxship("image", "bootstrap", "busybox")
    (tmp_path / "Dockerfile").write_text("FROM busybox\nRUN head -c 70000 /dev/zero > /zeros\n")
    own_engine.boxship("build", "-t", "zeros", str(tmp_path))
    own_engine.boxship("rmi", "zeros")
    rows = own_engine.docker("system", "df", "--format", "{{.Type}} {{.TotalCount}}").stdout
    assert "Build Cache" in rows
    assert "Build Cache 0" not in rows
    items = own_engine.docker("system", "df", "-v", "--format", "json").stdout
    assert "regular" in items
    assert own_engine.docker("builder", "prune", "-af").returncode == 0
