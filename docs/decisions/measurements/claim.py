"""Measure what a claim costs on PostgreSQL, behind backlogs of different depths.

`.venv/bin/python docs/decisions/measurements/claim.py` starts the PostgreSQL of the tests. One webhook has a backlog,
fifty others have four due deliveries each; a claim may take 20 of each webhook and 220 in all. It prints the median
of 50 claims.
"""

import os
import signal
import statistics
import sys
import tempfile
import time
from pathlib import Path
from uuid import UUID

sys.path.insert(0, str(Path(__file__).resolve().parents[3]))

from tests import servers

OTHERS = 50
DUE_OF_EACH = 4
CLAIMS = 50


def main() -> None:
    with tempfile.TemporaryDirectory(prefix="winkhooks-claim-", dir="/tmp") as name:
        folder = Path(name)
        url = servers.postgres_url(folder)
        process = servers.start_postgres(folder)
        try:
            servers.wait_until(lambda: servers.postgres_answers(url), "PostgreSQL", process, folder / "postgres.log")
            measure(url)
        finally:
            servers.stop(process, signal.SIGINT)


def measure(url: str) -> None:
    os.environ |= {
        "DJANGO_SETTINGS_MODULE": "winkhooks.settings",
        "ENV_FILE": os.devnull,
        "DEBUG": "True",
        "DATABASE_URL": url,
    }
    import django

    django.setup()
    from django.core.management import call_command
    from django.db import connection

    call_command("migrate", verbosity=0)
    deep = make_webhooks()
    with connection.cursor() as cursor:
        # The rows fit together; checking every foreign key would only take time.
        cursor.execute("SET session_replication_role = replica")
    for backlog, finished in ((1_000, 0), (100_000, 0), (300_000, 0), (300_000, 500_000)):
        fill(deep, backlog, finished)
        milliseconds, taken, webhooks = claims()
        sys.stdout.write(
            f"{backlog:,} due behind one webhook, {finished:,} finished: {milliseconds:.1f} ms, "
            f"{taken} deliveries of {webhooks} webhooks\n"
        )
        sys.stdout.flush()


def make_webhooks() -> UUID:
    """Make the webhooks; return the id of the one that will have the backlog, which is the first in their order."""
    from accounts.models import Account
    from webhooks.models import Webhook

    account = Account.objects.create(name="Cool Account")
    webhooks = [Webhook(account=account, name=f"{number}", url="https://example.com/") for number in range(OTHERS + 1)]
    Webhook.objects.bulk_create(webhooks)
    return min(webhook.pk for webhook in webhooks)


def fill(deep: UUID, backlog: int, finished: int) -> None:
    from django.db import connection

    from accounts.models import Account

    account = Account.objects.get()
    with connection.cursor() as cursor:
        cursor.execute("TRUNCATE webhooks_attempt, webhooks_delivery, webhooks_event")
        cursor.execute(
            """
            INSERT INTO webhooks_event (id, account_id, type_id, occurred_at, recipient_role, body, status,
                delivery_count, created_at)
            SELECT gen_random_uuid(), %s, 'booking.created', now(), 'SELF', decode(repeat('7b7d', 350), 'hex'),
                'DISPATCHED', 1, now()
            FROM generate_series(1, %s)
            """,
            [account.pk, backlog + finished + DUE_OF_EACH],
        )
        insert = """
            INSERT INTO webhooks_delivery (id, event_id, webhook_id, url, status, end_reason, attempt_count,
                budget_start, next_attempt_at, created_at, finished_at)
            SELECT gen_random_uuid(), event.id, webhook.id, webhook.url, %s, '', 0, 0,
                CASE WHEN %s THEN now() END, now(), CASE WHEN %s THEN now() END
            FROM (SELECT id FROM webhooks_event ORDER BY id LIMIT %s OFFSET %s) AS event, webhooks_webhook AS webhook
            WHERE (webhook.id = %s) = %s
        """
        cursor.execute(insert, ["PENDING", True, False, backlog, 0, deep, True])
        cursor.execute(insert, ["SUCCEEDED", False, True, finished, backlog, deep, True])
        cursor.execute(insert, ["PENDING", True, False, DUE_OF_EACH, backlog + finished, deep, False])
        cursor.execute("VACUUM ANALYZE webhooks_delivery")
        cursor.execute("VACUUM ANALYZE webhooks_event")


def claims() -> tuple[float, int, int]:
    """Return the median time of a claim in milliseconds, and how many deliveries of how many webhooks it took."""
    from webhooks.engine.claim import claim, release

    seconds = []
    for _ in range(CLAIMS):
        started = time.monotonic()
        claimed = claim({}, 20, 220)
        seconds.append(time.monotonic() - started)
        release(claimed)
    return 1000 * statistics.median(seconds), len(claimed), len({one.webhook_id for one in claimed})


if __name__ == "__main__":
    main()
