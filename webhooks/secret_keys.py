"""Changing the key that encrypts the signing secrets, beside whoever reads and writes them."""

from collections.abc import Generator
from dataclasses import dataclass
from uuid import UUID

from cryptography.fernet import Fernet, InvalidToken
from django.conf import settings
from django.core.exceptions import ImproperlyConfigured
from django.db import models, transaction
from django.db.models.functions import Cast

from webhooks.models import Webhook

BATCH = 500
SECRETS = ("secret", "previous_secret")


@dataclass
class Reencrypted:
    """How many secrets were written anew, and the webhooks of which one cannot be read."""

    changed: int
    unreadable: list[UUID]


def reencrypt(batch_size: int = BATCH) -> Generator[Reencrypted, None, None]:
    """Write every secret that an older key encrypted under the first one; yield what came of each batch.

    A batch is a transaction that locks its webhooks. Broken off, it goes on where it was when it is run again: what the
    first key encrypted is left as it is.
    """
    newest = Fernet(settings.WEBHOOK_SECRET_KEYS[0])
    encrypted = {f"encrypted_{name}": Cast(name, models.TextField()) for name in SECRETS}
    last_id: UUID | None = None
    while True:
        webhooks = Webhook.objects.without_secrets().exclude(secret="", previous_secret="").order_by("pk")
        with transaction.atomic():
            after = webhooks if last_id is None else webhooks.filter(pk__gt=last_id)
            batch = list(after.select_for_update(no_key=True, of=("self",)).annotate(**encrypted)[:batch_size])
            done = Reencrypted(0, [])
            for webhook in batch:
                _reencrypt_one(webhook, newest, done)
        if not batch:
            return
        last_id = batch[-1].pk
        yield done


def _reencrypt_one(webhook: Webhook, newest: Fernet, done: Reencrypted) -> None:
    older = [
        name
        for name in SECRETS
        if (text := getattr(webhook, f"encrypted_{name}")) and not _is_encrypted_with(newest, text)
    ]
    if not older:
        return
    try:
        # The field decrypts with any of the keys, and encrypts with the first one.
        secrets = Webhook.objects.filter(pk=webhook.pk).values(*older).get()
    except ImproperlyConfigured:
        done.unreadable.append(webhook.pk)
        return
    Webhook.objects.filter(pk=webhook.pk).update(**secrets)
    done.changed += len(older)


def _is_encrypted_with(key: Fernet, text: str) -> bool:
    try:
        key.decrypt(text)
    except InvalidToken:
        return False
    return True
