from collections.abc import Iterable
from itertools import groupby
from operator import attrgetter
from typing import Any

from django.db import models
from django.utils.translation import get_language
from django.utils.translation import gettext_lazy as _

from webhooks.catalogue.example import example_of

# The platform never announces it: only test events have this type.
TEST_TYPE = "webhook.test"


class EventType(models.Model):
    """A kind of event of the Wink platform; its key is its id. `webhooks.catalogue` fills the table."""

    key = models.CharField(_("key"), max_length=100, primary_key=True)
    group = models.CharField(_("group"), max_length=100)
    group_fi = models.CharField(_("group in Finnish"), max_length=100)
    title = models.CharField(_("title"), max_length=200)
    title_fi = models.CharField(_("title in Finnish"), max_length=200)
    delivered = models.BooleanField(
        _("delivered"), help_text=_("Whether webhooks get it. The platform keeps other kinds to itself.")
    )
    deprecated = models.BooleanField(_("deprecated"), default=False)
    aliases = models.JSONField(_("aliases"), default=list, help_text=_("Other keys that are accepted for it."))
    roles = models.JSONField(_("roles"), default=list, help_text=_("The roles in which an account can get it."))
    schema = models.JSONField(_("JSON schema"), null=True, help_text=_("What the object of the envelope looks like."))
    example = models.JSONField(_("example"), null=True)

    class Meta:
        verbose_name = _("event type")
        verbose_name_plural = _("event types")
        ordering = ["group", "key"]

    def __str__(self) -> str:
        return self.key

    @property
    def localized_title(self) -> str:
        return self.title_fi if get_language() == "fi" else self.title

    @property
    def localized_group(self) -> str:
        return self.group_fi if get_language() == "fi" else self.group

    @property
    def is_for_tests(self) -> bool:
        return self.key == TEST_TYPE

    def has_words(self, words: Iterable[str]) -> bool:
        """Say whether each of `words`, in lower case, is in its names or its group, in the language of the page."""
        text = " ".join([self.key, *self.aliases, self.localized_title, self.localized_group]).lower()
        return all(word in text for word in words)

    def example_object(self) -> dict[str, Any] | None:
        """Return an object as an event of this type has it; None where nothing is known of it."""
        if self.example is not None or self.schema is None:
            return self.example
        # Many types share a schema. What one is about stands in its key: `spa.created` has the itemType SPA.
        made: dict[str, Any] = example_of(self.schema, self.key.upper().split("."))
        return made


def in_groups(event_types: Iterable[EventType]) -> list[tuple[str, list[EventType]]]:
    """Sort event types into their groups, in the language of the page."""
    by_group = sorted(event_types, key=attrgetter("localized_group", "key"))
    return [(group, list(members)) for group, members in groupby(by_group, key=attrgetter("localized_group"))]
