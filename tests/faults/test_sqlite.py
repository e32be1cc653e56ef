"""Two workers on one file of SQLite get in each other's way, and stop at nothing."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest

from tests import actions
from tests.faults.load import COMMAND_SECONDS, scaled, under_load
from tests.stack import Stack

pytestmark = [pytest.mark.stack, pytest.mark.load]


@pytest.fixture(scope="module")
def crowded_engine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    with Stack(
        tmp_path_factory.mktemp("crowded"),
        postgres=None,
        web=False,
        workers=2,
        command_seconds=COMMAND_SECONDS,
    ) as engine:
        yield engine


def test_nothing_is_lost_or_sent_twice_with_two_workers_on_one_file(crowded_engine: Stack) -> None:
    """Whoever announces does not try again: a caller must not see a locked database either."""
    with under_load(crowded_engine, events=scaled(600, 10_000), per_second=100, patience=0) as load:
        load.settle()

    load.check(most_again=0)


def test_people_are_not_refused_while_two_workers_write(crowded_engine: Stack) -> None:
    with (
        under_load(crowded_engine, events=scaled(600, 6000), per_second=100, patience=0) as load,
        ThreadPoolExecutor(1) as background,
    ):
        other = crowded_engine.call(actions.make_listeners, load.receiver.url + "/other", 4)
        meddling = background.submit(crowded_engine.call, actions.meddle, other["webhook_ids"], scaled(5, 60))
        deeds = meddling.result()
        load.settle()

    assert deeds["errors"] == []
    load.check(most_again=0)
