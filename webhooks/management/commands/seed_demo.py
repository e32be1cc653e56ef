import os
from argparse import ArgumentParser
from typing import Any
from urllib.parse import urlsplit
from uuid import UUID

from django.core.management.base import BaseCommand, CommandError
from django.db import transaction

from accounts.models import Account, Membership, Role, User
from webhooks.events import emit
from webhooks.models import EventType, Webhook

# Fixed, so that a second run finds what the first one made, whatever its name is by then.
COOL_ACCOUNT_ID = UUID("019ab2a0-0000-7000-8000-00000000c001")
LAKESIDE_ACCOUNT_ID = UUID("019ab2a0-0000-7000-8000-00000000c002")
WINK_STALKER_ID = UUID("019ab2a0-0000-7000-8000-00000000d001")

OWNER_EMAIL = "owner@demo.example"
MANAGER_EMAIL = "manager@demo.example"
VIEWER_EMAIL = "viewer@demo.example"
STAFF_EMAIL = "staff@demo.example"

BOOKING_TYPES = ["booking.created", "booking.cancelled", "booking.failed"]


class Command(BaseCommand):
    help = (
        "Fills the database with a demo: sign-ins, accounts, webhooks that call the sample receiver, and events. "
        "Where the demo is already there it changes nothing."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--receiver-port", metavar="N", type=int, default=9100, help="the sample receiver's (9100)")

    def handle(self, *args: Any, **options: Any) -> None:
        password = required_variable("DEMO_PASSWORD")
        secret = required_variable("DEMO_SECRET")
        seed_once(password, secret, options["receiver_port"])
        for line in sign_ins(password):
            self.stdout.write(line)


def required_variable(name: str) -> str:
    value = os.environ.get(name, "")
    if not value:
        raise CommandError(f"Set {name} in the environment or in .env: the demo has no default for it.")
    return value


def seed_once(password: str, secret: str, port: int) -> None:
    """Make the demo, all of it or nothing, unless it has been made."""
    with transaction.atomic():
        if not Account.objects.filter(pk=COOL_ACCOUNT_ID).exists():
            seed(password, secret, port)


def receiver_port() -> int | None:
    """Return the port that the demo's webhook calls, if it is there and still calls this machine."""
    url = Webhook.objects.present().filter(pk=WINK_STALKER_ID).values_list("url", flat=True).first()
    parts = urlsplit(url or "")
    return parts.port if parts.hostname == "127.0.0.1" else None


def sign_ins(password: str) -> list[str]:
    """Return a line a demo user, with the password where it still is the demo's."""
    lines = []
    for user in User.objects.filter(email__in=[OWNER_EMAIL, STAFF_EMAIL]).order_by("is_staff"):
        what = "Administration" if user.is_staff else "Portal"
        hint = password if user.check_password(password) else "(changed)"
        lines.append(f"{what + ':':15} {user.email}  {hint}")
    return lines


def seed(password: str, secret: str, port: int) -> None:
    owner = make_user(OWNER_EMAIL, password, name="Olivia Owner")
    make_user(STAFF_EMAIL, password, name="Sam Staff", is_staff=True, is_superuser=True)
    cool = make_account(COOL_ACCOUNT_ID, "Cool Account", owner)
    lakeside = make_account(LAKESIDE_ACCOUNT_ID, "Lakeside Hotels", owner)
    for email, name, role in [
        (MANAGER_EMAIL, "Maria Manager", Role.MANAGER),
        (VIEWER_EMAIL, "Victor Viewer", Role.VIEWER),
    ]:
        Membership.objects.create(account=cool, user=make_user(email, password, name=name), role=role)

    def add_webhook(account: Account, name: str, path: str, event_types: list[str], **fields: Any) -> None:
        url = f"http://127.0.0.1:{port}{path}"
        Webhook.objects.register(
            account=account,
            name=name,
            url=url,
            enabled=True,
            event_types=EventType.objects.filter(key__in=event_types),
            by=owner,
            secret=secret,
            **fields,
        )

    add_webhook(cool, "Wink Stalker", "/webhook/wink", ["booking.created"], id=WINK_STALKER_ID)
    # The sample receiver answers these with the status in their path.
    add_webhook(cool, "Night statistics", "/status/503", BOOKING_TYPES)
    add_webhook(cool, "Old channel manager", "/status/404", ["booking.cancelled"])
    add_webhook(lakeside, "Everything", "/webhook/lakeside", [])

    booking = EventType.objects.get(key="booking.created").example or {}
    for account, event_type, code in [
        (cool, "booking.created", "WNK4ZQ7P"),
        (cool, "booking.created", "WNK8TR2M"),
        (cool, "booking.cancelled", "WNK8TR2M"),
        (lakeside, "booking.created", "WNK6HD9C"),
    ]:
        emit(
            type=event_type,
            account=account,
            object=booking | {"bookingCode": code},
            recipient_role="SUPPLIER",
        )


def make_user(email: str, password: str, **fields: Any) -> User:
    """Return the user of that address, made where there is none."""
    return User.objects.filter(email__iexact=email).first() or User.objects.create_user(email, password, **fields)


def make_account(account_id: UUID, name: str, owner: User) -> Account:
    account = Account.objects.create(pk=account_id, name=name)
    Membership.objects.create(account=account, user=owner, role=Role.OWNER)
    return account
