from typing import Any

from django.core.management.base import BaseCommand, CommandError

from webhooks.secret_keys import reencrypt


class Command(BaseCommand):
    help = (
        "Encrypts all secrets in the database under the first of WEBHOOK_SECRET_KEYS, beside running processes. "
        "After it, the other keys can be taken out. It can be broken off and run again."
    )

    def handle(self, *args: Any, **options: Any) -> None:
        changed = 0
        unreadable = []
        for done in reencrypt():
            changed += done.changed
            unreadable += done.unreadable
        self.stdout.write(f"Secrets encrypted anew: {changed}.")
        if unreadable:
            raise CommandError(
                "Some secrets cannot be read with any of WEBHOOK_SECRET_KEYS, and stay as they are. Do not take out a "
                f"key before they are read, or made anew: {', '.join(unreadable)}."
            )
