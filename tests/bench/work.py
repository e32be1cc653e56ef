"""What the scenarios do within a stack: each function runs in a process of it."""

import contextlib
import random
import resource
import time
from collections.abc import Callable, Iterator, Sequence
from datetime import timedelta
from pathlib import Path
from typing import Any, TypedDict, cast
from unittest import mock
from uuid import UUID

import psutil
import redis
import structlog
from django.conf import settings
from django.db import OperationalError, connection, transaction
from django.db.models import Count, Model
from django.utils import timezone

from accounts.models import Account, User
from tests.receivers import Receiver
from webhooks import events, recovery, wake
from webhooks.engine.claim import Claim, claim
from webhooks.engine.dispatch import dispatch
from webhooks.engine.drain import RECORD_BATCH, drain
from webhooks.engine.outcome import judge
from webhooks.engine.record import Result, record
from webhooks.engine.request import make_request
from webhooks.engine.transport import Answer, Request, Transport
from webhooks.models import Attempt, Delivery, Event, Recovery, RollUpMark, Webhook
from webhooks.signals import event_occurred
from winkhooks.celery import collect_garbage_seldom
from winkhooks.uuid7 import uuid7

EVENT_TYPE = "booking.created"
# With it the envelope has 1 KB.
OBJECT = {"bookingCode": "WNK00001", "note": "x" * 730}
WATCH_SECONDS = 0.02
LONGEST_SECONDS = 240.0
# So long the workers have to run into receivers that hang, before the others are measured.
SETTLE_SECONDS = 2.0

logger = structlog.get_logger(__name__)


class Delivered(TypedDict):
    deliveries: int
    seconds: float
    busy_core_seconds: float


class Counted(Delivered):
    statements: int


class Announced(TypedDict):
    insert_s: list[float]
    send_s: list[float]
    insert_with_commit_s: list[float]
    send_with_commit_s: list[float]


class Step(TypedDict):
    cpu_s: list[float]
    wall_s: list[float]


class Replayed(TypedDict):
    """The seconds until each live arrival, and those between the first and the last replay."""

    live_s: list[float]
    replay_s: float


class Claimed(TypedDict):
    claim_s: list[float]
    peak_rss_mb: float


# Throughput


def deliver(count: int, url: str, webhooks: int, keep: bool = False) -> Delivered:
    """Announce `count` events at once, in turn for `webhooks` accounts of one webhook each; wait until all arrived.

    The time counts from the commit of the events to the moment at which no event and no delivery is unfinished. Unless
    `keep` is said, what was in the tables goes first.
    """
    if not keep:
        empty()
    return _deliver(count, _make_accounts([f"{url}webhook/{number}" for number in range(webhooks)]))


def deliver_and_count_statements(count: int, url: str, webhooks: int) -> Counted:
    """Do the same, and count the statements of all processes but this one."""
    with connection.cursor() as cursor:
        cursor.execute("SET pg_stat_statements.track = none")
        empty()
        account_ids = _make_accounts([f"{url}webhook/{number}" for number in range(webhooks)])
        delivered = _deliver(
            count, account_ids, just_before=lambda: cursor.execute("SELECT pg_stat_statements_reset()")
        )
        cursor.execute("SELECT coalesce(sum(calls), 0) FROM pg_stat_statements")
        [statements] = cursor.fetchone()
        return Counted(**delivered, statements=int(statements))


def count_statements() -> None:
    """Let pg_stat_statements count what is done in this database by connections that are made from now on."""
    with connection.cursor() as cursor:
        cursor.execute("CREATE EXTENSION IF NOT EXISTS pg_stat_statements")
        cursor.execute(f'ALTER DATABASE "{connection.settings_dict["NAME"]}" SET pg_stat_statements.track = top')


def deliver_beside_hanging(count: int, url: str, webhooks: int, hanging_urls: Sequence[str], backlog: int) -> Delivered:
    """Measure as `deliver` does, while webhooks with a receiver that hangs have `backlog` deliveries due each."""
    empty()
    _make_backlog(hanging_urls, backlog)
    delivered = _deliver(count, _make_accounts([f"{url}webhook/{number}" for number in range(webhooks)]))
    empty()
    return delivered


def empty() -> None:
    """Remove all accounts with everything that belongs to them."""
    if connection.vendor != "postgresql":
        Account.objects.all().delete()
        return
    for _ in range(5):
        try:
            with connection.cursor() as cursor:
                cursor.execute("TRUNCATE accounts_account, webhooks_delivery, webhooks_attempt CASCADE")
            return
        except OperationalError as error:
            # A worker that records locks the same tables in another order.
            logger.warning("tables_in_use", error=str(error))
    raise RuntimeError("The tables cannot be emptied.")


def make_accounts(urls: Sequence[str]) -> list[str]:
    """Empty the tables and make an account with one webhook for each URL; return the accounts' ids."""
    empty()
    return [str(account_id) for account_id in _make_accounts(urls)]


def _make_accounts(urls: Sequence[str]) -> list[UUID]:
    accounts = Account.objects.bulk_create([Account(name=f"Account {number}") for number in range(len(urls))])
    Webhook.objects.bulk_create(
        [Webhook(account=account, name="Wink Stalker", url=url) for account, url in zip(accounts, urls, strict=True)]
    )
    return [account.pk for account in accounts]


def _deliver(count: int, account_ids: Sequence[UUID], just_before: Callable[[], object] = lambda: None) -> Delivered:
    # Whoever announces has rung before, and has a connection to the broker.
    wake.ring()
    with transaction.atomic():
        _insert_events(account_ids, count)
        _analyze("webhooks_event")
        just_before()
    started, busy_before = time.monotonic(), _busy_core_seconds()
    wake.ring()
    mine = Delivery.objects.filter(webhook__in=list(Webhook.objects.filter(account__in=account_ids)))
    with _through_indexes():
        deadline = time.monotonic() + LONGEST_SECONDS
        # Asking takes from what is measured; towards the end it is asked more often.
        for left, pause in ((Event.objects.filter(status=Event.Status.NEW), 0.05), (mine.unfinished(), 0.005)):
            while left.exists():
                assert time.monotonic() < deadline, "Not everything was delivered in time."
                time.sleep(pause)
    seconds, busy = time.monotonic() - started, _busy_core_seconds() - busy_before
    found = dict(mine.order_by().values_list("status").annotate(Count("id")))
    assert found == {Delivery.Status.SUCCEEDED: count}, f"{count} deliveries ended as {found}."
    attempts = Attempt.objects.filter(delivery__in=mine).count()
    assert attempts == count, f"{attempts} attempts were made for {count} deliveries."
    return Delivered(deliveries=count, seconds=seconds, busy_core_seconds=busy)


def _busy_core_seconds() -> float:
    """Return how long the cores of this machine have been busy, with whatever it was."""
    times = psutil.cpu_times()
    return float(times.user + times.nice + times.system + times.irq + times.softirq)


def _insert_events(account_ids: Sequence[UUID], count: int) -> None:
    """Write events as `emit` does, many at once and without a bell."""
    if connection.vendor != "postgresql":
        Event.objects.bulk_create([_event(account_ids[number % len(account_ids)]) for number in range(count)])
        return
    template = _event(account_ids[0])
    template.save(force_insert=True)
    body = "convert_from(template.body, 'UTF8')"
    for column in ("id", "account_id"):
        body = f"replace({body}, template.{column}::text, fresh.{column}::text)"
    insert = _copy(Event, id="fresh.id", account_id="fresh.account_id", body=f"convert_to({body}, 'UTF8')")
    with connection.cursor() as cursor:
        cursor.execute(
            f"""
            {insert}
            CROSS JOIN (
                SELECT uuidv7() AS id, account.ids[1 + number %% cardinality(account.ids)] AS account_id
                FROM generate_series(1, %(count)s) AS number, (SELECT %(accounts)s::uuid[] AS ids) AS account
            ) AS fresh
            WHERE template.id = %(template)s
            """,
            {"accounts": list(account_ids), "count": count, "template": template.pk},
        )
    template.delete()


def _copy(model: type[Model], **expressions: str) -> str:
    """Return the beginning of a statement that writes rows of `model` like the row `template`, but for some columns."""
    table = model._meta.db_table
    columns = [str(field.column) for field in model._meta.concrete_fields]
    values = ", ".join(expressions.get(column, f"template.{column}") for column in columns)
    return f"INSERT INTO {table} ({', '.join(columns)}) SELECT {values} FROM {table} AS template"


def _event(account_id: UUID) -> Event:
    event = Event(
        id=uuid7(),
        account_id=account_id,
        type_id=EVENT_TYPE,
        occurred_at=timezone.now(),
        recipient_role=Event.RecipientRole.SELF,
    )
    event.body = events.envelope(event, OBJECT)
    return event


def _make_backlog(urls: Sequence[str], count: int) -> None:
    """Make a webhook for each URL, with `count` deliveries due, and let the workers run into them."""
    if not urls:
        return
    make_dispatched([str(account_id) for account_id in _make_accounts(urls)], count, finished=False)
    wake.ring()
    time.sleep(SETTLE_SECONDS)


def make_dispatched(account_ids: Sequence[str], count: int, finished: bool) -> None:
    """Write `count` events with a delivery each for all webhooks of the accounts: due, or finished with one attempt.

    What is finished is a day old and in the hourly counts: otherwise the workers would count it while something else is
    measured, half of the time of one of them.
    """
    new_id = "uuidv7(interval '-1 day')" if finished else "uuidv7()"
    webhooks = list(Webhook.objects.filter(account__in=[UUID(account_id) for account_id in account_ids]))
    event = _event(UUID(account_ids[0]))
    event.status, event.delivery_count = Event.Status.DISPATCHED, len(webhooks)
    delivery = Delivery(event=event, webhook=webhooks[0], url=webhooks[0].url)
    attempt = _attempt(delivery)
    if finished:
        delivery.status, delivery.next_attempt_at = Delivery.Status.SUCCEEDED, None
        delivery.attempt_count, delivery.last_http_status, delivery.finished_at = 1, 200, timezone.now()
    with transaction.atomic(), connection.cursor() as cursor:
        event.save(force_insert=True)
        delivery.save(force_insert=True)
        if finished:
            attempt.save(force_insert=True)
        # Nothing of it refers to what is not there; checking each row would take most of the time.
        cursor.execute("SET LOCAL session_replication_role = replica")
        cursor.execute(
            f"""
            WITH announced AS (
                {_copy(Event, id=new_id)} CROSS JOIN generate_series(1, %(count)s)
                WHERE template.id = %(event)s
                RETURNING id
            ), delivered AS (
                {_copy(Delivery, id=new_id, event_id="announced.id", webhook_id="webhook.id", url="webhook.url")}
                CROSS JOIN announced CROSS JOIN webhooks_webhook AS webhook
                WHERE template.id = %(delivery)s AND webhook.id = ANY(%(webhooks)s)
                RETURNING id
            )
            {_copy(Attempt, id=new_id, delivery_id="delivered.id")} CROSS JOIN delivered
            WHERE template.id = %(attempt)s
            """,
            {
                "count": count,
                "event": event.pk,
                "delivery": delivery.pk,
                "attempt": attempt.pk,
                "webhooks": [webhook.pk for webhook in webhooks],
            },
        )
        cursor.execute("SET LOCAL session_replication_role = origin")
        event.delete()
    if finished:
        RollUpMark.objects.update_or_create(pk=1, defaults={"last_attempt_id": Attempt.objects.latest("pk").pk})
    _analyze("webhooks_event", "webhooks_delivery", "webhooks_attempt")


def _attempt(delivery: Delivery) -> Attempt:
    """Return an attempt like those that the engine writes.

    It must not be larger: after a vacuum, PostgreSQL would put the smaller ones that follow into what the pages of all
    that was written before have left, one by one.
    """
    claimed = Claim.of(delivery, timezone.now())
    request = make_request(claimed, delivery.url, delivery.webhook.valid_secrets(timezone.now()), int(time.time()))
    return Attempt(
        delivery=delivery,
        number=1,
        started_at=timezone.now(),
        duration_ms=5,
        wait_ms=4,
        http_status=200,
        remote_address="127.0.0.1",
        request_headers=request.headers,
        response_headers=[
            ["Server", "nginx"],
            ["Date", "Tue, 24 Nov 2026 09:30:00 GMT"],
            ["Content-Type", "application/json"],
            ["Content-Length", "17"],
            ["Connection", "keep-alive"],
        ],
        response_snippet=b'{"received":true}',
    )


def _analyze(*tables: str) -> None:
    """Tell the planner, as autovacuum would have."""
    with connection.cursor() as cursor:
        for table in tables:
            cursor.execute(f"ANALYZE {table}")


@contextlib.contextmanager
def _through_indexes() -> Iterator[None]:
    """Let this connection find what is unfinished through the partial indexes, not by reading the tables."""
    if connection.vendor != "postgresql":
        yield
        return
    with connection.cursor() as cursor:
        cursor.execute("SET enable_seqscan = off")
        yield
        cursor.execute("SET enable_seqscan = on")


# Time


def fan_out(url: str, webhooks: int, log: str, rounds: int) -> list[float]:
    """Return for each round how long it took from one announcement to its arrival at the last of `webhooks`.

    `log` is where the receiver writes the moments of arrival, one a line.
    """
    empty()
    [account_id] = _make_accounts([f"{url}0"])
    account = Account.objects.get(pk=account_id)
    Webhook.objects.bulk_create(
        [Webhook(account=account, name="Wink Stalker", url=f"{url}{number}") for number in range(1, webhooks)]
    )
    seconds = []
    for _ in range(rounds):
        Path(log).write_text("")
        started = time.time()
        _announce(account)
        deadline = time.monotonic() + LONGEST_SECONDS / rounds
        while len(arrivals := Path(log).read_text().splitlines()) < webhooks:
            assert time.monotonic() < deadline, f"{len(arrivals)} of {webhooks} requests arrived in time."
            time.sleep(WATCH_SECONDS)
        seconds.append(max(float(arrival) for arrival in arrivals) - started)
        while Delivery.objects.unfinished().exists():
            time.sleep(WATCH_SECONDS)
    return seconds


def announce_steadily(
    per_second: int, seconds: float, webhooks: int, hanging_urls: Sequence[str] = (), backlog: int = 0
) -> list[float]:
    """Announce at a steady rate, in turn for `webhooks` accounts; return the seconds until each one's arrival.

    The time counts from before the announcement until the request was read to the end.
    """
    empty()
    _make_backlog(hanging_urls, backlog)
    with Receiver() as receiver:
        account_ids = _make_accounts([receiver.url] * webhooks)
        begun = _announce_for(list(Account.objects.filter(pk__in=account_ids)), per_second, seconds)
        arrived = receiver.wait_for(len(begun), seconds=60)
        took = [request.at - begun[request.header("Wink-Event-Id") or ""] for request in arrived]
    empty()
    return took


def _announce_for(accounts: Sequence[Account], per_second: int, seconds: float) -> dict[str, float]:
    """Announce at a steady rate, in turn for the accounts; return when each event was begun, by its id."""
    events.resolve_type(EVENT_TYPE)
    begun: dict[str, float] = {}
    first = time.monotonic()
    for number in range(round(per_second * seconds)):
        time.sleep(max(0.0, first + number / per_second - time.monotonic()))
        started = time.monotonic()
        event = _announce(accounts[number % len(accounts)])
        begun[str(event.pk)] = started
    return begun


def announce_beside_replay(per_second: int, seconds: float, missed: int) -> Replayed:
    """Announce at a steady rate for one webhook, while `missed` events of the past are sent to it."""
    empty()
    person, _ = User.objects.get_or_create(email="bench@example.com", defaults={"name": "Olivia Owner"})
    with Receiver() as receiver:
        [account_id] = _make_accounts([receiver.url])
        with transaction.atomic():
            if missed:
                _insert_events([account_id], missed)
            Event.objects.update(status=Event.Status.NO_SUBSCRIBERS)
        _analyze("webhooks_event")
        # The ids of what was made in this millisecond are behind it.
        time.sleep(0.01)
        webhook = Webhook.objects.get(account=account_id)
        now = timezone.now()
        if missed:
            recovery.start(webhook, Recovery.Kind.MISSED, now - timedelta(hours=1), now, person)
        begun = _announce_for(list(Account.objects.filter(pk=account_id)), per_second, seconds)
        arrived = receiver.wait_for(len(begun) + missed, seconds=LONGEST_SECONDS)
        live = [request for request in arrived if request.header("Wink-Event-Id") in begun]
        replays = [request.at for request in arrived if request.header("Wink-Event-Id") not in begun]
        took = [request.at - begun[request.header("Wink-Event-Id") or ""] for request in live]
        assert len({request.header("Wink-Event-Id") for request in arrived}) == len(begun) + missed
    empty()
    return Replayed(live_s=took, replay_s=max(replays) - min(replays) if replays else 0.0)


def compare_with_insert(webhooks: int, rounds: int) -> Announced:
    """Announce an event of an account with so many webhooks, in turn with a bare INSERT of the same row.

    Without a worker. Each announcement rings the bell in full, as when the workers have nothing to do.
    """
    empty()
    [account_id] = _make_accounts(["https://receiver.example/"])
    account = Account.objects.get(pk=account_id)
    Webhook.objects.bulk_create(
        [Webhook(account=account, name="Wink Stalker", url="https://receiver.example/") for _ in range(1, webhooks)]
    )
    took = Announced(insert_s=[], send_s=[], insert_with_commit_s=[], send_with_commit_s=[])
    for number in range(rounds):
        wake.take_down()
        # In no order that favours one of them.
        for kind in random.sample(["insert", "send"], 2):
            row = _row(_event(account.pk))
            started = time.perf_counter()
            with transaction.atomic():
                begun = time.perf_counter()
                if kind == "send":
                    event_occurred.send(sender=None, type=EVENT_TYPE, account=account, object=OBJECT)
                else:
                    _insert(row)
                done = time.perf_counter()
            ended = time.perf_counter()
            # The first ones open connections and read the catalogue.
            if number >= rounds // 10:
                if kind == "send":
                    took["send_s"].append(done - begun)
                    took["send_with_commit_s"].append(ended - started)
                else:
                    took["insert_s"].append(done - begun)
                    took["insert_with_commit_s"].append(ended - started)
    empty()
    # The bells that nobody answered.
    redis.Redis.from_url(settings.REDIS_URL).flushall()
    return took


def _row(event: Event) -> dict[str, Any]:
    return {str(field.column): getattr(event, field.attname) for field in Event._meta.concrete_fields}


def _insert(row: dict[str, Any]) -> None:
    columns = ", ".join(row)
    values = ", ".join(f"%({column})s" for column in row)
    with connection.cursor() as cursor:
        cursor.execute(f"INSERT INTO webhooks_event ({columns}) VALUES ({values})", row)


def _announce(account: Account) -> Event:
    with transaction.atomic():
        ((_, event),) = event_occurred.send(sender=None, type=EVENT_TYPE, account=account, object=OBJECT)
    return cast(Event, event)


# Where the time goes


def time_steps(url: str, webhooks: int, rounds: int) -> dict[str, Step]:
    """Do what a worker does with a batch, one step after the other; return the seconds of each a delivery."""
    empty()
    account_ids = _make_accounts([f"{url}webhook/{number}" for number in range(webhooks)])
    secrets = {str(webhook.pk): webhook.valid_secrets(timezone.now()) for webhook in Webhook.objects.all()}
    steps: dict[str, Step] = {name: Step(cpu_s=[], wall_s=[]) for name in ("dispatch", "sign", "send", "record")}

    @contextlib.contextmanager
    def timed(name: str) -> Iterator[None]:
        wall, cpu = time.perf_counter(), time.thread_time()
        yield
        steps[name]["cpu_s"].append((time.thread_time() - cpu) / RECORD_BATCH)
        steps[name]["wall_s"].append((time.perf_counter() - wall) / RECORD_BATCH)

    transport: Transport[int] = Transport(settings.WEBHOOK_IN_FLIGHT)
    for _ in range(rounds):
        with transaction.atomic():
            _insert_events(account_ids, RECORD_BATCH)
            _analyze("webhooks_event")
        with timed("dispatch"):
            claims = dispatch(lambda webhook_id: True, RECORD_BATCH).claims
        with timed("sign"):
            moment = int(time.time())
            requests = [
                make_request(claimed, f"{url}{number}", secrets[claimed.webhook_id], moment)
                for number, claimed in enumerate(claims)
            ]
        with timed("send"):
            answers = _send(transport, requests)
        with timed("record"):
            record(
                [
                    Result(claimed, request, answers[number], judge(answers[number], 1, timezone.now(), 0.5))
                    for number, (claimed, request) in enumerate(zip(claims, requests, strict=True))
                ]
            )
    empty()
    return steps


def _send(transport: Transport[int], requests: Sequence[Request]) -> dict[int, Answer]:
    """Send all requests, and return their answers by number."""
    waiting = list(enumerate(requests))
    answers: dict[int, Answer] = {}
    while len(answers) < len(requests):
        while waiting and transport.free:
            number, request = waiting.pop()
            transport.start(request, number)
        answers |= dict(transport.finished(WATCH_SECONDS))
    return answers


# Depth


def time_claims(seconds: float) -> Claimed:
    """Deliver what is due in this process for so long; return how long each claim took, and the memory at most."""
    # A worker's process collects garbage so too.
    collect_garbage_seldom()
    claim_s: list[float] = []

    def timed_claim(*args: Any, **kwargs: Any) -> Any:
        started = time.perf_counter()
        claimed = claim(*args, **kwargs)
        claim_s.append(time.perf_counter() - started)
        return claimed

    end = time.monotonic() + seconds
    with mock.patch("webhooks.engine.intake.claim", timed_claim):
        drain(should_stop=lambda: time.monotonic() > end)
    # Linux counts it in KB.
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return Claimed(claim_s=claim_s, peak_rss_mb=peak / 1024)
