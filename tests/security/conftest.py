from collections.abc import Iterator

import pytest

from tests.security import inside, ways_in
from tests.security.internet import Internet


@pytest.fixture(autouse=True)
def lines_are_not_counted(no_cover: None) -> None:
    """Send many requests through the same lines without counting these: it would take a third more time."""


@pytest.fixture(scope="session")
def network(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Internet]:
    """The network that all tests share; what uses it stands in `tests.conftest.TOGETHER`."""
    with Internet(tmp_path_factory.mktemp("internet")) as network:
        yield network


@pytest.fixture
def internet(network: Internet) -> Internet:
    """The network, in which nobody has been called yet, and no name is known."""
    network.call(inside.answer_with, {})
    network.call(ways_in.forget)
    network.call(inside.visits)
    return network
