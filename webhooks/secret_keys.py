"""Changing the key that encrypts the secrets in the database, beside whoever reads and writes them."""

from collections.abc import Generator
from dataclasses import dataclass
from uuid import UUID

from allauth.mfa.models import Authenticator
from cryptography.fernet import Fernet, InvalidToken
from django.conf import settings
from django.core.exceptions import ImproperlyConfigured
from django.db import models, transaction
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
    yield from _reencrypt_webhooks(newest, batch_size)
    yield from _reencrypt_factors(newest, batch_size)
    # What an e-mail to be sent is encrypted with matters for hours alone, and not at all once it has gone out.
    yield from _reencrypt_letters(newest, batch_size)


def _reencrypt_webhooks(newest: Fernet, batch_size: int) -> Generator[Reencrypted, None, None]:
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
        done.unreadable.append(f"webhook {webhook.pk}")
        return
    Webhook.objects.filter(pk=webhook.pk).update(**secrets)
    done.changed += len(older)


def _reencrypt_factors(newest: Fernet, batch_size: int) -> Generator[Reencrypted, None, None]:
    last_id = 0
    while True:
        with transaction.atomic():
            factors = Authenticator.objects.exclude(type=Authenticator.Type.WEBAUTHN).filter(pk__gt=last_id)
            batch = list(factors.order_by("pk").select_for_update(no_key=True)[:batch_size])
            done = Reencrypted(0, [])
            for factor in batch:
                _reencrypt_factor(factor, newest, done)
        if not batch:
            return
        last_id = batch[-1].pk
        yield done


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


def _reencrypt_letters(newest: Fernet, batch_size: int) -> Generator[Reencrypted, None, None]:
    last_id: UUID | None = None
    while True:
        with transaction.atomic():
            letters = Letter.objects.defer("text").annotate(encrypted=Cast("text", models.TextField())).order_by("pk")
            after = letters if last_id is None else letters.filter(pk__gt=last_id)
            batch = list(after.select_for_update(no_key=True)[:batch_size])
            done = Reencrypted(0, [])
            for letter in batch:
                _reencrypt_letter(letter, newest, done)
        if not batch:
            return
        last_id = batch[-1].pk
        yield done


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
