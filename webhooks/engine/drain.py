"""The loop that ties the engine together: dispatch, claim, send, judge, record, until nothing is due."""

import os
import random
import time
from collections import Counter, deque
from collections.abc import Callable
from datetime import datetime, timedelta
from functools import cache
from typing import Any, NamedTuple
from uuid import UUID

import structlog
from django.conf import settings
from django.core.exceptions import ImproperlyConfigured
from django.core.signals import setting_changed
from django.db import DatabaseError, InterfaceError, connection
from django.dispatch import receiver
from django.utils import timezone

from webhooks import wake
from webhooks.engine.claim import FIRST_CURSOR, Claim, claim, release
from webhooks.engine.dispatch import BATCH as DISPATCH_BATCH
from webhooks.engine.dispatch import dispatch
from webhooks.engine.outcome import judge
from webhooks.engine.ration import claim_rationed
from webhooks.engine.record import Result, record
from webhooks.engine.request import make_request
from webhooks.engine.slots import process_slots
from webhooks.engine.transport import Request, Transport
from webhooks.models import Delivery, Webhook

logger = structlog.get_logger(__name__)

# So often the database is asked for new work while requests are in flight, and answers wait no longer to be recorded.
POLL_SECONDS = 0.02
RECORD_BATCH = 250
# A process stops taking work after this long, so that restarts and other tasks get their turn.
LONGEST_SECONDS = 60.0
# What is left of a lease when a request starts covers the longest possible request and this, to record it.
LEASE_MARGIN_SECONDS = 5.0
FIRST_PAUSE_SECONDS = 0.1
LONGEST_PAUSE_SECONDS = 2.0


class Sent(NamedTuple):
    """What is known of a request in flight."""

    claim: Claim
    request: Request
    slot: int


OpenTransport = Transport[Sent]


def never() -> bool:
    return False


def drain(should_stop: Callable[[], bool] = never) -> int:
    """Deliver what is due until nothing is, or for a minute; return how many attempts were recorded.

    Once `should_stop` says so, what is in flight comes to its end and what was only claimed is given back.
    """
    return Drain(_transport_of_process(os.getpid()), should_stop).run()


@cache
def _transport_of_process(pid: int) -> OpenTransport:
    """Return the transport that one drain after another uses, so that connections to receivers last."""
    return Transport(settings.WEBHOOK_IN_FLIGHT)


@receiver(setting_changed)
def _forget_transport(*, setting: str, **kwargs: Any) -> None:
    if setting.startswith("WEBHOOK_"):
        _transport_of_process.cache_clear()


class Drain:
    """One run of the loop in one process."""

    def __init__(self, transport: OpenTransport, should_stop: Callable[[], bool] = never) -> None:
        self._transport = transport
        self._should_stop = should_stop
        self._slots = process_slots()
        self._cap = settings.WEBHOOK_IN_FLIGHT_PER_WEBHOOK
        self._lease_needed = timedelta(seconds=settings.WEBHOOK_TIMEOUT_SECONDS + LEASE_MARGIN_SECONDS)
        self._targets: dict[UUID, Webhook] = {}
        self._waiting: dict[UUID, deque[Claim]] = {}
        self._waiting_count = 0
        # By webhook, what is in flight or answered and not recorded yet: what would be sent again if the process died.
        self._under_way: Counter[UUID] = Counter()
        # Whether free slots stay empty because each webhook for which something waits is at its cap.
        self._held_back = False
        self._more_follows = False
        self._results: list[Result] = []
        self._oldest_result_at = 0.0
        self._recorded = 0
        self._cursor = FIRST_CURSOR
        self._looked_at = 0.0
        self._dispatch_at = 0.0
        self._ration_at = 0.0
        self._more_is_due = True
        self._pause = 0.0
        self._paused_until = 0.0
        self._stop_at = time.monotonic() + LONGEST_SECONDS

    def run(self) -> int:
        try:
            while True:
                if self._should_stop():
                    self._give_back()
                self._with_database(self._take_work)
                self._send()
                self._receive()
                self._with_database(self._record_results)
                if self._is_done():
                    break
        finally:
            # Nothing is in flight any more, unless an error has ended the loop.
            for sent in self._transport.break_off():
                self._slots.give_back(sent.slot)
            self._with_database(self._release_waiting)
        if self._more_is_due or self._more_follows:
            wake.ring()
        return self._recorded

    # Taking work

    def _take_work(self) -> None:
        if time.monotonic() >= self._stop_at or self._sendable() >= settings.WEBHOOK_IN_FLIGHT:
            return
        if not self._more_is_due and time.monotonic() - self._looked_at < POLL_SECONDS:
            return
        dispatched = self._dispatch()
        claims = self._claim()
        self._more_is_due = bool(claims) or dispatched >= DISPATCH_BATCH
        self._looked_at = time.monotonic()

    def _dispatch(self) -> int:
        if time.monotonic() < self._dispatch_at:
            return 0
        dispatched = dispatch()
        if not dispatched:
            self._dispatch_at = time.monotonic() + POLL_SECONDS
        return dispatched

    def _claim(self) -> list[Claim]:
        """Claim twice what may be in flight, so that a slot which falls free finds its next delivery here."""
        taken = Counter(self._under_way)
        taken.update({webhook_id: len(queue) for webhook_id, queue in self._waiting.items()})
        limit = 2 * settings.WEBHOOK_IN_FLIGHT - self._sendable() - self._transport.in_flight
        rations = self._claim_rationed(taken, limit)
        limit -= len(rations)
        claims = claim(taken, 2 * self._cap, limit, self._cursor)
        if len(claims) >= limit:
            # There may be more than one process can send.
            wake.ring()
            self._cursor = max(claimed.webhook_id for claimed in claims)
        elif self._cursor != FIRST_CURSOR:
            # The last webhook is reached; those before the cursor have their turn next.
            self._cursor = FIRST_CURSOR
            claims += self._claim_from_start(taken, claims, limit)
        claims += rations
        self._queue(claims)
        return claims

    def _claim_rationed(self, taken: Counter[UUID], limit: int) -> list[Claim]:
        if time.monotonic() < self._ration_at:
            return []
        rations = claim_rationed(taken, self._cap, limit)
        self._more_follows = rations.more_follows
        self._ration_at = time.monotonic() + POLL_SECONDS
        return rations.claims

    def _claim_from_start(self, taken: Counter[UUID], claims: list[Claim], limit: int) -> list[Claim]:
        taken.update(claimed.webhook_id for claimed in claims)
        return claim(taken, 2 * self._cap, limit - len(claims))

    def _sendable(self) -> int:
        """Count what waits and could be sent if slots were free; the rest waits for its webhook's own requests."""
        return sum(
            min(len(queue), self._cap - self._under_way[webhook_id]) for webhook_id, queue in self._waiting.items()
        )

    def _queue(self, claims: list[Claim]) -> None:
        """Queue what was claimed by webhook, as the webhooks are now; cancel what is for one that is switched off."""
        self._load_targets(claims)
        stopped: dict[str, list[Claim]] = {}
        for claimed in claims:
            webhook = self._targets.get(claimed.webhook_id)
            if webhook is None:
                continue
            if webhook.reason_to_cancel:
                stopped.setdefault(webhook.reason_to_cancel, []).append(claimed)
                continue
            self._waiting.setdefault(claimed.webhook_id, deque()).append(claimed)
            self._waiting_count += 1
        for reason, dropped in stopped.items():
            Delivery.objects.filter(pk__in=[claimed.delivery_id for claimed in dropped]).cancel(reason)
            release(dropped)

    def _load_targets(self, claims: list[Claim]) -> None:
        """Load the webhooks of `claims` that have changed since they were loaded, or were not yet."""
        known = {webhook_id: webhook.version for webhook_id, webhook in self._targets.items()}
        changed = {claimed.webhook_id for claimed in claims if known.get(claimed.webhook_id) != claimed.webhook_version}
        if changed:
            self._targets |= _load(changed)

    # Sending

    def _send(self) -> None:
        """Fill the free slots, webhook by webhook in turn, up to each one's cap."""
        now = timezone.now()
        progress = True
        while progress and self._transport.free:
            progress = False
            for webhook_id in list(self._waiting):
                if not self._transport.free:
                    break
                if self._under_way[webhook_id] < self._cap and self._send_next(webhook_id, now):
                    progress = True
        self._held_back = bool(self._waiting_count and self._transport.free)

    def _send_next(self, webhook_id: UUID, now: datetime) -> bool:
        """Send the next delivery of the webhook, or drop it; return False where other processes use all its slots."""
        queue = self._waiting[webhook_id]
        claimed = queue[0]
        if claimed.leased_until - now < self._lease_needed:
            self._drop_next(webhook_id)
            release([claimed])
            return True
        slot = self._slots.take(webhook_id)
        if slot is None:
            return False
        self._drop_next(webhook_id)
        webhook = self._targets[webhook_id]
        request = make_request(claimed, webhook.url, webhook.valid_secrets(now), int(now.timestamp()))
        self._transport.start(request, Sent(claimed, request, slot))
        self._under_way[webhook_id] += 1
        return True

    def _drop_next(self, webhook_id: UUID) -> None:
        queue = self._waiting[webhook_id]
        queue.popleft()
        self._waiting_count -= 1
        if not queue:
            del self._waiting[webhook_id]

    def _give_back(self) -> None:
        """Take no more work from now on, and let others have what waits here."""
        self._stop_at = min(self._stop_at, time.monotonic())
        if self._waiting:
            self._with_database(self._release_waiting)

    def _release_waiting(self) -> None:
        release([claimed for queue in self._waiting.values() for claimed in queue])
        self._waiting = {}
        self._waiting_count = 0

    # Answers

    def _receive(self) -> None:
        if not self._transport.in_flight and self._must_wait():
            time.sleep(POLL_SECONDS)
        for sent, answer in self._transport.finished(POLL_SECONDS):
            self._slots.give_back(sent.slot)
            # The jitter keeps retries apart; nobody gains by guessing it.
            outcome = judge(answer, sent.claim.tries, timezone.now(), random.random())  # noqa: S311
            if not self._results:
                self._oldest_result_at = time.monotonic()
            self._results.append(Result(sent.claim, sent.request, answer, outcome))

    def _must_wait(self) -> bool:
        """Say whether a pause, the next ration or a slot that another process uses is all that the loop waits for."""
        paused = time.monotonic() < self._paused_until
        return paused or (not self._results and bool(self._waiting_count or self._more_follows))

    def _record_results(self) -> None:
        if not self._results:
            return
        waited = time.monotonic() - self._oldest_result_at
        pressing = self._held_back or not self._transport.in_flight
        if pressing or len(self._results) >= RECORD_BATCH or waited >= POLL_SECONDS:
            recorded = record(self._results)
            self._recorded += recorded.count
            self._under_way.subtract(result.claim.webhook_id for result in self._results)
            self._results = []
            self._drop_waiting(recorded.resting)

    def _drop_waiting(self, webhook_ids: set[UUID]) -> None:
        """Give back what waits for webhooks that rest."""
        dropped = [claimed for webhook_id in webhook_ids for claimed in self._waiting.pop(webhook_id, ())]
        self._waiting_count -= len(dropped)
        if dropped:
            release(dropped)

    def _is_done(self) -> bool:
        if self._transport.in_flight:
            return False
        past_end = time.monotonic() >= self._stop_at
        if self._results:
            # Without a database until their leases have run out: others will send them again.
            return past_end and all(result.claim.leased_until < timezone.now() for result in self._results)
        return past_end or not (self._waiting_count or self._more_is_due or self._more_follows)

    # Trouble

    def _with_database(self, step: Callable[[], None]) -> None:
        """Run a step; where the database fails, pause, longer each time, and go on with what is in flight.

        The step is done again later. Nothing is lost by that: what was claimed comes back when its lease runs out, and
        what was sent is kept until it is recorded.
        """
        if time.monotonic() < self._paused_until:
            return
        try:
            step()
            self._pause = 0.0
        except (DatabaseError, InterfaceError) as error:
            self._pause = min(max(2 * self._pause, FIRST_PAUSE_SECONDS), LONGEST_PAUSE_SECONDS)
            self._paused_until = time.monotonic() + self._pause
            logger.warning("database_failed", step=step.__name__, error=str(error), pause_seconds=self._pause)
            connection.close()


def _load(webhook_ids: set[UUID]) -> dict[UUID, Webhook]:
    """Return the webhooks; one whose secret cannot be decrypted is left out and must not stop the others."""
    try:
        return Webhook.objects.in_bulk(webhook_ids)
    except ImproperlyConfigured:
        pass
    webhooks = {}
    for webhook_id in webhook_ids:
        try:
            webhooks[webhook_id] = Webhook.objects.get(pk=webhook_id)
        except ImproperlyConfigured as error:
            # Its deliveries stay claimed, and so are tried again when the lease has run out.
            logger.error("webhook_unreadable", webhook=str(webhook_id), error=str(error))
    return webhooks
