from functools import cache
from typing import Any

from cryptography.fernet import Fernet, InvalidToken, MultiFernet
from django.conf import settings
from django.core.exceptions import ImproperlyConfigured
from django.core.signals import setting_changed
from django.db import models
from django.db.backends.base.base import BaseDatabaseWrapper
from django.dispatch import receiver


@cache
def _fernet() -> MultiFernet:
    return MultiFernet([Fernet(key) for key in settings.WEBHOOK_SECRET_KEYS])


@receiver(setting_changed)
def _forget_keys(*, setting: str, **kwargs: Any) -> None:
    if setting == "WEBHOOK_SECRET_KEYS":
        _fernet.cache_clear()


def encrypt(text: str) -> str:
    """Encrypt a text under the first of `WEBHOOK_SECRET_KEYS`."""
    return _fernet().encrypt(text.encode()).decode()


def decrypt(encrypted: str) -> str:
    """Read what any of `WEBHOOK_SECRET_KEYS` encrypted; raise ImproperlyConfigured where its key is missing."""
    try:
        return _fernet().decrypt(encrypted).decode()
    except InvalidToken:
        raise ImproperlyConfigured(
            "A secret cannot be decrypted: the key it was written with is missing in WEBHOOK_SECRET_KEYS."
        ) from None


class EncryptedTextField(models.TextField):  # type: ignore[type-arg]  # not generic at run time
    """A text that stands in the database encrypted, under the first of `WEBHOOK_SECRET_KEYS`; any of them reads it.

    The empty text stays empty. Look-ups by value find nothing: each encryption of a text differs.
    """

    def get_prep_value(self, value: Any) -> str | None:
        text = super().get_prep_value(value)
        return encrypt(text) if text else text

    def from_db_value(self, value: str | None, expression: Any, connection: BaseDatabaseWrapper) -> str | None:
        return decrypt(value) if value else value
