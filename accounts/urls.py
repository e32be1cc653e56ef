from django.urls import path
from django.views.generic import RedirectView

from accounts.views import account, membership, session

app_name = "accounts"
urlpatterns = [
    path("", RedirectView.as_view(pattern_name="accounts:account_list"), name="home"),
    path("sign-in/", session.SignInView.as_view(), name="sign_in"),
    path("sign-out/", session.SignOutView.as_view(), name="sign_out"),
    path("language/", session.language_set, name="language_set"),
    path("accounts/", account.account_list, name="account_list"),
    path("accounts/new/", account.account_create, name="account_create"),
    path("accounts/<uuid:account_id>/", account.account_overview, name="account_overview"),
    path("accounts/<uuid:account_id>/managers/", membership.account_managers, name="account_managers"),
]
