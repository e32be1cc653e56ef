from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.views.decorators.http import require_safe

from webhooks.signing import TOLERANCE_SECONDS


@require_safe
def verify_guide(request: HttpRequest) -> HttpResponse:
    return render(request, "webhooks/verify_guide.html", {"tolerance_seconds": TOLERANCE_SECONDS})
