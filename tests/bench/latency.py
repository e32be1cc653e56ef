"""What the scenarios of latency do within a stack."""

import random
import time

from tests import actions
from tests.receivers import Receiver

WARM_UP = 5
LONGEST_PAUSE_SECONDS = 0.2


def announce_one_at_a_time(count: int) -> list[float]:
    """Return for each of `count` announcements the seconds until its request was read to the end."""
    with Receiver() as receiver:
        listener = actions.make_listener(receiver.url)
        seconds = []
        for number in range(1, WARM_UP + count + 1):
            # In step with nothing that polls.
            time.sleep(random.uniform(0, LONGEST_PAUSE_SECONDS))
            started = time.monotonic()
            actions.announce(listener["account_id"])
            seconds.append(receiver.wait_for(number, seconds=30)[-1].at - started)
    return seconds[WARM_UP:]
