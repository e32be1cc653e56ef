"""The pages of signing in besides those in `urls`, under the names that allauth knows them by."""

from allauth.account import views as account
from allauth.mfa.base import views as mfa
from allauth.mfa.recovery_codes import views as recovery_codes
from allauth.mfa.totp import views as totp
from allauth.mfa.webauthn import views as webauthn
from django.urls import path
from django.views.decorators.http import require_http_methods

from accounts.views import security, session

# Some of allauth's views answer other methods too.
get_or_post = require_http_methods(["GET", "HEAD", "POST"])
urlpatterns = [
    path("sign-in/", session.sign_in, name="account_login"),
    path("sign-in/second-factor/", mfa.authenticate, name="mfa_authenticate"),
    path("sign-in/passkey/", session.passkey_sign_in, name="mfa_login_webauthn"),
    path("sign-out/", session.sign_out, name="account_logout"),
    path("password/reset/", account.password_reset, name="account_reset_password"),
    path("password/reset/sent/", account.password_reset_done, name="account_reset_password_done"),
    path("password/reset/done/", account.password_reset_from_key_done, name="account_reset_password_from_key_done"),
    path(
        "password/reset/<str:uidb36>/<str:key>/",
        get_or_post(session.password_new),
        name="account_reset_password_from_key",
    ),
    path("email/confirm/", account.email_verification_sent, name="account_email_verification_sent"),
    path("email/confirm/<str:key>/", account.confirm_email, name="account_confirm_email"),
    path("security/", security.overview, name="mfa_index"),
    path("security/confirm/", account.reauthenticate, name="account_reauthenticate"),
    path("security/confirm/code/", mfa.reauthenticate, name="mfa_reauthenticate"),
    path("security/confirm/passkey/", security.passkey_confirm, name="mfa_reauthenticate_webauthn"),
    path("security/email/", security.email_change, name="account_email"),
    path("security/password/", account.password_change, name="account_change_password"),
    path("security/password/new/", security.password_set, name="account_set_password"),
    path("security/sessions/", security.session_list, name="usersessions_list"),
    path("security/sessions/<int:session_id>/end/", security.session_end, name="usersessions_end"),
    path("security/app/", totp.activate_totp, name="mfa_activate_totp"),
    path("security/app/remove/", totp.deactivate_totp, name="mfa_deactivate_totp"),
    path("security/passkeys/", security.passkey_list, name="mfa_list_webauthn"),
    path("security/passkeys/add/", webauthn.add_webauthn, name="mfa_add_webauthn"),
    path("security/passkeys/<int:pk>/rename/", webauthn.edit_webauthn, name="mfa_edit_webauthn"),
    path("security/passkeys/<int:pk>/remove/", get_or_post(webauthn.remove_webauthn), name="mfa_remove_webauthn"),
    path("security/recovery-codes/", recovery_codes.view_recovery_codes, name="mfa_view_recovery_codes"),
    path("security/recovery-codes/new/", recovery_codes.generate_recovery_codes, name="mfa_generate_recovery_codes"),
    path(
        "security/recovery-codes/download/",
        recovery_codes.download_recovery_codes,
        name="mfa_download_recovery_codes",
    ),
]
