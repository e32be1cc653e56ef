"""What Celery runs for accounts. What there is to send stands in the database."""

from celery import shared_task

from accounts import invitations, letters, outbox, sessions


@shared_task(soft_time_limit=outbox.SEND_SECONDS)
def send_invitations() -> None:
    """Send the invitation that has waited longest; then have the next one sent, unless mail is down."""
    if invitations.send_next():
        send_invitations.apply_async(expires=outbox.MESSAGE_SECONDS)


@shared_task(soft_time_limit=outbox.SEND_SECONDS)
def send_letters() -> None:
    """Send the letter that has waited longest; then have the next one sent, unless mail is down."""
    if letters.send_next():
        send_letters.apply_async(expires=outbox.MESSAGE_SECONDS)


@shared_task
def clear_sessions() -> None:
    """Remove the sessions that have expired, and what was kept of those that have ended."""
    sessions.purge()
