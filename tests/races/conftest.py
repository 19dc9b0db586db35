from collections.abc import Iterator

import pytest

from tests.races.harness import Harness, harness


@pytest.fixture(scope="session")
def races(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Harness]:
    """Worker processes on a scratch database; never pytest-django's, never a transaction."""
    with harness(tmp_path_factory.mktemp("races")) as ready:
        yield ready
