from django.urls import include, path
from django.views.generic import RedirectView

from accounts.views import account, history, invitation, membership, session

app_name = "accounts"
manager_urls = [
    path("", membership.account_managers, name="account_managers"),
    path("invite/", invitation.invitation_create, name="invitation_create"),
    path("leave/", membership.membership_leave, name="membership_leave"),
    path("<uuid:membership_id>/role/", membership.membership_change, name="membership_change"),
    path("<uuid:membership_id>/remove/", membership.membership_remove, name="membership_remove"),
    path("invitations/<uuid:invitation_id>/resend/", invitation.invitation_resend, name="invitation_resend"),
    path("invitations/<uuid:invitation_id>/withdraw/", invitation.invitation_withdraw, name="invitation_withdraw"),
]
urlpatterns = [
    path("", RedirectView.as_view(pattern_name="accounts:account_list"), name="home"),
    path("sign-in/", session.sign_in, name="sign_in"),
    path("sign-out/", session.sign_out, name="sign_out"),
    path("language/", session.language_set, name="language_set"),
    path("invitations/<str:token>/", invitation.invitation_accept, name="invitation_accept"),
    path("accounts/", account.account_list, name="account_list"),
    path("accounts/new/", account.account_create, name="account_create"),
    path("accounts/<uuid:account_id>/", account.account_overview, name="account_overview"),
    path("accounts/<uuid:account_id>/history/", history.account_history, name="account_history"),
    path("accounts/<uuid:account_id>/managers/", include(manager_urls)),
]
