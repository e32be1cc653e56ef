import gc
import os

from django.core.wsgi import get_wsgi_application

from winkhooks.start import demand_right_settings

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "winkhooks.settings")

application = get_wsgi_application()
demand_right_settings()
# What is loaded by now stays. The collector would go through it again and again, and hold up some requests by as long
# as whole pages take.
gc.collect()
gc.freeze()
