"""What pages and e-mails about errors leave out: they show the variables of the code that failed."""

import re
from typing import Any

from django.http import HttpRequest
from django.views.debug import ExceptionReporter, SafeExceptionReporterFilter

SIGNING_SECRET = re.compile(r"whsec_[A-Za-z0-9+/_-]+=*")
# As in the URLs of databases, mail servers and proxies, which settings name.
PASSWORD_IN_URL = re.compile(r"(?<=://)([^\s/:@'\"]*):[^\s/@'\"]+(?=@)")


class SecretFilter(SafeExceptionReporterFilter):
    """Hide what is called a secret, a key or a password, in dictionaries too, and whatever `DEBUG` is."""

    def is_active(self, request: HttpRequest | None) -> bool:
        return True

    def get_traceback_frame_variables(self, request: Any, tb_frame: Any) -> Any:
        variables = super().get_traceback_frame_variables(request, tb_frame)
        return [(name, self.cleanse_setting(name, value)) for name, value in variables]


class SecretlessReporter(ExceptionReporter):
    """Hide signing secrets, and passwords in URLs, wherever they stand in the report, in objects of any name too."""

    def get_traceback_html(self) -> Any:
        return _without_secrets(super().get_traceback_html())

    def get_traceback_text(self) -> Any:
        return _without_secrets(super().get_traceback_text())


def _without_secrets(report: str) -> str:
    return PASSWORD_IN_URL.sub(r"\1:…", SIGNING_SECRET.sub("whsec_…", report))
