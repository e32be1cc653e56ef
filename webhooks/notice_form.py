from typing import Any
from uuid import UUID

from django import forms
from django.db import models
from django.utils.translation import gettext_lazy as _

from accounts.models import Membership
from webhooks import notice_choices
from webhooks.models import Webhook


class Which(models.TextChoices):
    ALL = "all", _("All webhooks, those made later too")
    SOME = "some", _("Only these:")
    NONE = "none", _("About none of them")


class WebhookChoices(forms.ModelMultipleChoiceField):  # type: ignore[type-arg]  # no generic class at run time
    widget = forms.CheckboxSelectMultiple(attrs={"class": "form-check-input"})

    def label_from_instance(self, webhook: Any) -> str:
        name: str = webhook.name.strip()
        return name or webhook.url


class NoticeForm(forms.Form):
    """About which webhooks of an account a member wants e-mails."""

    which = forms.ChoiceField(
        label=_("E-mails about"),
        choices=Which.choices,
        widget=forms.RadioSelect(attrs={"class": "form-check-input"}),
        error_messages={"required": _("Choose one."), "invalid_choice": _("Choose one.")},
    )
    webhooks = WebhookChoices(label=_("Webhooks"), queryset=Webhook.objects.none(), required=False)
    later = forms.BooleanField(
        label=_("Webhooks made later"),
        required=False,
        widget=forms.CheckboxInput(attrs={"class": "form-check-input"}),
    )
    # Webhooks that are made while the form is open are not in its list, and count as made later.
    newest = forms.UUIDField(widget=forms.HiddenInput, required=False)

    def __init__(self, *args: Any, membership: Membership, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.membership = membership
        self.present = Webhook.objects.present().without_secrets().filter(account=membership.account_id)
        field = self.fields["webhooks"]
        assert isinstance(field, WebhookChoices)
        field.queryset = self.present
        if not self.is_bound:
            self.initial = self._chosen()

    def save(self) -> None:
        match self.cleaned_data["which"]:
            case Which.SOME:
                notice_choices.choose_some(
                    self.membership,
                    in_general=self.cleaned_data["later"],
                    chosen=[webhook.pk for webhook in self.cleaned_data["webhooks"]],
                    listed=self._listed(),
                )
            case which:
                notice_choices.choose_in_general(self.membership, which == Which.ALL)

    def _listed(self) -> list[UUID]:
        newest = self.cleaned_data["newest"]
        return list(self.present.filter(pk__lte=newest).values_list("pk", flat=True)) if newest else []

    def _chosen(self) -> dict[str, Any]:
        present = set(self.present.values_list("pk", flat=True))
        chosen = set(notice_choices.chosen_webhooks(self.membership).values_list("pk", flat=True))
        later = notice_choices.in_general(self.membership)
        which = Which.SOME
        if chosen == (present if later else set()):
            which = Which.ALL if later else Which.NONE
        return {"which": which, "webhooks": chosen, "later": later, "newest": max(present, default=None)}
