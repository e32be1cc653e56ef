from collections.abc import Callable, Iterable
from datetime import datetime
from typing import ClassVar, Self
from uuid import UUID

from django.db import models, transaction
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from accounts.audit import Action
from webhooks.models.event import Event
from webhooks.models.recovery import Recovery
from webhooks.models.webhook import Webhook
from winkhooks.uuid7 import uuid7


class DeliveryQuerySet(models.QuerySet["Delivery"]):
    def unfinished(self) -> Self:
        """Keep PENDING and RETRYING ones: those, and only those, have a next attempt."""
        return self.filter(next_attempt_at__isnull=False)

    def not_under_way(self) -> Self:
        """Leave out what a worker has claimed and may be sending now."""
        return self.exclude(leased_until__gt=timezone.now())

    def last_of(self, webhook_ids: Iterable[UUID]) -> dict[UUID, "Delivery"]:
        """Return the newest delivery of each webhook that has one: a look into the index for each, in two queries."""
        newest = self.filter(webhook=models.OuterRef("pk")).order_by("-pk").values("pk")[:1]
        ids = Webhook.objects.filter(pk__in=webhook_ids).values_list(models.Subquery(newest))
        return {delivery.webhook_id: delivery for delivery in self.filter(pk__in=[pk for (pk,) in ids if pk])}

    def cancel(self, reason: "Delivery.EndReason | str") -> int:
        """End unfinished deliveries as CANCELLED; return how many. An answer that is under way still counts."""
        if reason == Delivery.EndReason.BY_USER:
            return self._by_hand(Action.DELIVERY_CANCELLED, lambda chosen: chosen._end(reason))
        return self._end(reason)

    def _end(self, reason: "Delivery.EndReason | str") -> int:
        return self.unfinished().update(
            status=Delivery.Status.CANCELLED,
            end_reason=reason,
            next_attempt_at=None,
            finished_at=timezone.now(),
        )

    def retry_now(self) -> int:
        """Make unfinished deliveries due at once, and end the rest of their webhooks; return how many deliveries.

        Of a webhook that rests one of them is the probe.
        """
        return self._by_hand(Action.DELIVERY_RETRIED, lambda chosen: chosen._make_due(timezone.now()))

    def _make_due(self, now: datetime) -> int:
        self._end_rest(now)
        return self.unfinished().update(next_attempt_at=now)

    def chosen_by_hand(self, rested_since: datetime) -> Self:
        """Keep those of a webhook, rested since then, for which somebody ended its rest: `_end_rest` marks them so."""
        return self.filter(next_attempt_at=rested_since)

    def redeliver(self) -> int:
        """Take finished deliveries back to PENDING, due now, with a fresh budget; return how many.

        Attempts are numbered on. Those of webhooks that are disabled or removed stay: nothing would be sent.
        """
        return self._by_hand(Action.DELIVERY_REDELIVERED, lambda chosen: chosen._send_again(timezone.now()))

    def _send_again(self, now: datetime) -> int:
        self._end_rest(now)
        sent = self.filter(webhook__removed_at=None, webhook__enabled=True)
        return sent._bring_back(Delivery.Priority.RETRY, None, now)

    def replay(self, recovery: Recovery) -> int:
        """Do the same for a recovery: they go last in line, to a disabled webhook too. The rest of a webhook stays."""
        return self._bring_back(Delivery.Priority.REPLAY, recovery, timezone.now())

    def _bring_back(self, priority: "Delivery.Priority", recovery: Recovery | None, now: datetime) -> int:
        return self.filter(next_attempt_at=None).update(
            status=Delivery.Status.PENDING,
            priority=priority,
            recovery=recovery,
            end_reason="",
            budget_start=models.F("attempt_count"),
            next_attempt_at=now,
            finished_at=None,
        )

    def _by_hand(self, action: Action, change: "Callable[[DeliveryQuerySet], int]") -> int:
        """Change the deliveries of one webhook after the other, each with its entry in the change history.

        In a transaction each: whoever holds deliveries of one webhook must not wait for the next webhook, which a
        worker may have locked that waits for those deliveries.
        """
        total = 0
        for webhook in Webhook.objects.filter(pk__in=self.order_by().values("webhook")).only("account", "name"):
            chosen = self.filter(webhook=webhook.pk)
            with transaction.atomic():
                ids = list(chosen.order_by().values_list("pk", flat=True)[:2])
                changed = change(chosen)
                if changed:
                    webhook.record(action, target_id=ids[0] if len(ids) == 1 else None, count=changed)
            total += changed
        return total

    def _end_rest(self, now: datetime) -> None:
        """Let webhooks that are cooling down be tried at once, since somebody asks for it.

        What is made due at the very moment at which the rest ends is what was asked for, and so comes first.
        """
        Webhook.objects.filter(pk__in=self.values("webhook"), cooling_until__isnull=False).update(cooling_until=now)


class Delivery(models.Model):
    """One webhook's copy of one event, and the queue: what is unfinished and due is what the engine takes next."""

    class Priority(models.IntegerChoices):
        """Of what is due at a webhook, the lowest goes first."""

        FIRST_ATTEMPT = 0, _("First attempt")
        RETRY = 1, _("Retry")
        REPLAY = 2, _("Replay")

    class Status(models.TextChoices):
        PENDING = "PENDING", _("Pending")
        RETRYING = "RETRYING", _("Retrying")
        SUCCEEDED = "SUCCEEDED", _("Succeeded")
        DEAD = "DEAD", _("Dead")
        CANCELLED = "CANCELLED", _("Cancelled")

    class EndReason(models.TextChoices):
        EXHAUSTED = "EXHAUSTED", _("The last attempt failed")
        REFUSED = "REFUSED", _("The receiver refused it")
        GONE = "GONE", _("The receiver answered 410 Gone")
        WEBHOOK_DISABLED = "WEBHOOK_DISABLED", _("The webhook was disabled")
        WEBHOOK_REMOVED = "WEBHOOK_REMOVED", _("The webhook was removed")
        BY_USER = "BY_USER", _("Cancelled by hand")
        RECOVERY_ENDED = "RECOVERY_ENDED", _("The recovery was cancelled")
        TEST_FAILED = "TEST_FAILED", _("The test event failed")

    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    # Without constraints of the database, as in Attempt: whoever writes a row has locked what it points at, or nobody
    # ever removes that, so that a check could only cost. See docs/decisions/0006-hot-rows-are-not-checked.md.
    event = models.ForeignKey(
        Event,
        models.CASCADE,
        related_name="deliveries",
        verbose_name=_("event"),
        db_index=False,
        db_constraint=False,
    )
    webhook = models.ForeignKey(
        Webhook,
        models.CASCADE,
        related_name="deliveries",
        verbose_name=_("webhook"),
        db_index=False,
        db_constraint=False,
    )
    # What is sent for the first time has none, and the purge sets it to null where it removes one.
    recovery = models.ForeignKey(
        Recovery,
        models.SET_NULL,
        null=True,
        related_name="deliveries",
        verbose_name=_("recovery"),
        db_index=False,
        db_constraint=False,
        editable=False,
    )
    url = models.CharField(_("URL"), max_length=2048, help_text=_("Where the last attempt went."))
    status = models.CharField(_("status"), max_length=9, choices=Status.choices, default=Status.PENDING)
    end_reason = models.CharField(_("why it ended"), max_length=16, choices=EndReason.choices, blank=True)
    priority = models.PositiveSmallIntegerField(_("priority"), choices=Priority.choices, default=Priority.FIRST_ATTEMPT)
    attempt_count = models.PositiveIntegerField(_("attempts"), default=0)
    budget_start = models.PositiveIntegerField(
        _("earlier attempts"), default=0, help_text=_("How many attempts there were before the present ten.")
    )
    next_attempt_at = models.DateTimeField(_("next attempt"), null=True, default=timezone.now)
    leased_until = models.DateTimeField(
        _("leased until"), null=True, help_text=_("While a worker has it; no other one takes it before.")
    )
    last_http_status = models.PositiveSmallIntegerField(_("last HTTP status"), null=True)
    created_at = models.DateTimeField(_("created"), default=timezone.now, editable=False)
    finished_at = models.DateTimeField(_("finished"), null=True)

    objects: ClassVar[DeliveryQuerySet] = DeliveryQuerySet.as_manager()  # type: ignore[assignment]

    class Meta:
        verbose_name = _("delivery")
        verbose_name_plural = _("deliveries")
        ordering = ["-id"]
        constraints = [
            models.UniqueConstraint(fields=["event", "webhook"], name="delivery_event_webhook_unique"),
            models.CheckConstraint(
                condition=models.Q(
                    status__in=["PENDING", "RETRYING"], next_attempt_at__isnull=False, finished_at__isnull=True
                )
                | models.Q(status__in=["SUCCEEDED", "DEAD", "CANCELLED"], next_attempt_at=None),
                name="delivery_unfinished_has_next_attempt",
            ),
            models.CheckConstraint(
                condition=models.Q(attempt_count__gte=models.F("budget_start")), name="delivery_budget_within_attempts"
            ),
        ]
        indexes = [
            # The queue, by webhook and as a whole. Finished rows are not in it, so that they cost the engine nothing.
            models.Index(
                fields=["webhook", "priority", "next_attempt_at"],
                name="delivery_queue",
                condition=models.Q(next_attempt_at__isnull=False),
            ),
            # Its condition says the same in more words: without them PostgreSQL would take this index, too, where it is
            # asked for what is due at one webhook, and walk through the backlogs of all others.
            models.Index(
                fields=["next_attempt_at"],
                name="delivery_due",
                condition=models.Q(next_attempt_at__isnull=False, finished_at__isnull=True),
            ),
            models.Index(fields=["webhook", "-id"], name="delivery_webhook"),
            # For recoveries and lists of what failed, which would go through all that arrived to find none. That is not
            # in it, and so costs the engine nothing more.
            models.Index(
                fields=["webhook", "-id", "status", "end_reason"],
                name="delivery_failed",
                condition=models.Q(status__in=["DEAD", "CANCELLED"]),
            ),
            # The status for the page of a recovery, which counts them while it goes on.
            models.Index(
                fields=["recovery", "status"],
                name="delivery_recovery_status",
                condition=models.Q(recovery__isnull=False),
            ),
        ]

    def __str__(self) -> str:
        return f"{self.event_id} → {self.webhook_id}"

    def waits_for_another(self) -> bool:
        """Tell whether another delivery goes before this one, due as it is, to show that its webhook works again."""
        if self.webhook.cooling_until is None:
            return False
        now = timezone.now()
        others = Delivery.objects.unfinished().filter(webhook=self.webhook_id).exclude(pk=self.pk)
        if others.filter(leased_until__gt=now).exists():
            return True
        is_replay = self.priority == self.Priority.REPLAY
        return is_replay and others.filter(next_attempt_at__lte=now).exclude(priority=self.Priority.REPLAY).exists()


class Attempt(models.Model):
    """One request of a delivery and what came of it."""

    class Error(models.TextChoices):
        TIMEOUT = "TIMEOUT", _("No complete answer in time")
        NAME = "NAME", _("The host name could not be looked up")
        ADDRESS_REFUSED = "ADDRESS_REFUSED", _("The address may not be called")
        CONNECT = "CONNECT", _("No connection")
        TLS = "TLS", _("No trusted TLS connection")
        RESET = "RESET", _("The connection broke")
        PROTOCOL = "PROTOCOL", _("The answer was not HTTP")
        REQUEST = "REQUEST", _("The request could not be made")

    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    delivery = models.ForeignKey(
        Delivery,
        models.CASCADE,
        related_name="attempts",
        verbose_name=_("delivery"),
        db_index=False,
        db_constraint=False,
    )
    number = models.PositiveIntegerField(_("number"))
    started_at = models.DateTimeField(_("started"))
    duration_ms = models.PositiveIntegerField(_("duration in ms"))
    # Where the duration went, one phase after the other. A phase that did not come about is null: over a kept
    # connection all but the last, in attempts of older versions all. What is left went into the rest of the answer.
    # They have no checks: adding one reads the whole table, while nothing else may use it.
    lookup_ms = models.IntegerField(_("name look-up in ms"), null=True)
    connect_ms = models.IntegerField(_("connecting in ms"), null=True)
    tls_ms = models.IntegerField(_("TLS in ms"), null=True)
    wait_ms = models.IntegerField(_("waiting for the answer in ms"), null=True)
    http_status = models.PositiveSmallIntegerField(_("HTTP status"), null=True)
    error = models.CharField(_("error"), max_length=15, choices=Error.choices, blank=True)
    error_text = models.CharField(_("error text"), max_length=500, blank=True)
    remote_address = models.GenericIPAddressField(_("remote address"), null=True)
    request_headers = models.JSONField(_("request headers"), default=list)
    response_headers = models.JSONField(_("response headers"), default=list)
    response_snippet = models.BinaryField(_("response snippet"), default=bytes)

    class Meta:
        verbose_name = _("attempt")
        verbose_name_plural = _("attempts")
        ordering = ["delivery", "number"]
        constraints = [
            models.UniqueConstraint(fields=["delivery", "number"], name="attempt_number_unique"),
            models.CheckConstraint(condition=~models.Q(http_status=None, error=""), name="attempt_has_status_or_error"),
        ]

    def __str__(self) -> str:
        return f"{self.delivery_id} #{self.number}"
