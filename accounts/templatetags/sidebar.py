from django import template
from django.template.context import RequestContext

from accounts.access import readable_accounts
from accounts.models import Account

SIDEBAR_ACCOUNTS = 6

register = template.Library()


@register.simple_tag(takes_context=True)
def sidebar_accounts(context: RequestContext) -> list[Account]:
    """Return the first few accounts of the user, and in any case the one that the page is about."""
    accounts = list(readable_accounts(context["user"])[:SIDEBAR_ACCOUNTS])
    current = context.get("account")
    if isinstance(current, Account) and current not in accounts:
        accounts.append(current)
    return accounts
