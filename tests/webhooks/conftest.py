import pytest
from pytest_django import Settings

from accounts.models import Account
from tests.receivers import Receiver
from webhooks import events
from webhooks.models import Event, EventType, Webhook


@pytest.fixture
def demanding(settings: Settings) -> None:
    """Give up on receivers soon, so that tests with slow ones are quick."""
    settings.WEBHOOK_TIMEOUT_SECONDS = 1.0


@pytest.fixture
def listening_webhook(account: Account, receiver: Receiver, loopback_allowed: None) -> Webhook:
    """A webhook that points at the real receiver."""
    return make_webhook(account, receiver.url)


def make_webhook(account: Account, url: str, *event_types: str, name: str = "Wink Stalker") -> Webhook:
    chosen = EventType.objects.filter(key__in=event_types)
    return Webhook.objects.register(account=account, name=name, url=url, enabled=True, event_types=chosen, by=None)


def announce(account: Account, type: str = "booking.created", count: int = 1) -> list[Event]:
    return [events.emit(type=type, account=account, object={"number": number}) for number in range(count)]
