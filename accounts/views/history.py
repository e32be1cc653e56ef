from uuid import UUID

from django.contrib.auth.decorators import login_required
from django.http import HttpResponse
from django.shortcuts import render
from django.views.decorators.http import require_safe

from accounts.access import SignedInRequest, get_owner_membership
from accounts.audit import KEEP_DAYS, AuditEntry
from accounts.history import PAGE_SIZE, HistoryFilter, ShownEntry
from winkhooks.paging import key_in, page_of


@login_required
@require_safe
def account_history(request: SignedInRequest, account_id: UUID) -> HttpResponse:
    """Show owners alone who did what: it names people and where they were."""
    membership = get_owner_membership(request.user, account_id)
    form = HistoryFilter(request.GET, account=membership.account)
    entries = form.narrow(AuditEntry.objects.filter(account=account_id))
    page = page_of(entries, PAGE_SIZE, before=key_in(request.GET, "before"), after=key_in(request.GET, "after"))
    context = {
        "account": membership.account,
        "membership": membership,
        "active_tab": "history",
        "form": form,
        "page": page,
        "entries": [ShownEntry(entry) for entry in page.rows],
        "keep_days": KEEP_DAYS,
    }
    return render(request, "accounts/account_history.html", context)
