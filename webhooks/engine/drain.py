"""The loop that ties the engine together: dispatch, claim, send, judge, record, until nothing is due."""

import os
import random
import time
from collections.abc import Callable, Iterable
from datetime import UTC, datetime, timedelta
from functools import cache
from typing import Any, NamedTuple

import structlog
from django.conf import settings
from django.core.signals import setting_changed
from django.db import DatabaseError, InterfaceError, connection
from django.dispatch import receiver

from webhooks import wake
from webhooks.engine.claim import Claim, release
from webhooks.engine.intake import Intake
from webhooks.engine.outcome import judge, judge_test
from webhooks.engine.postgresql import any_of
from webhooks.engine.record import Result
from webhooks.engine.recorder import Recorder
from webhooks.engine.request import make_request
from webhooks.engine.slots import process_slots
from webhooks.engine.targets import Targets
from webhooks.engine.transport import Answer, Request, Transport
from webhooks.engine.waiting import Line, Waiting
from webhooks.models import Attempt, Delivery, Webhook

logger = structlog.get_logger(__name__)

# Answers wait no longer to be recorded, and so long the loop waits at most for anything to happen.
POLL_SECONDS = 0.01
RECORD_BATCH = 150
# A process claims so many times what may be in flight, in all and of each webhook, to ask the database seldom.
STOCK = 10
# What is under way, in flight or answered and not recorded, would be sent again if the process died: no more than so
# many times what may be in flight.
UNDER_WAY = 3
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
        self._stock = STOCK * settings.WEBHOOK_IN_FLIGHT
        self._intake = Intake(room_per_webhook=STOCK * settings.WEBHOOK_IN_FLIGHT_PER_WEBHOOK)
        self._most_under_way = UNDER_WAY * settings.WEBHOOK_IN_FLIGHT
        self._waiting = Waiting(settings.WEBHOOK_IN_FLIGHT, settings.WEBHOOK_IN_FLIGHT_PER_WEBHOOK)
        self._targets = Targets()
        # Until when this process has each delivery that waits, is in flight or is not recorded yet.
        self._leases: dict[str, datetime] = {}
        self._results: list[Result] = []
        self._oldest_result_at = 0.0
        self._recorder = Recorder()
        self._recorded = 0
        self._looked_at = self._reviewed_at = 0.0
        # Whether something has ended since the last look, so that a webhook may have room again for more that is due.
        self._room_was_made = False
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
                self._record_results()
                self._with_database(self._take_over_recorded)
                if self._is_done():
                    break
        finally:
            # Nothing is in flight any more, unless an error has ended the loop.
            for sent in self._transport.break_off():
                self._slots.give_back(sent.slot)
            self._recorder.wait()
            self._with_database(self._give_back)
        if self._intake.more_is_due or self._intake.more_follows:
            wake.ring()
        return self._recorded

    # Taking work

    def _take_work(self) -> None:
        """Claim more, once half of what was in stock is gone."""
        now = time.monotonic()
        room = self._stock - self._waiting.sendable() - self._transport.in_flight
        more_is_due = self._intake.more_is_due or self._room_was_made
        if room < self._stock / 2 or (not more_is_due and now - self._looked_at < POLL_SECONDS):
            return
        self._looked_at = now
        self._room_was_made = False
        is_idle = not self._waiting and not self._transport.in_flight
        self._queue(self._intake.take(self._waiting.taken(), room, is_idle))

    def _queue(self, claims: list[Claim]) -> None:
        """Queue what was claimed; cancel what is for a webhook that is switched off."""
        self._mark_failing(self._targets.refresh({(claimed.webhook_id, claimed.webhook_version) for claimed in claims}))
        for claimed in claims:
            # One that is here already comes again when the clock has jumped over the end of its lease: only that moves.
            is_new = claimed.delivery_id not in self._leases
            self._leases[claimed.delivery_id] = claimed.leased_until
            if is_new:
                self._waiting.add(claimed)
        self._cancel_for_disabled()

    def _mark_failing(self, webhooks: Iterable[Webhook]) -> None:
        for webhook in webhooks:
            self._waiting.mark(str(webhook.pk), failing=webhook.failing_since is not None)

    def _review(self) -> None:
        """Look again at what waits its turn: drop what was cancelled, take over what was changed at its webhook."""
        now = time.monotonic()
        if not self._waiting or now - self._reviewed_at < REVIEW_SECONDS:
            return
        self._reviewed_at = now
        webhooks = Webhook.objects.filter(pk__in=any_of({claimed.webhook_id for claimed in self._waiting}))
        versions = [(str(pk), version) for pk, version in webhooks.values_list("pk", "version")]
        self._mark_failing(self._targets.refresh(versions))
        deliveries = Delivery.objects.filter(pk__in=any_of(claimed.delivery_id for claimed in self._waiting))
        ended = {str(pk) for pk in deliveries.filter(next_attempt_at=None).values_list("pk", flat=True)}
        self._release(self._waiting.drop(lambda claimed: claimed.delivery_id in ended))
        self._cancel_for_disabled()

    def _cancel_for_disabled(self) -> None:
        off = {str(webhook.pk): webhook for webhook in self._targets if webhook.reason_to_cancel(replay=False)}

        def reason_to_cancel(claimed: Claim) -> str:
            webhook = off.get(claimed.webhook_id)
            return webhook.reason_to_cancel(replay=claimed.is_replay) if webhook else ""

        dropped = self._waiting.drop(lambda claimed: bool(reason_to_cancel(claimed))) if off else []
        for reason in {reason_to_cancel(claimed) for claimed in dropped}:
            ids = [claimed.delivery_id for claimed in dropped if reason_to_cancel(claimed) == reason]
            Delivery.objects.filter(pk__in=ids).cancel(reason)
        self._release(dropped)

    def _give_back(self) -> None:
        """Let others have what waits here."""
        self._release(self._waiting.drop(lambda claimed: True))

    def _release(self, claims: list[Claim]) -> None:
        if claims:
            release([each._replace(leased_until=self._leases.pop(each.delivery_id)) for each in claims])

    # Sending

    def _send(self) -> None:
        """Fill the free places, webhook by webhook in turn, up to each one's cap."""
        now = datetime.now(UTC)
        timestamp = int(now.timestamp())
        under_way = self._transport.in_flight + len(self._results) + len(self._recorder)
        places = min(self._transport.free, self._most_under_way - under_way)
        for line in self._waiting.in_turn(time.monotonic()):
            if places <= 0:
                break
            places -= self._send_next(line, now, timestamp)
        self._slots.give_back_kept()

    def _send_next(self, line: Line, now: datetime, timestamp: int) -> int:
        """Send the first delivery of the line, or drop it, unless other processes use all slots of its webhook.

        Return how many places it takes.
        """
        webhook_id = line.claims[0].webhook_id
        webhook = self._targets.get(webhook_id)
        if webhook is None:
            # Nobody can read its secrets; its deliveries are tried again when their leases have run out.
            del self._leases[self._waiting.pop(line).delivery_id]
            return 0
        slot = self._slots.take(webhook_id)
        if slot is None:
            line.not_before = time.monotonic() + POLL_SECONDS
            return 0
        claimed = self._waiting.pop(line)
        if self._leases[claimed.delivery_id] - now < self._lease_needed:
            self._slots.give_back(slot)
            self._release([claimed])
            return 0
        self._waiting.start(webhook_id)
        try:
            request = make_request(claimed, webhook.url, webhook.valid_secrets(now), timestamp)
        except Exception as error:
            # Whatever is wrong with one delivery or its secret must not stop the others.
            logger.exception("request_not_made", delivery=claimed.delivery_id)
            self._slots.give_back(slot)
            answer = Answer(now, 0, error=Attempt.Error.REQUEST, error_text=type(error).__name__)
            self._add_result(claimed, Request(webhook.url, [], claimed.body), answer)
        else:
            self._transport.start(request, Sent(claimed, request, slot))
        return 1

    # Answers

    def _receive(self) -> None:
        if not self._transport.in_flight:
            self._wait()
        for sent, answer in self._transport.finished(POLL_SECONDS):
            claimed, request, slot = sent
            self._slots.keep(claimed.webhook_id, slot)
            self._add_result(claimed, request, answer)

    def _wait(self) -> None:
        """Wait for the recorder, or for the next ration or a slot that another process uses where that is all."""
        if self._is_paused():
            time.sleep(POLL_SECONDS)
        elif not self._recorder.is_free:
            self._recorder.wait(POLL_SECONDS)
        elif not self._results and (self._waiting or self._intake.more_follows):
            time.sleep(POLL_SECONDS)

    def _add_result(self, claimed: Claim, request: Request, answer: Answer) -> None:
        if claimed.is_test:
            outcome = judge_test(answer)
        else:
            # The jitter keeps retries apart; nobody gains by guessing it.
            outcome = judge(answer, claimed.tries, datetime.now(UTC), random.random())  # noqa: S311
        has_succeeded = outcome.succeeded
        self._waiting.mark(claimed.webhook_id, failing=not has_succeeded)
        if has_succeeded:
            self._waiting.finish(claimed.webhook_id)
        if not self._results:
            self._oldest_result_at = time.monotonic()
        self._results.append(Result(claimed, request, answer, outcome))

    def _record_results(self) -> None:
        if not self._results or not self._recorder.is_free or self._is_paused():
            return
        waited = time.monotonic() - self._oldest_result_at
        if len(self._results) >= RECORD_BATCH or waited >= POLL_SECONDS or not self._transport.in_flight:
            self._recorder.start([self._with_present_lease(each) for each in self._results])
            self._results = []

    def _take_over_recorded(self) -> None:
        if not self._recorder.is_done:
            return
        results, recorded = self._recorder.take_back()
        if isinstance(recorded, BaseException):
            self._results = results + self._results
            raise recorded
        self._recorded += recorded.count
        for result in results:
            del self._leases[result.claim.delivery_id]
            if not result.outcome.succeeded:
                # Its webhook may rest from now on, so nothing took its place before.
                self._waiting.finish(result.claim.webhook_id)
        self._room_was_made = True
        if recorded.resting:
            self._release(self._waiting.drop(lambda claimed: claimed.webhook_id in recorded.resting))
        if any(result.outcome.webhook_is_gone for result in results):
            self._reviewed_at = 0.0

    def _with_present_lease(self, result: Result) -> Result:
        leased_until = self._leases[result.claim.delivery_id]
        if result.claim.leased_until == leased_until:
            return result
        return result._replace(claim=result.claim._replace(leased_until=leased_until))

    def _is_done(self) -> bool:
        if self._transport.in_flight or not self._recorder.is_free:
            return False
        past_end = time.monotonic() >= self._stop_at
        if self._results:
            # Without a database until their leases have run out: others will send them again.
            return past_end and all(self._leases[each.claim.delivery_id] < datetime.now(UTC) for each in self._results)
        more_is_due = self._waiting or self._intake.more_is_due or self._intake.more_follows or self._room_was_made
        return past_end or not more_is_due

    # Trouble

    def _is_paused(self) -> bool:
        return time.monotonic() < self._paused_until

    def _with_database(self, step: Callable[[], None]) -> None:
        """Run a step; where the database fails, pause, longer each time, and go on with what is in flight.

        The step is done again later. Nothing is lost by that: what was claimed comes back when its lease runs out, and
        what was sent is kept until it is recorded.
        """
        if self._is_paused():
            return
        try:
            step()
            self._pause = 0.0
        except (DatabaseError, InterfaceError) as error:
            self._pause = min(max(2 * self._pause, FIRST_PAUSE_SECONDS), LONGEST_PAUSE_SECONDS)
            self._paused_until = time.monotonic() + self._pause
            logger.warning("database_failed", step=step.__name__, error=str(error), pause_seconds=self._pause)
            connection.close()
