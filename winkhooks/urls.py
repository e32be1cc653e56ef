from django.contrib import admin
from django.templatetags.static import static
from django.urls import include, path
from django.utils.functional import lazy
from django.views.generic import RedirectView

# Where a file is to be found is known only once the static files have been collected.
favicon_url = lazy(static, str)("favicon.svg")
handler429 = "accounts.views.session.too_many_attempts_page"

urlpatterns = [
    path("", include("accounts.urls")),
    path("", include("accounts.security_urls")),
    path("", include("webhooks.urls")),
    path("admin/", admin.site.urls),
    # Browsers ask for it where a page, such as an answer in plain text, names none.
    path("favicon.ico", RedirectView.as_view(url=favicon_url)),
]
