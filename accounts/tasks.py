"""What Celery runs for accounts. What there is to send stands in the database."""

from celery import shared_task

from accounts import invitations


@shared_task(soft_time_limit=invitations.SEND_SECONDS)
def send_invitations() -> None:
    """Send the invitation that has waited longest; then have the next one sent, unless mail is down."""
    if invitations.send_next():
        send_invitations.apply_async(expires=invitations.MESSAGE_SECONDS)
