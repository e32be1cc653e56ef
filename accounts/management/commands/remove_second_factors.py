from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from accounts import second_factor
from accounts.models import User


class Command(BaseCommand):
    help = (
        "Takes all second factors from a user who has lost them, signs them out everywhere, and tells them by e-mail. "
        "Make sure that it is they who ask: from then on the password alone signs in."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("email", help="The address with which the user signs in.")

    def handle(self, *args: Any, email: str, **options: Any) -> None:
        user = User.objects.with_email(email).first()
        if user is None:
            raise CommandError(f"Nobody signs in as {email}.")
        removed = second_factor.remove_all(user)
        self.stdout.write(f"{user.email} has no second factor now." if removed else f"{user.email} had none.")
