from datetime import timedelta
from uuid import UUID

import pytest
from allauth.mfa.models import Authenticator
from allauth.mfa.recovery_codes.internal.auth import RecoveryCodes
from allauth.mfa.webauthn.internal.auth import WebAuthn
from cryptography.fernet import Fernet
from django.core.exceptions import ImproperlyConfigured
from django.core.management import CommandError, call_command
from django.db import connection
from django.utils import timezone
from pytest_django import Settings

from accounts import letters
from accounts.models import Account, Letter, User
from tests.accounts.signing_in import add_app, code_of, recovery_codes
from webhooks import secret_keys
from webhooks.models import Webhook

pytestmark = [pytest.mark.django_db, pytest.mark.storage]

OLD, NEW = Fernet.generate_key().decode(), Fernet.generate_key().decode()


def make_webhooks(account: Account, count: int) -> dict[UUID, tuple[str, str]]:
    until = timezone.now() + timedelta(days=1)
    webhooks = [
        Webhook.objects.create(
            account=account,
            name=f"Wink Stalker {number}",
            url="https://my.system.example/",
            previous_secret=f"whsec_{number}",
            previous_secret_expires_at=until,
        )
        for number in range(count)
    ]
    return {webhook.pk: (webhook.secret, webhook.previous_secret) for webhook in webhooks}


def secrets() -> dict[UUID, tuple[str, str]]:
    return {
        pk: (secret, previous)
        for pk, secret, previous in Webhook.objects.values_list("pk", "secret", "previous_secret")
    }


def run(capsys: pytest.CaptureFixture[str]) -> str:
    call_command("reencrypt_secrets")
    return capsys.readouterr().out


def test_afterwards_the_newest_key_reads_all(
    account: Account, settings: Settings, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(secret_keys.reencrypt, "__defaults__", (2,))
    settings.WEBHOOK_SECRET_KEYS = [OLD]
    made = make_webhooks(account, 5)
    settings.WEBHOOK_SECRET_KEYS = [NEW, OLD]
    before = list(Webhook.objects.order_by("pk").values_list("version", "updated_at"))

    assert run(capsys) == "Secrets encrypted anew: 10.\n"
    assert run(capsys) == "Secrets encrypted anew: 0.\n"

    settings.WEBHOOK_SECRET_KEYS = [NEW]
    assert secrets() == made
    # Nobody who has a form open is told that the webhook changed.
    assert list(Webhook.objects.order_by("pk").values_list("version", "updated_at")) == before


def test_broken_off_it_goes_on_where_it_was(
    account: Account, settings: Settings, capsys: pytest.CaptureFixture[str]
) -> None:
    settings.WEBHOOK_SECRET_KEYS = [OLD]
    made = make_webhooks(account, 5)
    settings.WEBHOOK_SECRET_KEYS = [NEW, OLD]
    batches = secret_keys.reencrypt(batch_size=2)

    assert next(batches).changed == 4
    batches.close()

    assert run(capsys) == "Secrets encrypted anew: 6.\n"
    assert secrets() == made


def test_a_secret_that_no_key_reads_stays_and_is_named(
    account: Account, settings: Settings, capsys: pytest.CaptureFixture[str]
) -> None:
    settings.WEBHOOK_SECRET_KEYS = [Fernet.generate_key().decode()]
    [lost] = make_webhooks(account, 1)
    settings.WEBHOOK_SECRET_KEYS = [OLD]
    readable = make_webhooks(account, 1)
    settings.WEBHOOK_SECRET_KEYS = [NEW, OLD]

    with pytest.raises(CommandError, match=str(lost)):
        run(capsys)

    assert capsys.readouterr().out == "Secrets encrypted anew: 2.\n"
    settings.WEBHOOK_SECRET_KEYS = [NEW]
    for pk, pair in readable.items():
        assert Webhook.objects.values_list("secret", "previous_secret").get(pk=pk) == pair
    with pytest.raises(ImproperlyConfigured):
        Webhook.objects.get(pk=lost)


def test_second_factors_and_waiting_emails_are_encrypted_anew(
    owner: User, settings: Settings, capsys: pytest.CaptureFixture[str]
) -> None:
    settings.WEBHOOK_SECRET_KEYS = [OLD]
    secret = add_app(owner)
    RecoveryCodes.activate(owner)
    codes = recovery_codes(owner)
    WebAuthn.add(owner, "Laptop", {})
    text = letters.post("account/email/unknown_account", "somebody@example.com", {}).text
    settings.WEBHOOK_SECRET_KEYS = [NEW, OLD]

    assert run(capsys) == "Secrets encrypted anew: 3.\n"
    assert run(capsys) == "Secrets encrypted anew: 0.\n"

    settings.WEBHOOK_SECRET_KEYS = [NEW]
    assert Authenticator.objects.get(type="totp").wrap().validate_code(code_of(secret))
    assert recovery_codes(owner) == codes
    assert Letter.objects.get().text == text


def test_those_that_no_key_reads_stay_and_are_named(
    owner: User, settings: Settings, capsys: pytest.CaptureFixture[str]
) -> None:
    settings.WEBHOOK_SECRET_KEYS = [Fernet.generate_key().decode()]
    add_app(owner)
    letter = letters.post("account/email/unknown_account", "somebody@example.com", {})
    before = list(Authenticator.objects.values_list("data", flat=True))
    settings.WEBHOOK_SECRET_KEYS = [NEW, OLD]

    with pytest.raises(CommandError, match=f"second factor .* of user {owner.pk}, e-mail {letter.pk}"):
        run(capsys)

    assert list(Authenticator.objects.values_list("data", flat=True)) == before


def test_removed_webhooks_keep_no_secret(
    account: Account, settings: Settings, capsys: pytest.CaptureFixture[str]
) -> None:
    [pk] = make_webhooks(account, 1)
    Webhook.objects.get(pk=pk).remove(by=None)

    assert run(capsys) == "Secrets encrypted anew: 0.\n"
    with connection.cursor() as cursor:
        cursor.execute("SELECT secret, previous_secret FROM webhooks_webhook")
        assert cursor.fetchall() == [("", "")]
