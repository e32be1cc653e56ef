import json
from argparse import ArgumentParser
from pathlib import Path
from typing import Any, cast
from uuid import UUID

from django.core.management.base import BaseCommand, CommandError
from django.db import transaction

from accounts.models import Account
from webhooks.events import InvalidPayload, UnknownEventType
from webhooks.models import Event
from webhooks.signals import event_occurred


class Command(BaseCommand):
    help = "Announces events of an account, as a service does, and prints their ids."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("type", metavar="TYPE", help="the key of an event type, such as booking.created")
        parser.add_argument("--account", metavar="ID", required=True, help="the id of the account")
        parser.add_argument(
            "--object", metavar="JSON|@FILE", required=True, help="what the event is about, as JSON or from a file"
        )
        parser.add_argument("--count", metavar="N", type=int, default=1, help="how many events to announce (1)")
        parser.add_argument("--idempotency-key", metavar="K", help="the same key again announces nothing more")
        parser.add_argument(
            "--recipient-role",
            metavar="R",
            choices=Event.RecipientRole.values,
            default=Event.RecipientRole.SELF,
            help=f"the role in which the account gets it: {', '.join(Event.RecipientRole.values)} (SELF)",
        )

    def handle(self, *args: Any, **options: Any) -> None:
        if options["count"] < 1:
            raise CommandError("--count must be 1 or more.")
        if options["count"] > 1 and options["idempotency_key"] is not None:
            raise CommandError("--idempotency-key stands for one event: it does not go with --count.")
        account = find_account(options["account"])
        subject = read_object(options["object"])
        try:
            with transaction.atomic():
                ids = [self.announce(account, subject, options) for _ in range(options["count"])]
        except (UnknownEventType, InvalidPayload) as error:
            raise CommandError(str(error)) from error
        for event_id in ids:
            self.stdout.write(str(event_id))

    def announce(self, account: Account, subject: dict[str, Any], options: dict[str, Any]) -> UUID:
        ((_, event),) = event_occurred.send(
            sender=type(self),
            type=options["type"],
            account=account,
            object=subject,
            recipient_role=options["recipient_role"],
            idempotency_key=options["idempotency_key"],
        )
        return cast(Event, event).pk


def find_account(text: str) -> Account:
    try:
        account_id = UUID(text)
    except ValueError:
        raise CommandError(f"--account must be the id of an account, a UUID, not {text!r}.") from None
    try:
        return Account.objects.get(pk=account_id)
    except Account.DoesNotExist:
        raise CommandError(f"There is no account {account_id}.") from None


def read_object(text: str) -> dict[str, Any]:
    if text.startswith("@"):
        try:
            text = Path(text[1:]).read_text(encoding="utf-8")
        except OSError as error:
            raise CommandError(f"{error.filename} cannot be read: {error.strerror}.") from error
        except UnicodeDecodeError as error:
            raise CommandError(f"The file of --object is not UTF-8: {error}.") from error
    try:
        subject = json.loads(text)
    except ValueError as error:
        raise CommandError(f"--object is not JSON: {error}.") from error
    except RecursionError as error:
        raise CommandError("--object is nested too deeply.") from error
    if not isinstance(subject, dict):
        raise CommandError('--object must be a JSON object, such as {"bookingCode": "WNK4ZQ7P"}.')
    return subject
