import os

from django.core.wsgi import get_wsgi_application

from winkhooks.start import demand_right_settings

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "winkhooks.settings")

application = get_wsgi_application()
demand_right_settings()
