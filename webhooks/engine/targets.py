"""The webhooks that a drain sends to, kept for seconds, and no longer than they stay at a version."""

import time
from collections.abc import Iterable, Iterator

import structlog
from django.core.exceptions import ImproperlyConfigured

from webhooks.models import Webhook

# What changes without a new version, which is its health, may be known so much later.
KEPT_SECONDS = 10.0

logger = structlog.get_logger(__name__)


class Targets:
    """Webhooks by their ids, with the keys that sign for them."""

    def __init__(self) -> None:
        self._kept: dict[str, tuple[Webhook, float]] = {}

    def __iter__(self) -> Iterator[Webhook]:
        return (webhook for webhook, _ in self._kept.values())

    def get(self, webhook_id: str) -> Webhook | None:
        """Return the webhook, or None where its secret cannot be read."""
        webhook, _ = self._kept.get(webhook_id, (None, 0.0))
        return webhook

    def refresh(self, versions: Iterable[tuple[str, int]]) -> list[Webhook]:
        """Read the webhooks that are at another version than is kept, or kept for long; return what was read."""
        now = time.monotonic()
        stale = {webhook_id for webhook_id, version in versions if not self._is_fresh(webhook_id, version, now)}
        if not stale:
            return []
        webhooks = _read(stale)
        self._kept |= {str(webhook.pk): (webhook, now) for webhook in webhooks}
        for webhook_id in stale - {str(webhook.pk) for webhook in webhooks}:
            self._kept.pop(webhook_id, None)
        return webhooks

    def _is_fresh(self, webhook_id: str, version: int, now: float) -> bool:
        webhook, read_at = self._kept.get(webhook_id, (None, 0.0))
        return webhook is not None and webhook.version == version and now - read_at < KEPT_SECONDS


def _read(webhook_ids: set[str]) -> list[Webhook]:
    """Return the webhooks; one whose secret cannot be decrypted is left out and must not stop the others."""
    try:
        return list(Webhook.objects.filter(pk__in=webhook_ids))
    except ImproperlyConfigured:
        pass
    webhooks = []
    for webhook_id in webhook_ids:
        try:
            webhooks.append(Webhook.objects.get(pk=webhook_id))
        except ImproperlyConfigured as error:
            logger.error("webhook_unreadable", webhook=webhook_id, error=str(error))
    return webhooks
