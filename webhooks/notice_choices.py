"""Who gets e-mails about which webhook.

What a member chose about a webhook counts first, then what they chose in general. Who chose neither gets them where
they may manage the webhooks: an owner or a manager does, a viewer does not.
"""

from collections.abc import Iterable
from uuid import UUID

from django.db import transaction
from django.db.models import BooleanField, Case, OuterRef, QuerySet, Subquery, Value, When
from django.db.models.functions import Coalesce

from accounts.access import MAY_MANAGE_WEBHOOKS, may_manage_webhooks
from accounts.models import Membership
from webhooks.models import NoticeChoice, Webhook
from webhooks.models.webhook import WebhookQuerySet


def recipients(webhook: Webhook) -> QuerySet[Membership]:
    """Return the members who get e-mails about the webhook, with their users."""
    choices = NoticeChoice.objects.filter(membership=OuterRef("pk"))
    by_role = Case(
        When(role__in=MAY_MANAGE_WEBHOOKS, then=Value(True)), default=Value(False), output_field=BooleanField()
    )
    return (
        Membership.objects.alias(
            gets_notices=Coalesce(
                Subquery(choices.filter(webhook=webhook.pk).values("wanted")),
                Subquery(choices.general().values("wanted")),
                by_role,
            )
        )
        .filter(gets_notices=True, account=webhook.account_id, user__is_active=True)
        .select_related("user")
        .order_by("user_id")
    )


def in_general(membership: Membership) -> bool:
    """Say whether the member gets e-mails about webhooks of which they chose nothing else, later ones among them."""
    chosen = membership.notice_choices.general().values_list("wanted", flat=True).first()
    return may_manage_webhooks(membership) if chosen is None else chosen


def chosen_webhooks(membership: Membership) -> WebhookQuerySet:
    """Return the present webhooks of the account about which the member gets e-mails."""
    chosen = membership.notice_choices.filter(webhook=OuterRef("pk")).values("wanted")
    present = Webhook.objects.present().filter(account=membership.account_id)
    return present.alias(
        gets_notices=Coalesce(Subquery(chosen), Value(in_general(membership)), output_field=BooleanField())
    ).filter(gets_notices=True)


def choose(membership: Membership, webhook: Webhook, wanted: bool) -> None:
    """Let the member get e-mails about one webhook, or not."""
    NoticeChoice.objects.update_or_create(membership=membership, webhook=webhook, defaults={"wanted": wanted})


def choose_in_general(membership: Membership, wanted: bool) -> None:
    """Let the member get e-mails about all webhooks of the account, later ones among them, or about none."""
    choose_some(membership, wanted, chosen=[], listed=[])


def choose_some(membership: Membership, in_general: bool, chosen: Iterable[UUID], listed: Iterable[UUID]) -> None:
    """Let the member get e-mails about the `chosen` ones of the `listed` webhooks; `in_general` counts for all others.

    It takes the place of all that they chose before.
    """
    wanted = set(chosen)
    exceptions = [webhook_id for webhook_id in listed if (webhook_id in wanted) != in_general]
    with transaction.atomic():
        # Whoever presses the button twice waits here.
        Membership.objects.select_for_update(no_key=True).get(pk=membership.pk)
        membership.notice_choices.all().delete()
        NoticeChoice.objects.bulk_create(
            [
                NoticeChoice(membership=membership, wanted=in_general),
                *(
                    NoticeChoice(membership=membership, webhook_id=webhook_id, wanted=not in_general)
                    for webhook_id in exceptions
                ),
            ]
        )
