"""Images in a folder of the test's own, with nobody using them."""

import pytest
from tests.support.images import Engine


@pytest.fixture
def engine(tmp_path):
    return Engine(tmp_path)


@pytest.fixture
def images(engine):
    return engine.images
