"""The cast of the tests: an account, and the people around it."""

import ipaddress
import os
from collections.abc import Generator, Iterator
from typing import Any

import hypothesis
import pytest
from celery import current_app
from django.apps import apps
from django.core.cache import cache
from django.db import connection
from django.db.models.signals import post_migrate
from django.test import Client
from django.utils import translation
from pytest_django import DjangoDbBlocker, Settings
from xdist.remote import Producer
from xdist.scheduler import LoadScopeScheduling

from accounts.models import Account, Membership, Role, User
from tests.brokers import Broker
from tests.receivers import Receiver
from tests.services import wait_for_database
from tests.stack import Stack
from webhooks import catalogue
from webhooks.engine import recorder
from webhooks.models import EventType, Webhook
from winkhooks import broker as broker_line

PASSWORD = "a-password-for-tests"

# Tests that share processes, by what these are. Faults wait much and browsers compute much, so that both go together.
TOGETHER = {
    "stack and browser": (
        "tests/e2e/",
        "tests/accounts/test_tasks.py",
        "tests/test_stack.py",
        "tests/webhooks/commands/test_worker_health.py",
        "tests/webhooks/test_tasks.py",
    ),
    "network": ("tests/security/test_canaries.py", "tests/security/test_other_guards.py"),
    "faults": ("tests/faults/", "tests/security/test_hostile_receivers.py"),
}

# A machine that is busy with something else is no failure.
hypothesis.settings.register_profile("patient", deadline=None, suppress_health_check=[hypothesis.HealthCheck.too_slow])
hypothesis.settings.load_profile("patient")


def fill_event_types(**kwargs: Any) -> None:
    catalogue.load(EventType)


# Tests with real transactions empty all tables when they end, the catalogue too, and then send this signal.
post_migrate.connect(fill_event_types, sender=apps.get_app_config("webhooks"), dispatch_uid="tests.fill_event_types")


def make_user(email: str) -> User:
    return User.objects.create_user(email, PASSWORD, name=email.partition("@")[0].title())


def make_member(account: Account, role: Role, email: str) -> User:
    user = make_user(email)
    Membership.objects.create(account=account, user=user, role=role)
    return user


def client_of(user: User) -> Client:
    client = Client()
    client.force_login(user)
    return client


def group_of(nodeid: str) -> str | None:
    return next((group for group, paths in TOGETHER.items() if nodeid.startswith(paths)), None)


class KeepingTogether(LoadScopeScheduling):
    """Gives tests that share processes to one worker of xdist, before all others, and those one by one.

    The mark `xdist_group` is not used: it does nothing with pytest 9.2 and xdist 3.8.
    """

    def _split_scope(self, nodeid: str) -> str:
        return group_of(nodeid) or nodeid


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Producer) -> KeepingTogether:
    return KeepingTogether(config, log)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Show what the processes of a stack said where its test failed."""
    report = yield
    if report.failed and isinstance(item, pytest.Function):
        for value in item.funcargs.values():
            if isinstance(value, Stack):
                report.sections += [(name, log) for name, log in value.logs().items()]
    return report


@pytest.fixture(scope="session")
def django_db_modify_db_settings(
    django_db_modify_db_settings_parallel_suffix: None, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """Wait for PostgreSQL; keep a test database of SQLite in a file, as in real use, where pytest-django has none."""
    wait_for_database()
    if connection.vendor == "sqlite":
        name = tmp_path_factory.mktemp("database") / "test.sqlite3"
        connection.settings_dict["TEST"]["NAME"] = str(name)


@pytest.fixture(scope="session", autouse=True)
def recorder_thread(django_db_setup: None) -> Iterator[None]:
    """End the thread that records before the database goes that it is connected to."""
    yield
    recorder.end_thread()


@pytest.fixture(scope="session", autouse=True)
def history_can_be_emptied(django_db_setup: None, django_db_blocker: DjangoDbBlocker) -> None:
    """Let tests with real transactions empty all tables on SQLite, which has no TRUNCATE to pass the trigger by."""
    if connection.vendor == "sqlite":
        with django_db_blocker.unblock(), connection.cursor() as cursor:
            cursor.execute("DROP TRIGGER accounts_auditentry_no_delete")


@pytest.fixture(autouse=True)
def fast_passwords(settings: Settings) -> None:
    settings.PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]


@pytest.fixture(autouse=True)
def own_limits(settings: Settings) -> Iterator[None]:
    """Count attempts to sign in for each test alone, and without the database."""
    settings.CACHES = {"default": {"BACKEND": "django.core.cache.backends.locmem.LocMemCache"}}
    cache.clear()
    yield
    cache.clear()


@pytest.fixture
def account(db: None) -> Account:
    return Account.objects.create(name="Cool Account")


@pytest.fixture(autouse=True)
def default_language() -> None:
    """Forget the language of the last request of the test before."""
    translation.deactivate()


@pytest.fixture
def owner(account: Account) -> User:
    return make_member(account, Role.OWNER, "owner@example.com")


@pytest.fixture
def manager(account: Account) -> User:
    return make_member(account, Role.MANAGER, "manager@example.com")


@pytest.fixture
def viewer(account: Account) -> User:
    """A member who only looks."""
    return make_member(account, Role.VIEWER, "viewer@example.com")


@pytest.fixture
def stranger(db: None) -> User:
    """The owner of another account."""
    return make_member(Account.objects.create(name="Another Account"), Role.OWNER, "stranger@example.com")


@pytest.fixture
def webhook(account: Account) -> Webhook:
    url = "https://my.system.example/webhook/wink"
    return Webhook.objects.register(
        account=account, name="Wink Stalker", url=url, enabled=True, event_types=[], by=None
    )


@pytest.fixture
def loopback_allowed(settings: Settings) -> None:
    """Let webhooks point at receivers on this machine, by plain http."""
    settings.WEBHOOK_ALLOWED_NETWORKS = [ipaddress.ip_network("127.0.0.0/8"), ipaddress.ip_network("::1/128")]
    settings.WEBHOOK_REQUIRE_HTTPS = False


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    """A real receiver on loopback that answers 204."""
    with Receiver() as receiver:
        yield receiver


@pytest.fixture(scope="session")
def postgres() -> str | None:
    """The URL of the PostgreSQL on which a stack makes its database; None where the tests run on SQLite."""
    wait_for_database()
    url = os.environ["DATABASE_URL"]
    return url if url.startswith("postgres") else None


@pytest.fixture(scope="session")
def stack(tmp_path_factory: pytest.TempPathFactory, postgres: str | None) -> Iterator[Stack]:
    """The whole product, shared by all tests that leave it running as they found it."""
    with Stack(tmp_path_factory.mktemp("stack"), postgres=postgres) as stack:
        yield stack


@pytest.fixture
def broker(
    tmp_path_factory: pytest.TempPathFactory, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Broker]:
    """A broker of the test's own, to which this process talks meanwhile."""
    broker = Broker(tmp_path_factory.mktemp("b"))
    settings.REDIS_URL = f"unix://{broker.socket}"
    # Until it is set, this one is what the other one says; so it comes first, to be put back as it was.
    monkeypatch.setattr(current_app.conf, "broker_write_url", f"redis+socket://{broker.socket}")
    monkeypatch.setattr(current_app.conf, "broker_url", f"redis+socket://{broker.socket}")
    broker_line._line_of_process.cache_clear()
    yield broker
    broker_line._line_of_process(os.getpid()).close()
    broker_line._line_of_process.cache_clear()
    broker.stop()
