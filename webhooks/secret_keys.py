"""Changing the key that encrypts the secrets in the database, beside whoever reads and writes them."""

from collections.abc import Callable, Generator
from dataclasses import dataclass
from typing import Any

from allauth.mfa.models import Authenticator
from cryptography.fernet import Fernet, InvalidToken
from django.conf import settings
from django.core.exceptions import ImproperlyConfigured
from django.db import models, transaction
from django.db.models import QuerySet
from django.db.models.functions import Cast

from accounts.models import Letter
from webhooks.fields import decrypt, encrypt
from webhooks.models import Webhook

BATCH = 500
SECRETS = ("secret", "previous_secret")
# Of an app for codes, and of recovery codes. Passkeys hold a public key alone.
FACTOR_SECRETS = ("secret", "seed")


@dataclass
class Reencrypted:
    """How many secrets were written anew, and whose cannot be read."""

    changed: int
    unreadable: list[str]


def reencrypt(batch_size: int = BATCH) -> Generator[Reencrypted, None, None]:
    """Write every secret that an older key encrypted under the first one; yield what came of each batch.

    A batch is a transaction that locks its rows. Broken off, it goes on where it was when it is run again: what the
    first key encrypted is left as it is.
    """
    newest = Fernet(settings.WEBHOOK_SECRET_KEYS[0])
    encrypted = {f"encrypted_{name}": Cast(name, models.TextField()) for name in SECRETS}
    webhooks = Webhook.objects.without_secrets().exclude(secret="", previous_secret="").annotate(**encrypted)
    factors = Authenticator.objects.exclude(type=Authenticator.Type.WEBAUTHN)
    # What an e-mail to be sent is encrypted with matters for hours alone, and not at all once it has gone out.
    letters = Letter.objects.defer("text").annotate(encrypted=Cast("text", models.TextField()))
    yield from _reencrypt_all(webhooks, _reencrypt_webhook, newest, batch_size)
    yield from _reencrypt_all(factors, _reencrypt_factor, newest, batch_size)
    yield from _reencrypt_all(letters, _reencrypt_letter, newest, batch_size)


def _reencrypt_all(
    rows: QuerySet[Any], reencrypt_one: Callable[[Any, Fernet, Reencrypted], None], newest: Fernet, batch_size: int
) -> Generator[Reencrypted, None, None]:
    last_id = None
    while True:
        with transaction.atomic():
            after = rows if last_id is None else rows.filter(pk__gt=last_id)
            batch = list(after.order_by("pk").select_for_update(no_key=True, of=("self",))[:batch_size])
            done = Reencrypted(0, [])
            for row in batch:
                reencrypt_one(row, newest, done)
        if not batch:
            return
        last_id = batch[-1].pk
        yield done


def _reencrypt_webhook(webhook: Webhook, newest: Fernet, done: Reencrypted) -> None:
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
        done.unreadable.append(f"webhook {webhook.pk}")
        return
    Webhook.objects.filter(pk=webhook.pk).update(**secrets)
    done.changed += len(older)


def _reencrypt_factor(factor: Authenticator, newest: Fernet, done: Reencrypted) -> None:
    older = [
        name for name in FACTOR_SECRETS if name in factor.data and not _is_encrypted_with(newest, factor.data[name])
    ]
    if not older:
        return
    try:
        factor.data |= {name: encrypt(decrypt(factor.data[name])) for name in older}
    except ImproperlyConfigured:
        done.unreadable.append(f"second factor {factor.pk} of user {factor.user_id}")
        return
    factor.save(update_fields=["data"])
    done.changed += len(older)


def _reencrypt_letter(letter: Letter, newest: Fernet, done: Reencrypted) -> None:
    encrypted = letter.encrypted  # type: ignore[attr-defined]  # annotated
    if _is_encrypted_with(newest, encrypted):
        return
    try:
        text = decrypt(encrypted)
    except ImproperlyConfigured:
        done.unreadable.append(f"e-mail {letter.pk}")
        return
    Letter.objects.filter(pk=letter.pk).update(text=text)
    done.changed += 1


def _is_encrypted_with(key: Fernet, text: str) -> bool:
    try:
        key.decrypt(text)
    except InvalidToken:
        return False
    return True
