from typing import ClassVar, Self

from django.db import models
from django.utils.translation import gettext_lazy as _

from accounts.models import Membership
from webhooks.models.webhook import Webhook
from winkhooks.uuid7 import uuid7


class NoticeChoiceQuerySet(models.QuerySet["NoticeChoice"]):
    def general(self) -> Self:
        return self.filter(webhook=None)


class NoticeChoice(models.Model):
    """What a member chose about e-mails on one webhook, or in general; `webhooks.notice_choices` says what counts.

    It belongs to the membership, so that it ends with that.
    """

    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    membership = models.ForeignKey(
        Membership, models.CASCADE, related_name="notice_choices", verbose_name=_("membership")
    )
    webhook = models.ForeignKey(
        Webhook,
        models.CASCADE,
        null=True,
        related_name="notice_choices",
        verbose_name=_("webhook"),
        help_text=_("None: all webhooks of the account about which the member chose nothing else."),
    )
    wanted = models.BooleanField(_("wanted"))

    objects: ClassVar[NoticeChoiceQuerySet] = NoticeChoiceQuerySet.as_manager()  # type: ignore[assignment]

    class Meta:
        verbose_name = _("choice of notices")
        verbose_name_plural = _("choices of notices")
        constraints = [
            models.UniqueConstraint(fields=["membership", "webhook"], name="notice_choice_unique"),
            models.UniqueConstraint(
                fields=["membership"], condition=models.Q(webhook=None), name="notice_choice_general_unique"
            ),
        ]

    def __str__(self) -> str:
        return f"{self.membership_id} · {self.webhook_id}"
