"""An event exists if and only if the transaction of what happened committed."""

import pytest

from tests import actions
from tests.receivers import Receiver
from tests.stack import Stack

pytestmark = [pytest.mark.stack, pytest.mark.storage]


def test_a_transaction_that_is_rolled_back_announces_nothing(engine: Stack, receiver: Receiver) -> None:
    listener = engine.call(actions.make_listener, receiver.url)

    rolled_back = engine.call(actions.announce_and_roll_back, listener["account_id"])
    # What comes after it arrives, so that it would have arrived too.
    committed = engine.call(actions.announce, listener["account_id"])

    [request] = receiver.wait_for(1, seconds=10)
    assert request.header("Wink-Event-Id") == committed["event_ids"][0]
    assert not engine.call(actions.event_exists, rolled_back)
    assert engine.call(actions.wait_until_finished, 90)
    assert len(receiver.requests) == 1
