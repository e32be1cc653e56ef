"""The floor under a durable delivery: the same steps with psycopg and libcurl alone, no framework around them.

Claim due rows under a lease, sign twice, POST over kept connections, write a row for the attempt and close the
delivery. What the product reaches is quoted as a share of it, so nothing here may be slower than it must be.

    python -m tests.bench.limit --dsn postgresql://... --url http://127.0.0.1:9100/ --deliveries 20000 --processes 2

The last line is JSON. The tables are in a schema `floor`, which is dropped first.
"""

import argparse
import base64
import contextlib
import hmac
import json
import multiprocessing
import sys
import time
from dataclasses import dataclass, field
from multiprocessing.queues import Queue
from multiprocessing.synchronize import Barrier
from typing import Any
from uuid import UUID

import psycopg
import pycurl

IN_FLIGHT = 100
FLUSH = 250
WEBHOOKS = 20
TIMEOUT_MS = 10_000
BODY_BYTES = 1000
SNIPPET_BYTES = 4096
KEY = bytes(range(32))
SECRET = b"whsec_" + base64.b64encode(KEY)

SCHEMA = """
DROP SCHEMA IF EXISTS floor CASCADE;
CREATE SCHEMA floor;
SET search_path TO floor;
CREATE TABLE event (id uuid PRIMARY KEY, type text NOT NULL, body bytea NOT NULL);
CREATE TABLE delivery (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    event_id uuid NOT NULL REFERENCES event,
    webhook_id int NOT NULL,
    status smallint NOT NULL DEFAULT 0,
    attempt_count smallint NOT NULL DEFAULT 0,
    next_attempt_at timestamptz
);
CREATE INDEX delivery_due ON delivery (next_attempt_at) WHERE status = 0;
CREATE INDEX delivery_webhook ON delivery (webhook_id, id);
CREATE TABLE attempt (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    delivery_id bigint NOT NULL REFERENCES delivery,
    started_at timestamptz NOT NULL DEFAULT now(),
    http_status int,
    duration_ms int NOT NULL,
    response_headers jsonb NOT NULL,
    response_snippet bytea NOT NULL
);
CREATE INDEX attempt_delivery ON attempt (delivery_id);
"""
FILL_EVENTS = """
INSERT INTO event SELECT gen_random_uuid(), 'booking.created', %(body)s FROM generate_series(1, %(count)s)
"""
FILL_DELIVERIES = """
INSERT INTO delivery (event_id, webhook_id, next_attempt_at)
SELECT id, row_number() OVER () %% %(webhooks)s, now() FROM event
"""
CLAIM = """
WITH due AS (
    SELECT id FROM delivery WHERE status = 0 AND next_attempt_at <= now()
    ORDER BY next_attempt_at LIMIT %(limit)s FOR UPDATE SKIP LOCKED
), claimed AS (
    UPDATE delivery SET next_attempt_at = now() + interval '60 s' FROM due WHERE delivery.id = due.id
    RETURNING delivery.id, delivery.event_id
)
SELECT claimed.id, event.id, event.body FROM claimed JOIN event ON event.id = claimed.event_id
"""
INSERT_ATTEMPT = """
INSERT INTO attempt (delivery_id, http_status, duration_ms, response_headers, response_snippet)
VALUES (%s, %s, %s, '{}', %s)
"""
CLOSE = """
UPDATE delivery SET status = 1, attempt_count = attempt_count + 1, next_attempt_at = NULL WHERE id = ANY(%s)
"""

Due = tuple[int, UUID, bytes]
Attempt = tuple[int, int, int, bytes]


def envelope() -> bytes:
    """Return a body of 1 KB."""
    start = '{"type":"booking.created","object":{"note":"'
    end = '"}}'
    return (start + "x" * (BODY_BYTES - len(start) - len(end)) + end).encode()


def prepare(dsn: str, deliveries: int) -> None:
    with psycopg.connect(dsn, autocommit=True) as connection:
        connection.execute(SCHEMA)
        connection.execute(FILL_EVENTS, {"body": envelope(), "count": deliveries})
        connection.execute(FILL_DELIVERIES, {"webhooks": WEBHOOKS})
        connection.execute("ANALYZE event, delivery, attempt")


@dataclass
class Worker:
    """One process: takes, sends and closes deliveries until none is due."""

    connection: psycopg.Connection
    url: str
    ready: list[Due] = field(default_factory=list)
    finished: list[Attempt] = field(default_factory=list)
    in_flight: int = 0
    sent: int = 0
    is_dry: bool = False

    def __post_init__(self) -> None:
        self.multi = pycurl.CurlMulti()
        self.idle = [self._handle() for _ in range(IN_FLIGHT)]
        self.under_way: dict[pycurl.Curl, tuple[int, list[bytes]]] = {}

    def run(self) -> None:
        while True:
            if not self.ready and not self.is_dry:
                self._claim()
            while self.idle and self.ready:
                self._send(self.ready.pop())
            self.multi.perform()
            self._collect()
            at_the_end = self.is_dry and not self.in_flight
            if len(self.finished) >= FLUSH or (at_the_end and self.finished):
                self._save()
            if at_the_end:
                return
            if not self.idle or (not self.ready and self.in_flight):
                self.multi.select(0.05)

    def _handle(self) -> pycurl.Curl:
        curl = pycurl.Curl()
        curl.setopt(pycurl.NOSIGNAL, 1)
        curl.setopt(pycurl.URL, self.url)
        curl.setopt(pycurl.TIMEOUT_MS, TIMEOUT_MS)
        return curl

    def _claim(self) -> None:
        with self.connection.transaction():
            self.ready = self.connection.execute(CLAIM, {"limit": 2 * FLUSH}).fetchall()
        self.is_dry = not self.ready

    def _send(self, due: Due) -> None:
        delivery_id, event_id, body = due
        curl = self.idle.pop()
        answer: list[bytes] = []
        curl.setopt(pycurl.POSTFIELDS, body)
        curl.setopt(pycurl.HTTPHEADER, headers(str(event_id), body))
        curl.setopt(pycurl.WRITEFUNCTION, answer.append)
        self.under_way[curl] = (delivery_id, answer)
        self.multi.add_handle(curl)
        self.in_flight += 1

    def _collect(self) -> None:
        queued = 1
        while queued:
            queued, succeeded, failed = self.multi.info_read()
            if failed:
                sys.exit(f"The receiver failed: {failed[0][2]}")
            for curl in succeeded:
                delivery_id, answer = self.under_way.pop(curl)
                milliseconds = int(1000 * curl.getinfo(pycurl.TOTAL_TIME))
                snippet = b"".join(answer)[:SNIPPET_BYTES]
                self.finished.append((delivery_id, curl.getinfo(pycurl.RESPONSE_CODE), milliseconds, snippet))
                self.multi.remove_handle(curl)
                self.idle.append(curl)
                self.in_flight -= 1
                self.sent += 1

    def _save(self) -> None:
        with self.connection.transaction(), self.connection.cursor() as cursor:
            cursor.executemany(INSERT_ATTEMPT, self.finished)
            cursor.execute(CLOSE, [[attempt[0] for attempt in self.finished]])
        self.finished = []


def headers(event_id: str, body: bytes) -> list[str]:
    """Return the headers with both signatures, and none that makes the receiver ask for the body first."""
    now = str(int(time.time()))
    standard = hmac.digest(KEY, f"{event_id}.{now}.".encode() + body, "sha256")
    wink = hmac.digest(SECRET, f"{now}.".encode() + body, "sha256")
    return [
        "Content-Type: application/json",
        f"webhook-id: {event_id}",
        f"webhook-timestamp: {now}",
        f"webhook-signature: v1,{base64.b64encode(standard).decode()}",
        f"Wink-Signature: t={now},v1={wink.hex()}",
        "Expect:",
    ]


def work(dsn: str, url: str, start: Barrier, results: "Queue[tuple[int, float]]") -> None:
    with psycopg.connect(dsn) as connection:
        connection.execute("SET search_path TO floor")
        connection.commit()
        worker = Worker(connection, url)
        start.wait()
        cpu_before = time.process_time()
        worker.run()
        results.put((worker.sent, time.process_time() - cpu_before))


def measure(dsn: str, url: str, deliveries: int, processes: int) -> dict[str, Any]:
    prepare(dsn, deliveries)
    context = multiprocessing.get_context("fork")
    start = context.Barrier(processes + 1)
    results: Queue[tuple[int, float]] = context.Queue()
    workers = [context.Process(target=work, args=(dsn, url, start, results), daemon=True) for _ in range(processes)]
    for worker in workers:
        worker.start()
    # The time counts from when all are connected.
    start.wait(30)
    started = time.perf_counter()
    parts = [results.get(timeout=300) for _ in workers]
    seconds = time.perf_counter() - started
    for worker in workers:
        worker.join()
    sent = sum(count for count, _ in parts)
    if sent != deliveries:
        sys.exit(f"{sent} of {deliveries} deliveries were sent.")
    return {
        "deliveries": sent,
        "processes": processes,
        "deliveries_per_s": round(sent / seconds, 1),
        "cpu_us_per_delivery": round(1e6 * sum(cpu for _, cpu in parts) / sent, 1),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description="Measure the floor under a durable delivery.")
    parser.add_argument("--dsn", required=True)
    parser.add_argument("--url", required=True)
    parser.add_argument("--deliveries", type=int, default=20_000)
    parser.add_argument("--processes", type=int, default=2)
    options = parser.parse_args()
    figures = measure(options.dsn, options.url, options.deliveries, options.processes)
    sys.stdout.write(json.dumps(figures) + "\n")


if __name__ == "__main__":
    with contextlib.suppress(KeyboardInterrupt):
        main()
