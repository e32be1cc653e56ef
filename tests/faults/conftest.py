from collections.abc import Iterator

import pytest

from tests.stack import Stack

WEBHOOK_IN_FLIGHT_PER_WEBHOOK = 10


@pytest.fixture(scope="session")
def engine(tmp_path_factory: pytest.TempPathFactory, postgres: str | None) -> Iterator[Stack]:
    """A stack without pages, whose leases run out soon. Each test leaves all its programs running."""
    with Stack(
        tmp_path_factory.mktemp("engine"),
        postgres=postgres,
        web=False,
        WEBHOOK_TIMEOUT_SECONDS="2",
        WEBHOOK_LEASE_SECONDS="9",
        WEBHOOK_IN_FLIGHT_PER_WEBHOOK=str(WEBHOOK_IN_FLIGHT_PER_WEBHOOK),
    ) as engine:
        yield engine
