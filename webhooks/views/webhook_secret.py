from datetime import timedelta
from uuid import UUID

from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.core.exceptions import ImproperlyConfigured
from django.http import Http404, HttpResponse
from django.shortcuts import redirect, render
from django.utils import timezone
from django.utils.translation import gettext as _
from django.views.decorators.http import require_http_methods

from accounts import limits
from accounts.access import SignedInRequest, get_rw_membership
from webhooks.forms import SecretRotateForm
from webhooks.models import Webhook
from webhooks.views import new_secrets
from webhooks.views.webhook import get_webhook, tab_context


@login_required
@require_http_methods(["GET", "HEAD", "POST"])
def secret_rotate(request: SignedInRequest, account_id: UUID, webhook_id: UUID) -> HttpResponse:
    membership = get_rw_membership(request.user, account_id)
    webhook = get_webhook(account_id, webhook_id)
    form = SecretRotateForm(request.POST if request.method == "POST" else None)
    context = tab_context(membership) | {"webhook": webhook, "form": form}
    if form.is_valid():
        overlap = timedelta(hours=form.cleaned_data["overlap"])
        try:
            webhook.rotate_secret(timezone.now() + overlap if overlap else None, by=request.user)
        except Webhook.DoesNotExist:
            raise Http404 from None
        except ImproperlyConfigured:
            form.add_error("overlap", _("The present secret cannot be read, and so it cannot stay valid."))
        except limits.TooMany as error:
            form.add_error("overlap", str(error))
            return limits.refused(render(request, "webhooks/secret_rotate.html", context), error)
        else:
            new_secrets.show_next(request, webhook)
            messages.success(request, _("“%(name)s” has a new signing secret.") % {"name": webhook.name})
            return redirect("webhooks:webhook_detail", account_id, webhook_id)
    return render(request, "webhooks/secret_rotate.html", context)


@login_required
@require_http_methods(["GET", "HEAD", "POST"])
def overlap_end(request: SignedInRequest, account_id: UUID, webhook_id: UUID) -> HttpResponse:
    membership = get_rw_membership(request.user, account_id)
    webhook = get_webhook(account_id, webhook_id)
    if request.method == "POST":
        webhook.end_overlap(by=request.user)
        messages.success(
            request, _("The previous signing secret of “%(name)s” signs no more.") % {"name": webhook.name}
        )
        return redirect("webhooks:webhook_detail", account_id, webhook_id)
    return render(request, "webhooks/overlap_end.html", tab_context(membership) | {"webhook": webhook})
