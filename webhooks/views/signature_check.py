import time
from datetime import UTC, datetime
from typing import Any

from django.contrib.auth.decorators import login_required
from django.http import HttpResponse
from django.shortcuts import render
from django.utils.translation import gettext as _
from django.views.decorators.debug import sensitive_post_parameters
from django.views.decorators.http import require_http_methods

from accounts.access import SignedInRequest
from webhooks.forms import SignatureCheckForm
from webhooks.signature_check.check import check
from webhooks.signature_check.findings import Verdict
from webhooks.signature_check.headers import STANDARD_SIGNATURE, WINK_SIGNATURE, read_headers
from webhooks.signature_check.sentences import sentence


@sensitive_post_parameters()
@login_required
@require_http_methods(["GET", "HEAD", "POST"])
def signature_check(request: SignedInRequest) -> HttpResponse:
    """Check what is pasted, and forget it with the answer."""
    form = SignatureCheckForm(request.POST if request.method == "POST" else None, user=request.user)
    context: dict[str, Any] = {"form": form}
    if form.is_valid():
        secret, previous_secret = form.secrets
        headers, body = read_headers(form.cleaned_data["headers"]), form.cleaned_data["body"].encode()
        report = check(secret, headers, body, time.time(), previous_secret)
        context["results"] = [
            _result(_("The Wink signature"), WINK_SIGNATURE, report.wink),
            _result(_("Standard Webhooks"), STANDARD_SIGNATURE, report.standard),
        ]
    return render(request, "webhooks/signature_check.html", context)


def _result(title: str, header: str, verdict: Verdict) -> dict[str, Any]:
    signed_at = None if verdict.timestamp is None else datetime.fromtimestamp(verdict.timestamp, UTC)
    return {
        "title": title,
        "header": header,
        "verdict": verdict,
        "signed_at": signed_at,
        "sentences": [sentence(finding) for finding in verdict.findings],
    }
