"""New signing secrets, each shown once. The session holds the ids of their webhooks, never the secrets themselves."""

import secrets

from django.http import HttpRequest

from webhooks.models import Webhook
from webhooks.models.webhook import WebhookQuerySet

# The webhooks whose secret a page of theirs has yet to show.
WAITING_KEY = "new_secrets"
# Those whose secret the last page showed, and what the language switch of that page, and no other page, hands back.
SHOWN_KEY = "new_secrets_shown"


def show_next(request: HttpRequest, webhook: Webhook) -> None:
    """Let the next page that may show it show the webhook's secret."""
    request.session[WAITING_KEY] = [*request.session.get(WAITING_KEY, []), str(webhook.pk)]


def pop(request: HttpRequest, webhooks: WebhookQuerySet) -> list[Webhook]:
    """Return those of `webhooks` whose secret is to be shown, and forget that it is.

    A later request gets none of them, but for the one with which the page that shows them changes its language.
    """
    # A HEAD shows nothing to anybody.
    if request.method != "GET" or not {WAITING_KEY, SHOWN_KEY} & set(request.session.keys()):
        return []
    waiting = request.session.pop(WAITING_KEY, [])
    shown = request.session.pop(SHOWN_KEY, {})
    again = shown["ids"] if shown and request.GET.get("shown") == shown["token"] else []
    popped = list(webhooks.filter(pk__in=[*again, *waiting]).order_by("pk"))
    ids = [str(webhook.pk) for webhook in popped]
    if rest := [pk for pk in waiting if pk not in ids]:
        request.session[WAITING_KEY] = rest
    if ids:
        request.session[SHOWN_KEY] = {"ids": ids, "token": secrets.token_urlsafe(16)}
    return popped


def return_to(request: HttpRequest) -> str:
    """Return where the language switch of a page that shows secrets leads: to the same page, with them."""
    return f"{request.path}?shown={request.session[SHOWN_KEY]['token']}"
