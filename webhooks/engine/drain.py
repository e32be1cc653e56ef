"""The loop that ties the engine together: dispatch, claim, send, judge, record, until nothing is due."""

import os
import random
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from datetime import datetime, timedelta
from functools import cache
from typing import Any, NamedTuple
from uuid import UUID

import structlog
from django.conf import settings
from django.core.exceptions import ImproperlyConfigured
from django.core.signals import setting_changed
from django.db import DatabaseError, InterfaceError, OperationalError, connection
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
from webhooks.engine.transport import Answer, Request, Transport
from webhooks.engine.waiting import Waiting
from webhooks.models import Attempt, Delivery, Webhook

logger = structlog.get_logger(__name__)

# So often the database is asked for new work while requests are in flight, and answers wait no longer to be recorded.
POLL_SECONDS = 0.02
RECORD_BATCH = 250
# What is claimed and waits its turn may be cancelled, its webhook changed or switched off: so often it is looked at.
REVIEW_SECONDS = 0.5
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

    After its minute, or once `should_stop` says so, what is in flight comes to its end and what was only claimed is
    given back. Where work is left the bell has been rung.
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
        self._lease_needed = timedelta(seconds=settings.WEBHOOK_TIMEOUT_SECONDS + LEASE_MARGIN_SECONDS)
        self._cap = settings.WEBHOOK_IN_FLIGHT_PER_WEBHOOK
        self._waiting = Waiting(settings.WEBHOOK_IN_FLIGHT, self._cap)
        self._targets: dict[UUID, Webhook] = {}
        # Until when this process has each delivery that waits, is in flight or is not recorded yet.
        self._leases: dict[UUID, datetime] = {}
        # Whether free places stay empty because each webhook for which something waits is at its cap.
        self._held_back = False
        self._results: list[Result] = []
        self._oldest_result_at = 0.0
        self._recorded = 0
        self._cursor = FIRST_CURSOR
        # What the last look left behind: anything due, deliveries among it, events among it, rations that come soon.
        self._more_is_due = True
        self._more_is_older = False
        self._more_is_new = False
        self._more_follows = False
        self._looked_at = self._dispatched_at = self._rationed_at = self._reviewed_at = 0.0
        self._pause = 0.0
        self._paused_until = 0.0
        self._stop_at = time.monotonic() + LONGEST_SECONDS

    def run(self) -> int:
        try:
            while True:
                if self._should_stop():
                    self._stop_at = min(self._stop_at, time.monotonic())
                if time.monotonic() >= self._stop_at:
                    self._with_database(self._give_back)
                else:
                    self._with_database(self._take_work)
                    self._with_database(self._review)
                self._send()
                self._receive()
                self._with_database(self._record_results)
                if self._is_done():
                    break
        finally:
            # Nothing is in flight any more, unless an error has ended the loop.
            for sent in self._transport.break_off():
                self._slots.give_back(sent.slot)
            self._with_database(self._give_back)
        if self._more_is_due or self._more_follows:
            wake.ring()
        return self._recorded

    # Taking work

    def _take_work(self) -> None:
        now = time.monotonic()
        room = 2 * settings.WEBHOOK_IN_FLIGHT - self._waiting.sendable() - self._transport.in_flight
        if room <= settings.WEBHOOK_IN_FLIGHT / 2 or (not self._more_is_due and now - self._looked_at < POLL_SECONDS):
            return
        taken = self._waiting.taken()
        # Where older deliveries wait, new ones go behind them.
        claims = self._dispatch(taken, 0 if self._more_is_older else room, now)
        room -= len(claims)
        if room > 0:
            claims += self._claim(taken, room, now)
        self._queue(claims)
        self._more_is_due = bool(claims) or self._more_is_new
        self._looked_at = now

    def _dispatch(self, taken: Counter[UUID], room: int, now: float) -> list[Claim]:
        """Dispatch new events, and claim at once what of their deliveries fits in."""
        if now - self._dispatched_at < POLL_SECONDS:
            return []

        def wanted(webhook_id: UUID) -> bool:
            nonlocal room
            if room <= 0 or taken[webhook_id] >= 2 * self._cap:
                return False
            room -= 1
            taken[webhook_id] += 1
            return True

        dispatched = dispatch(wanted)
        self._more_is_new = dispatched.events >= DISPATCH_BATCH
        if not dispatched.events:
            self._dispatched_at = now
        return dispatched.claims

    def _claim(self, taken: Counter[UUID], room: int, now: float) -> list[Claim]:
        """Claim up to twice what may be in flight, so that a place which falls free finds its next delivery here."""
        claims = self._claim_rationed(taken, room, now)
        room -= len(claims)
        plain = claim(taken, 2 * self._cap, room, self._cursor)
        self._more_is_older = len(plain) >= room
        if self._more_is_older:
            # There may be more than one process can send.
            wake.ring_soon()
            self._cursor = max(claimed.webhook_id for claimed in plain)
        else:
            self._cursor = FIRST_CURSOR
        return claims + plain

    def _claim_rationed(self, taken: Counter[UUID], room: int, now: float) -> list[Claim]:
        if now - self._rationed_at < POLL_SECONDS:
            return []
        rations = claim_rationed(taken, self._cap, room)
        self._more_follows = rations.more_follows
        self._rationed_at = now
        return rations.claims

    def _queue(self, claims: list[Claim]) -> None:
        """Queue what was claimed; cancel what is for a webhook that is switched off."""
        known = {webhook_id: webhook.version for webhook_id, webhook in self._targets.items()}
        self._load({each.webhook_id for each in claims if known.get(each.webhook_id) != each.webhook_version})
        for claimed in claims:
            # One that is here already comes again when the clock has jumped over the end of its lease: only that moves.
            is_new = claimed.delivery_id not in self._leases
            self._leases[claimed.delivery_id] = claimed.leased_until
            if is_new:
                self._waiting.add(claimed)
        self._cancel_for_disabled()

    def _load(self, webhook_ids: set[UUID]) -> None:
        webhooks = _load(webhook_ids) if webhook_ids else {}
        self._targets |= webhooks
        for webhook_id, webhook in webhooks.items():
            self._waiting.mark(webhook_id, failing=webhook.failing_since is not None)
        for webhook_id in webhook_ids - webhooks.keys():
            # Its deliveries stay claimed, and so are tried again when the lease has run out.
            self._targets.pop(webhook_id, None)

    def _review(self) -> None:
        """Look again at what waits its turn: drop what was cancelled, take over what was changed at its webhook."""
        now = time.monotonic()
        if not self._waiting or now - self._reviewed_at < REVIEW_SECONDS:
            return
        self._reviewed_at = now
        ids = [claimed.delivery_id for claimed in self._waiting]
        current = Delivery.objects.filter(pk__in=ids)
        rows = list(current.values_list("pk", "next_attempt_at", "webhook_id", "webhook__version"))
        self._load(
            {
                webhook_id
                for _, _, webhook_id, version in rows
                if webhook_id not in self._targets or self._targets[webhook_id].version != version
            }
        )
        ended = {pk for pk, next_attempt_at, _, _ in rows if next_attempt_at is None}
        self._release(self._waiting.drop(lambda claimed: claimed.delivery_id in ended))
        self._cancel_for_disabled()

    def _cancel_for_disabled(self) -> None:
        off = {pk: webhook.reason_to_cancel for pk, webhook in self._targets.items() if webhook.reason_to_cancel}
        dropped = self._waiting.drop(lambda claimed: claimed.webhook_id in off) if off else []
        for reason in {off[claimed.webhook_id] for claimed in dropped}:
            ids = [claimed.delivery_id for claimed in dropped if off[claimed.webhook_id] == reason]
            Delivery.objects.filter(pk__in=ids).cancel(reason)
        self._release(dropped)

    def _give_back(self) -> None:
        """Let others have what waits here."""
        self._release(self._waiting.drop(lambda claimed: True))

    def _release(self, claims: list[Claim]) -> None:
        if claims:
            release([replace(each, leased_until=self._leases.pop(each.delivery_id)) for each in claims])

    # Sending

    def _send(self) -> None:
        """Fill the free places, webhook by webhook in turn, up to each one's cap."""
        now = timezone.now()
        progress = True
        while progress and self._transport.free:
            progress = False
            for webhook_id in self._waiting.webhooks():
                if not self._transport.free:
                    break
                if self._waiting.may_send(webhook_id) and self._send_next(webhook_id, now):
                    progress = True
        self._held_back = bool(self._waiting and self._transport.free)

    def _send_next(self, webhook_id: UUID, now: datetime) -> bool:
        """Send the next delivery of the webhook, or drop it; return False where other processes use all its slots."""
        webhook = self._targets.get(webhook_id)
        if webhook is None:
            # Nobody can read its secrets; its deliveries are tried again when their leases have run out.
            del self._leases[self._waiting.pop(webhook_id).delivery_id]
            return True
        slot = self._slots.take(webhook_id)
        if slot is None:
            return False
        claimed = self._waiting.pop(webhook_id)
        if self._leases[claimed.delivery_id] - now < self._lease_needed:
            self._slots.give_back(slot)
            self._release([claimed])
            return True
        self._waiting.start(webhook_id)
        try:
            request = make_request(claimed, webhook.url, webhook.valid_secrets(now), int(now.timestamp()))
        except Exception as error:
            # Whatever is wrong with one delivery or its secret must not stop the others.
            logger.exception("request_not_made", delivery=str(claimed.delivery_id))
            self._slots.give_back(slot)
            answer = Answer(now, 0, error=Attempt.Error.REQUEST, error_text=type(error).__name__)
            self._add_result(claimed, Request(webhook.url, [], claimed.body), answer)
            return True
        self._transport.start(request, Sent(claimed, request, slot))
        return True

    # Answers

    def _receive(self) -> None:
        if not self._transport.in_flight and self._must_wait():
            time.sleep(POLL_SECONDS)
        for sent, answer in self._transport.finished(POLL_SECONDS):
            self._slots.give_back(sent.slot)
            self._add_result(sent.claim, sent.request, answer)

    def _add_result(self, claimed: Claim, request: Request, answer: Answer) -> None:
        # The jitter keeps retries apart; nobody gains by guessing it.
        outcome = judge(answer, claimed.tries, timezone.now(), random.random())  # noqa: S311
        self._waiting.mark(claimed.webhook_id, failing=outcome.status != Delivery.Status.SUCCEEDED)
        if not self._results:
            self._oldest_result_at = time.monotonic()
        self._results.append(Result(claimed, request, answer, outcome))

    def _must_wait(self) -> bool:
        """Say whether a pause, the next ration or a slot that another process uses is all that the loop waits for."""
        paused = time.monotonic() < self._paused_until
        return paused or (not self._results and bool(self._waiting or self._more_follows))

    def _record_results(self) -> None:
        if not self._results:
            return
        waited = time.monotonic() - self._oldest_result_at
        pressing = self._held_back or not self._transport.in_flight
        if pressing or len(self._results) >= RECORD_BATCH or waited >= POLL_SECONDS:
            self._record([self._with_present_lease(each) for each in self._results])
            self._results = []
            # What has ended may have made room for more of its webhook.
            self._more_is_due = True

    def _record(self, results: list[Result]) -> None:
        try:
            recorded = record(results)
        except (OperationalError, InterfaceError):
            raise
        except DatabaseError:
            # Not the database is in trouble but something in a result. It must not take the others along.
            if len(results) > 1:
                for result in results:
                    self._record([result])
                return
            logger.exception("result_not_recorded", delivery=str(results[0].claim.delivery_id))
            self._finish(results)
            return
        self._recorded += recorded.count
        self._finish(results)
        self._release(self._waiting.drop(lambda claimed: claimed.webhook_id in recorded.resting))
        if any(result.outcome.webhook_is_gone for result in results):
            self._reviewed_at = 0.0

    def _finish(self, results: list[Result]) -> None:
        for result in results:
            self._waiting.finish(result.claim.webhook_id)
            del self._leases[result.claim.delivery_id]

    def _with_present_lease(self, result: Result) -> Result:
        leased_until = self._leases[result.claim.delivery_id]
        if result.claim.leased_until == leased_until:
            return result
        return replace(result, claim=replace(result.claim, leased_until=leased_until))

    def _is_done(self) -> bool:
        if self._transport.in_flight:
            return False
        past_end = time.monotonic() >= self._stop_at
        if self._results:
            # Without a database until their leases have run out: others will send them again.
            return past_end and all(self._leases[each.claim.delivery_id] < timezone.now() for each in self._results)
        return past_end or not (self._waiting or self._more_is_due or self._more_follows)

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
            logger.error("webhook_unreadable", webhook=str(webhook_id), error=str(error))
    return webhooks
