from django.apps import AppConfig
from django.utils.translation import gettext_lazy as _


class AccountsConfig(AppConfig):
    name = "accounts"
    verbose_name = _("Accounts")

    def ready(self) -> None:
        from accounts import email_change, second_factor, sessions, sign_in_audit

        sign_in_audit.connect()
        second_factor.connect()
        email_change.connect()
        sessions.connect()
