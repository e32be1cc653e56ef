import pytest
from allauth.account.models import EmailAddress
from django.core.management import call_command
from django.db import connection
from django.test import Client
from pytest_django import Settings

from accounts.models import User
from tests.accounts.signing_in import sign_in
from winkhooks.settings import CACHES

pytestmark = pytest.mark.storage


@pytest.mark.django_db(transaction=True)
def test_users_that_are_there_can_sign_in_after_the_upgrade(owner: User) -> None:
    User.objects.filter(pk=owner.pk).update(email="Owner@example.com")
    EmailAddress.objects.all().delete()
    try:
        call_command("migrate", "accounts", "0003", verbosity=0)
        assert "cache" not in connection.introspection.table_names()
    finally:
        call_command("migrate", verbosity=0)
    assert list(EmailAddress.objects.values_list("user", "email", "verified", "primary")) == [
        (owner.pk, "owner@example.com", True, True)
    ]
    assert sign_in(Client(), "owner@example.com")["Location"] == "/accounts/"


@pytest.mark.django_db
def test_attempts_are_counted_in_the_database(settings: Settings, owner: User) -> None:
    settings.CACHES = CACHES
    answers = [sign_in(Client(), owner.email, "wrong").status_code for _ in range(6)]
    assert answers == [200] * 5 + [429]
    with connection.cursor() as cursor:
        cursor.execute("SELECT count(*) FROM cache WHERE cache_key LIKE '%login_failed%'")
        assert cursor.fetchone() == (2,)
