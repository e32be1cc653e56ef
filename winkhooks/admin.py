from django.contrib import admin
from django.contrib.admin.apps import AdminConfig
from django.utils.translation import gettext_lazy as _


class WinkhooksAdminSite(admin.AdminSite):
    site_header = _("Winkhooks administration")
    site_title = "Winkhooks"
    index_title = _("Administration")
    site_url = "/"


class WinkhooksAdminConfig(AdminConfig):
    default_site = "winkhooks.admin.WinkhooksAdminSite"
