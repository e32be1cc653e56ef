"""Load while things break, and the count of what came of it.

with under_load(engine, events=2000, per_second=400) as load:
    engine.worker.kill()
    engine.worker.start()
    load.settle()
load.check(most_again=60)
"""

import json
import os
import time
from collections import Counter, defaultdict
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from typing import TypeVar

from tests import actions
from tests.actions import Listeners
from tests.receivers import Answer, Receiver, status
from tests.stack import Stack

T = TypeVar("T")

IS_LONG = os.environ.get("LONG_FAULTS") == "1"
COMMAND_SECONDS = 3600 if IS_LONG else 300
WEBHOOKS = 3


def scaled(short: T, long: T) -> T:
    """Return `short` in `make test`, `long` in `make faults`."""
    return long if IS_LONG else short


class Load:
    """Events that are announced to some webhooks, and the one receiver of all of these."""

    def __init__(
        self, stack: Stack, receiver: Receiver, listeners: Listeners, events: int, announcing: Future[list[str]]
    ) -> None:
        self.stack = stack
        self.receiver = receiver
        self.webhook_ids = listeners["webhook_ids"]
        self.events = events
        self.deliveries = events * len(self.webhook_ids)
        self._announcing = announcing

    @property
    def is_announced(self) -> bool:
        return self._announcing.done()

    def go_on_for(self, seconds: float) -> None:
        """Let it run; fail where nothing was under way any more, since nothing could break then."""
        time.sleep(seconds)
        assert len(self.receiver.requests) < self.deliveries, "The load was gone too soon."

    def wait_until_announced(self) -> None:
        self._announcing.result()

    def settle(self, seconds: float = 150) -> None:
        """Wait until all is announced and delivered, and see that the books are right; `seconds` for the short form."""
        self._announcing.result()
        standing = self.stack.call(actions.settle, self.webhook_ids, scaled(seconds, 10 * seconds))
        assert standing == {
            "deliveries": {"SUCCEEDED": self.deliveries},
            "leases": 0,
            "balances": True,
            "unfinished": 0,
        }

    def check(self, *, most_again: int) -> None:
        """See that each event came to each webhook, and that only so many came again, and the same."""
        event_ids = self._announcing.result()
        assert len(set(event_ids)) == self.events
        times = Counter((request.path, request.header("Wink-Event-Id")) for request in self.receiver.requests)
        assert len({path for path, _ in times}) == len(self.webhook_ids)
        assert len(times) == self.deliveries, f"{self.deliveries - len(times)} were lost."
        assert {event_id for _, event_id in times} == set(event_ids)
        again = sum(times.values()) - self.deliveries
        assert again <= most_again, f"{again} came again, and no more than {most_again} were under way."
        self._check_that_all_copies_are_the_same()

    def _check_that_all_copies_are_the_same(self) -> None:
        bodies: defaultdict[str | None, set[bytes]] = defaultdict(set)
        deliveries: defaultdict[tuple[str, str | None], set[str | None]] = defaultdict(set)
        for request in self.receiver.requests:
            event_id = request.header("Wink-Event-Id")
            bodies[event_id].add(request.body)
            deliveries[request.path, event_id].add(request.header("Wink-Delivery-Id"))
        assert [event_id for event_id, copies in bodies.items() if len(copies) > 1] == []
        assert [event_id for event_id, [body] in bodies.items() if json.loads(body)["id"] != event_id] == []
        assert [place for place, ids in deliveries.items() if len(ids) > 1] == []


@contextmanager
def under_load(
    stack: Stack,
    *,
    events: int,
    per_second: float,
    webhooks: int = WEBHOOKS,
    answer: Answer | None = None,
    patience: float = 60,
) -> Iterator[Load]:
    """Announce events in the background; the block begins when a tenth of the deliveries is there.

    The receiver answers to the end of the block, so that what is to settle has to do so within it. Whoever announces
    waits up to `patience` seconds for a database that is away.
    """
    with Receiver(answer or status(204, delay=0.02)) as receiver, ThreadPoolExecutor(1) as background:
        listeners = stack.call(actions.make_listeners, receiver.url, webhooks)
        announcing = background.submit(
            stack.call, actions.announce_steadily, listeners["account_id"], events, per_second, patience
        )
        load = Load(stack, receiver, listeners, events, announcing)
        receiver.wait_for(load.deliveries // 10, seconds=60)
        yield load
