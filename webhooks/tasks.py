"""What Celery runs. Tasks carry no payload: what there is to do stands in the database."""

from multiprocessing.sharedctypes import RawValue
from typing import Any

from celery import shared_task
from celery.signals import worker_shutting_down

from webhooks import retention, wake
from webhooks.engine.drain import drain

# Celery tells only the main process of a worker that it is to end. The processes that run tasks are its forks and share
# this with it, so that a drain need not go on for its whole minute.
_worker_is_ending = RawValue("b", 0)


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
    """Ring the bell, so that work is found whose own bell was lost, and retries when their time has come."""
    wake.ring()


@shared_task
def purge() -> None:
    """Remove what has been kept long enough."""
    retention.purge()
