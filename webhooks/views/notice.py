from uuid import UUID

from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.utils.translation import gettext as _
from django.views.decorators.csrf import csrf_exempt
from django.views.decorators.http import require_http_methods

from accounts.access import SignedInRequest, action, get_membership
from accounts.models import Membership
from webhooks import notice_choices, notice_link
from webhooks.models import Webhook
from webhooks.notice_form import NoticeForm
from webhooks.views.webhook import get_webhook


@login_required
@require_http_methods(["GET", "HEAD", "POST"])
def notice_list(request: SignedInRequest, account_id: UUID) -> HttpResponse:
    """Let a member choose about which webhooks they get e-mails; each chooses for themselves alone."""
    membership = get_membership(request.user, account_id)
    form = NoticeForm(request.POST if request.method == "POST" else None, membership=membership)
    if form.is_valid():
        form.save()
        messages.success(request, _("Your choice was saved."))
        return redirect("webhooks:notice_list", account_id)
    context = {"account": membership.account, "membership": membership, "active_tab": "overview", "form": form}
    return render(request, "webhooks/notice_list.html", context)


@login_required
@action("webhooks:webhook_detail", "account_id", "webhook_id")
def notice_choose(request: SignedInRequest, account_id: UUID, webhook_id: UUID) -> HttpResponse:
    """Let a member get e-mails about a webhook, or not: `wanted` in the form is 1 or 0."""
    membership = get_membership(request.user, account_id)
    webhook = get_webhook(account_id, webhook_id)
    wanted = request.POST.get("wanted") == "1"
    notice_choices.choose(membership, webhook, wanted)
    text = _("You get e-mails about “%(name)s”.") if wanted else _("You get no more e-mails about “%(name)s”.")
    messages.success(request, text % {"name": webhook.name})
    return redirect("webhooks:webhook_detail", account_id, webhook_id)


# Mail programs post to it by themselves when their user says so (RFC 8058), without a cookie. The token is what
# shows that it is their user's wish.
@csrf_exempt
@require_http_methods(["GET", "HEAD", "POST"])
def notice_stop(request: HttpRequest, stop_token: str) -> HttpResponse:
    """Ask whether e-mails about a webhook shall stop, and stop them with a POST; who opens a link has not said so."""
    ids = notice_link.read(stop_token)
    if ids is None:
        return render(request, "webhooks/notice_link_unusable.html", status=404)
    membership_id, webhook_id = ids
    membership = Membership.objects.filter(pk=membership_id).first()
    webhook = get_object_or_404(Webhook.objects.without_secrets(), pk=webhook_id)
    # Of an account that they are not in any more they get none.
    if membership is not None and request.method == "POST":
        notice_choices.choose(membership, webhook, wanted=False)
    stopped = membership is None or request.method == "POST"
    context = {"webhook": webhook if membership else None, "account_id": webhook.account_id, "stopped": stopped}
    return render(request, "webhooks/notice_stop.html", context)
