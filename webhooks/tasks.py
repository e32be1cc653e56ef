"""What Celery runs. Tasks carry no payload, at most an id: what there is to do stands in the database."""

from multiprocessing.sharedctypes import RawValue
from typing import Any
from uuid import UUID

from celery import shared_task
from celery.signals import worker_shutting_down

from accounts import audit, invitations
from webhooks import health, notices, recovery, retention, rollups, wake
from webhooks.engine.drain import drain
from webhooks.heartbeat import beat
from webhooks.models import Recovery
from webhooks.notices import MESSAGE_SECONDS, SEND_SECONDS

# Celery tells only the main process of a worker that it is to end. The processes that run tasks are its forks and share
# this with it, so that a drain need not go on for its whole minute.
_worker_is_ending = RawValue("b", 0)
# The next sweep asks again.
RECOVER_MESSAGE_SECONDS = 60


@worker_shutting_down.connect
def end_drains(**kwargs: Any) -> None:
    _worker_is_ending.value = 1


@shared_task
def deliver_due() -> None:
    """Deliver until nothing is due."""
    wake.take_down()
    drain(should_stop=lambda: bool(_worker_is_ending.value))


@shared_task
def sweep() -> None:
    """Ring the bells, so that work is found whose own bell was lost, and retries when their time has come."""
    wake.ring()
    for recovery_id in Recovery.objects.unfinished().values_list("pk", flat=True):
        recover.apply_async((str(recovery_id),), expires=RECOVER_MESSAGE_SECONDS)


@shared_task
def recover(recovery_id: str) -> None:
    """Go on with a recovery, as far as it may run ahead of what is sent."""
    recovery.work(UUID(recovery_id))


@shared_task
def purge() -> None:
    """Remove what has been kept long enough."""
    retention.purge()
    audit.purge()
    invitations.purge()


@shared_task
def roll_up() -> None:
    """Count the attempts of the last minute, and those that earlier runs left."""
    rollups.roll_up()


@shared_task
def watch() -> None:
    """Switch off what keeps failing, and have owners and managers told of what has changed."""
    health.disable_failing()
    _notify_next()


@shared_task(soft_time_limit=SEND_SECONDS)
def notify(webhook_id: str, state: str) -> None:
    """Tell owners and managers of the webhook's new state; then go on with the next notice, unless mail is down."""
    if notices.send(UUID(webhook_id), state):
        _notify_next()


def _notify_next() -> None:
    if notice := notices.claim():
        webhook_id, state = notice
        notify.apply_async((str(webhook_id), state), expires=MESSAGE_SECONDS)


@shared_task
def heartbeat() -> None:
    """Tell the outside monitor that work flows, if it does."""
    beat()
