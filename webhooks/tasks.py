"""What Celery runs. Tasks carry no payload: what there is to do stands in the database."""

from celery import shared_task

from webhooks import retention, wake
from webhooks.engine.drain import drain


@shared_task
def deliver_due() -> None:
    """Deliver until nothing is due."""
    wake.take_down()
    drain()


@shared_task
def sweep() -> None:
    """Ring the bell, so that work is found whose own bell was lost, and retries when their time has come."""
    wake.ring()


@shared_task
def purge() -> None:
    """Remove what has been kept long enough."""
    retention.purge()
