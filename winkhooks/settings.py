"""All settings, read from the environment by django-environ.

The name of a variable is the name of the setting; `.env.example` lists them all. A wrong value stops the start with a
sentence that names the variable.
"""

import ipaddress
import logging
import math
import sys
from collections.abc import Set
from datetime import timedelta
from email.utils import parseaddr
from pathlib import Path
from urllib.parse import urlsplit

import environ
import structlog
from cryptography.fernet import Fernet
from csp.constants import NONE, SELF
from django.core.exceptions import ImproperlyConfigured, ValidationError
from django.core.validators import validate_email
from django.utils.translation import gettext_lazy as _

from winkhooks.log import calm, calm_traceback, hide_tokens
from winkhooks.time_zones import TIME_ZONES

BASE_DIR = Path(__file__).resolve().parent.parent

env = environ.Env()
env.read_env(env.path("ENV_FILE", default=str(BASE_DIR / ".env"))())


def required_outside_debug(name: str, debug_value: str) -> str:
    value = env.str(name, default="")
    if not value and not DEBUG:
        raise ImproperlyConfigured(f"Set {name} in the environment or in .env: it has no default outside DEBUG.")
    return value or debug_value


def boolean(name: str, default: bool) -> bool:
    """Read a switch; django-environ itself takes every word that it does not know for False."""
    text = env.str(name, default="").strip().lower()
    if text not in {"", "true", "yes", "on", "1", "false", "no", "off", "0"}:
        raise ImproperlyConfigured(f"{name} must be True or False, not {text!r}.")
    return text in {"true", "yes", "on", "1"} if text else default


def positive(name: str, default: float) -> float:
    text = env.str(name, default="").strip()
    try:
        value = float(text) if text else default
    except ValueError:
        raise ImproperlyConfigured(f"{name} must be a number, not {text!r}.") from None
    if not 0 < value < math.inf:
        raise ImproperlyConfigured(f"{name} must be more than 0, not {text}.")
    return value


def positive_integer(name: str, default: int) -> int:
    value = positive(name, default)
    if value != int(value):
        raise ImproperlyConfigured(f"{name} must be a whole number, not {value:g}.")
    return int(value)


def whole_number(name: str, default: int) -> int:
    """Read a whole number that may be 0."""
    text = env.str(name, default="").strip()
    if text and not (text.isascii() and text.isdigit()):
        raise ImproperlyConfigured(f"{name} must be a whole number, 0 or more, not {text!r}.")
    return int(text) if text else default


def choice(name: str, default: str, choices: Set[str]) -> str:
    value = env.str(name, default="") or default
    if value not in choices:
        raise ImproperlyConfigured(f"{name} must be a known value such as {default}, not {value!r}.")
    return value


def url(name: str, default: str, schemes: tuple[str, ...]) -> str:
    value = env.str(name, default="") or default
    if urlsplit(value).scheme not in schemes:
        raise ImproperlyConfigured(f"{name} must be a URL that begins with {', '.join(f'{s}:' for s in schemes)}.")
    return value


def http_url(name: str, default: str) -> str:
    value = url(name, default, ("http", "https")) if default or env.str(name, default="") else ""
    if value and not _names_host(value):
        raise ImproperlyConfigured(f"{name} must be a URL with a host, as in https://webhooks.example.com.")
    return value


def proxy_url(name: str) -> str:
    """Return the URL of a proxy. It may hold a password, so that no message repeats it."""
    value: str = env.str(name, default="").strip()
    if value and not _is_proxy_url(value):
        raise ImproperlyConfigured(
            f"{name} must be http:// with the host and the port of a proxy, as in http://proxy.example.com:3128."
        )
    return value


def _is_proxy_url(value: str) -> bool:
    if not _names_host(value):
        return False
    parts = urlsplit(value)
    has_more = parts.path not in ("", "/") or parts.query or parts.fragment
    return parts.scheme == "http" and parts.port is not None and not has_more


def _names_host(value: str) -> bool:
    try:
        parts = urlsplit(value)
        return bool(parts.hostname) and parts.port != 0
    except ValueError:
        return False


def email_settings(name: str) -> dict[str, str | int | bool | None]:
    """Return Django's settings of e-mail; where the variable is empty, e-mails are written to the output."""
    schemes = ("smtp", "smtp+tls", "smtp+ssl", "consolemail", "filemail")
    value = url(name, "consolemail://", schemes)
    scheme = urlsplit(value).scheme
    if scheme.startswith("smtp") and not _names_host(value):
        raise ImproperlyConfigured(
            f"{name} must be a URL with a host, as in smtp+tls://user:password@mail.example.com."
        )
    config: dict[str, str | int | bool | None] = env.email_url_config(value)
    if scheme == "consolemail":
        config["EMAIL_BACKEND"] = "winkhooks.emails.ConsoleBackend"
    config["EMAIL_PORT"] = config["EMAIL_PORT"] or {"smtp+tls": 587, "smtp+ssl": 465}.get(scheme, 25)
    return {setting: chosen for setting, chosen in config.items() if setting.startswith("EMAIL_")}


def email_address(name: str, default: str) -> str:
    value = env.str(name, default="") or default
    try:
        validate_email(parseaddr(value)[1])
    except ValidationError:
        raise ImproperlyConfigured(
            f"{name} must be an e-mail address, or a name with one as in Wink <webhooks@example.com>."
        ) from None
    return value


def folder(name: str, default: Path) -> Path:
    """Return a folder that is there, made if need be; a relative one begins at BASE_DIR."""
    path = BASE_DIR / (env.str(name, default="") or default)
    try:
        path.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise ImproperlyConfigured(
            f"{name} must name a folder to write to; {path} cannot be made: {error.strerror}."
        ) from None
    return path


def secret_keys(name: str, debug_value: str) -> list[str]:
    keys = [key.strip() for key in required_outside_debug(name, debug_value).split(",")]
    for number, key in enumerate(keys, start=1):
        try:
            Fernet(key)
        except ValueError:
            raise ImproperlyConfigured(
                f"{name} must list keys of 32 bytes in URL-safe base64, parted by commas; number {number} is none."
            ) from None
    return keys


def networks(name: str) -> list[ipaddress.IPv4Network | ipaddress.IPv6Network]:
    try:
        return [ipaddress.ip_network(text.strip()) for text in env.list(name, default=[])]
    except ValueError as error:
        raise ImproperlyConfigured(f"{name} must list networks such as 10.1.0.0/16: {error}.") from error


def ports(name: str, default: str) -> list[range]:
    """Return the ports that a list such as 443,8000-8999 names."""
    named = []
    for text in (env.str(name, default="") or default).split(","):
        first, _, last = text.strip().partition("-")
        if not (first.isdecimal() and (last or first).isdecimal() and 0 < int(first) <= int(last or first) < 65536):
            raise ImproperlyConfigured(
                f"{name} must list ports and ranges of ports such as 443,8000-8999; {text.strip()!r} is none."
            )
        named.append(range(int(first), int(last or first) + 1))
    return named


# Core

DEBUG = boolean("DEBUG", False)
SECRET_KEY_FOR_DEBUGGING = "insecure-key-for-debugging-only"  # noqa: S105  refused outside DEBUG
SECRET_KEY = required_outside_debug("SECRET_KEY", SECRET_KEY_FOR_DEBUGGING)
ALLOWED_HOSTS = env.list("ALLOWED_HOSTS", default=["localhost", "127.0.0.1", "[::1]"])
# How many proxies stand in front of the portal, each of which adds to X-Forwarded-For.
TRUSTED_PROXIES = whole_number("TRUSTED_PROXIES", 0)
CSRF_TRUSTED_ORIGINS = env.list("CSRF_TRUSTED_ORIGINS", default=[])
SESSION_COOKIE_SECURE = boolean("SESSION_COOKIE_SECURE", not DEBUG)
CSRF_COOKIE_SECURE = boolean("CSRF_COOKIE_SECURE", not DEBUG)
SESSION_COOKIE_NAME = "winkhooks_session"
CSRF_COOKIE_NAME = "winkhooks_csrf"
LANGUAGE_COOKIE_NAME = "winkhooks_language"
# W021 wants preloading: that is for whole domains, whose owner has to ask for it, and cannot be taken back for months.
SILENCED_SYSTEM_CHECKS = ["security.W021", *env.list("SILENCED_SYSTEM_CHECKS", default=[])]

INSTALLED_APPS = [
    "winkhooks.admin.WinkhooksAdminConfig",
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.humanize",
    "django.forms",
    "django.contrib.sessions",
    "django.contrib.messages",
    "whitenoise.runserver_nostatic",
    "django.contrib.staticfiles",
    "csp",
    "django_structlog",
    "allauth",
    "allauth.account",
    "allauth.mfa",
    "allauth.usersessions",
    "accounts",
    "webhooks",
]
MIDDLEWARE = [
    "django.middleware.security.SecurityMiddleware",
    # Before the static files: one that is opened by itself, such as an SVG, is a page, too.
    "csp.middleware.CSPMiddleware",
    "winkhooks.middleware.limited_to_itself",
    "whitenoise.middleware.WhiteNoiseMiddleware",
    "winkhooks.middleware.never_stored",
    "winkhooks.middleware.in_time_zone_of_reader",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.locale.LocaleMiddleware",
    "django.middleware.common.CommonMiddleware",
    "winkhooks.middleware.no_larger_than_forms",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "accounts.middleware.UserLanguageMiddleware",
    "winkhooks.middleware.nothing_at_nul",
    "accounts.middleware.AuditMiddleware",
    "allauth.account.middleware.AccountMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
    "django_structlog.middlewares.RequestMiddleware",
]
ROOT_URLCONF = "winkhooks.urls"
WSGI_APPLICATION = "winkhooks.wsgi.application"
TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "DIRS": [BASE_DIR / "templates"],
        "APP_DIRS": True,
        "OPTIONS": {
            "context_processors": [
                "django.template.context_processors.debug",
                "django.template.context_processors.i18n",
                "django.template.context_processors.request",
                "django.contrib.auth.context_processors.auth",
                "django.contrib.messages.context_processors.messages",
            ],
        },
    },
]
FORM_RENDERER = "django.forms.renderers.TemplatesSetting"

# What browsers may do with the pages

# No inline script, style or handler anywhere, the administration among it, so that no nonce is needed either. Bootstrap
# and the administration draw small icons from data: URLs in their style sheets.
CONTENT_SECURITY_POLICY = {
    "DIRECTIVES": {
        "default-src": [NONE],
        "script-src": [SELF],
        "style-src": [SELF],
        "img-src": [SELF, "data:"],
        "connect-src": [SELF],
        "form-action": [SELF],
        "base-uri": [NONE],
        "frame-ancestors": [NONE],
    }
}
# The buttons that copy need the clipboard, and passkeys the credentials.
# A browser complains of each that it does not know, so that rare ones are not named.
PERMISSIONS_POLICY = (
    "clipboard-write=(self), publickey-credentials-create=(self), publickey-credentials-get=(self), "
    "accelerometer=(), autoplay=(), camera=(), display-capture=(), encrypted-media=(), fullscreen=(), geolocation=(), "
    "gyroscope=(), hid=(), magnetometer=(), microphone=(), midi=(), payment=(), picture-in-picture=(), "
    "screen-wake-lock=(), serial=(), usb=(), xr-spatial-tracking=()"
)
X_FRAME_OPTIONS = "DENY"
# Addresses of pages, among them links that let people join or sign in, are told to the portal alone. It needs them:
# Django compares the Referer of forms that come over https.
SECURE_REFERRER_POLICY = "same-origin"
SECURE_CROSS_ORIGIN_OPENER_POLICY = "same-origin"
SECURE_CONTENT_TYPE_NOSNIFF = True
SESSION_COOKIE_HTTPONLY = True
# No script sends a form.
CSRF_COOKIE_HTTPONLY = True
SESSION_COOKIE_SAMESITE = "Lax"
CSRF_COOKIE_SAMESITE = "Lax"
# Without cookies over http nobody can sign in there, so that it leads to https.
SECURE_SSL_REDIRECT = boolean("SECURE_SSL_REDIRECT", SESSION_COOKIE_SECURE)
SECURE_HSTS_SECONDS = 0 if DEBUG else whole_number("SECURE_HSTS_SECONDS", 365 * 24 * 3600)
SECURE_HSTS_INCLUDE_SUBDOMAINS = True

# Files

# The lock file of the workers and beat's schedule are there, whatever the database is.
VAR_DIR = folder("VAR_DIR", BASE_DIR / "var")

# Signing in

AUTH_USER_MODEL = "accounts.User"
AUTH_PASSWORD_VALIDATORS = [
    {"NAME": f"django.contrib.auth.password_validation.{name}"}
    for name in (
        "UserAttributeSimilarityValidator",
        "MinimumLengthValidator",
        "CommonPasswordValidator",
        "NumericPasswordValidator",
    )
]
PASSWORD_HASHERS = [
    "django.contrib.auth.hashers.Argon2PasswordHasher",
    "django.contrib.auth.hashers.PBKDF2PasswordHasher",
]
AUTHENTICATION_BACKENDS = ["allauth.account.auth_backends.AuthenticationBackend"]
LOGIN_URL = "accounts:sign_in"
LOGIN_REDIRECT_URL = "accounts:account_list"
LOGOUT_REDIRECT_URL = "accounts:sign_in"
CSRF_FAILURE_VIEW = "accounts.views.session.csrf_failure"
SESSION_COOKIE_AGE = 14 * 24 * 3600
STAFF_REQUIRES_MFA = boolean("STAFF_REQUIRES_MFA", not DEBUG)

ACCOUNT_ADAPTER = "accounts.adapters.AccountAdapter"
ACCOUNT_USER_MODEL_USERNAME_FIELD = None
ACCOUNT_LOGIN_METHODS = {"email"}
ACCOUNT_SIGNUP_FIELDS = ["email*", "password1*", "password2*"]
# A user has one address. Another one takes its place once it is confirmed.
ACCOUNT_CHANGE_EMAIL = True
ACCOUNT_EMAIL_VERIFICATION = "mandatory"
ACCOUNT_EMAIL_SUBJECT_PREFIX = ""
ACCOUNT_EMAIL_NOTIFICATIONS = True
ACCOUNT_REAUTHENTICATION_REQUIRED = True
# Both send e-mails to addresses that anybody may type in. The rest is as allauth has it.
ACCOUNT_RATE_LIMITS = {"reset_password": "20/m/ip,3/300s/key", "manage_email": "5/300s/user"}
ACCOUNT_SESSION_REMEMBER = True
# As a timedelta it counts from the sign-in on, and not anew from each change of the session.
ACCOUNT_SESSION_COOKIE_AGE = timedelta(seconds=SESSION_COOKIE_AGE)
ACCOUNT_FORMS = {
    "login": "accounts.forms.SignInForm",
    "add_email": "accounts.forms.EmailChangeForm",
    "change_password": "accounts.forms.PasswordChangeForm",
    "set_password": "accounts.forms.PasswordSetForm",
    "reset_password": "accounts.forms.PasswordResetForm",
    "reset_password_from_key": "accounts.forms.NewPasswordForm",
    "reauthenticate": "accounts.forms.PasswordConfirmForm",
}
MFA_ADAPTER = "accounts.adapters.SecondFactorAdapter"
MFA_SUPPORTED_TYPES = ["totp", "webauthn", "recovery_codes"]
MFA_PASSKEY_LOGIN_ENABLED = True
# The address that a user signs in with is always a confirmed one; a new one waits beside it.
MFA_ALLOW_UNVERIFIED_EMAIL = True
MFA_TOTP_ISSUER = "Winkhooks"
# A clock that is half a minute off is none of the user's doing.
MFA_TOTP_TOLERANCE = 1
# Browsers offer passkeys over https and on localhost. The latter is for trying the portal out.
MFA_WEBAUTHN_ALLOW_INSECURE_ORIGIN = not SESSION_COOKIE_SECURE
MFA_FORMS = {
    "authenticate": "accounts.forms.SecondFactorForm",
    "reauthenticate": "accounts.forms.SecondFactorConfirmForm",
    "activate_totp": "accounts.forms.AppAddForm",
    "login_webauthn": "accounts.forms.PasskeySignInForm",
    "authenticate_webauthn": "accounts.forms.PasskeyFactorForm",
    "reauthenticate_webauthn": "accounts.forms.PasskeyConfirmForm",
    "add_webauthn": "accounts.forms.PasskeyAddForm",
    "edit_webauthn": "accounts.forms.PasskeyRenameForm",
}

# Counts of attempts to sign in, shared by all processes. It is in the database, so that people can sign in, and are
# kept from guessing, while the broker is down.
CACHES = {
    "default": {
        "BACKEND": "django.core.cache.backends.db.DatabaseCache",
        "LOCATION": "cache",
        # Some thousand addresses may be under attack at once, each with a few counts.
        "OPTIONS": {"MAX_ENTRIES": 50_000},
    }
}

# E-mails

EMAIL_URL = env.str("EMAIL_URL", default="")
vars().update(email_settings("EMAIL_URL"))
# Of each step; by default a mail server that does not answer would hold a worker for ever.
EMAIL_TIMEOUT = 10
DEFAULT_FROM_EMAIL = email_address("DEFAULT_FROM_EMAIL", "webhooks@localhost")
PORTAL_URL = http_url("PORTAL_URL", "http://localhost:8000").rstrip("/")

# Forms

# The form of e-mails has a field for each webhook; by default Django reads 1,000, as many as an account may have.
DATA_UPLOAD_MAX_NUMBER_FIELDS = 5000

# Storage

DATABASES = {
    "default": env.db_url_config(
        url(
            "DATABASE_URL",
            f"sqlite:///{VAR_DIR / 'winkhooks.sqlite3'}",
            ("postgres", "postgresql", "sqlite"),
        )
    )
}
if DATABASES["default"]["ENGINE"].endswith("sqlite3"):
    DATABASES["default"]["OPTIONS"] = {
        # A transaction that reads and then writes would fail at once where another one wrote in between; taking the
        # write lock at its start makes it wait instead.
        "transaction_mode": "IMMEDIATE",
        "timeout": 20,
        # WAL lets pages be read while the engine writes. In it, NORMAL loses no committed transaction when a process
        # dies; a loss of power may cost the last ones.
        "init_command": "PRAGMA journal_mode=WAL; PRAGMA synchronous=NORMAL;",
    }
else:
    DATABASES["default"]["CONN_MAX_AGE"] = positive_integer("CONN_MAX_AGE", 60)
    DATABASES["default"]["CONN_HEALTH_CHECKS"] = True
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"

# The broker: only a bell, so that nothing is lost with it.

REDIS_URL = url("REDIS_URL", f"unix://{VAR_DIR / 'valkey.sock'}", ("redis", "rediss", "unix"))
CELERY_BROKER_URL = REDIS_URL.replace("unix://", "redis+socket://", 1)
CELERY_BROKER_CONNECTION_RETRY_ON_STARTUP = True
CELERY_BROKER_CONNECTION_MAX_RETRIES = None
CELERY_TASK_IGNORE_RESULT = True
CELERY_WORKER_HIJACK_ROOT_LOGGER = False
CELERY_WORKER_PREFETCH_MULTIPLIER = 1
CELERY_TIMEZONE = "UTC"
CELERY_BEAT_SCHEDULE_FILENAME = str(VAR_DIR / "celerybeat-schedule")
CELERY_BEAT_SCHEDULER = "winkhooks.schedule:Scheduler"
CELERY_BEAT_SCHEDULE = {
    # What no worker takes is dropped in the end: the next one does the same work. It must not be dropped sooner than
    # clocks may differ: beat writes by its own when a message expires, so that a worker whose clock is ahead of it by
    # more than that would drop every sweep.
    "sweep": {"task": "webhooks.tasks.sweep", "schedule": timedelta(seconds=3), "options": {"expires": 60}},
    # A drain may keep a worker for a minute, so that this waits a little longer than until the next one comes.
    "watch": {"task": "webhooks.tasks.watch", "schedule": timedelta(minutes=1), "options": {"expires": 150}},
    "roll_up": {"task": "webhooks.tasks.roll_up", "schedule": timedelta(minutes=1), "options": {"expires": 150}},
    # A worker is told of each invitation at once; this finds those of which it was not.
    "send_invitations": {
        "task": "accounts.tasks.send_invitations",
        "schedule": timedelta(minutes=1),
        "options": {"expires": 150},
    },
    "send_letters": {
        "task": "accounts.tasks.send_letters",
        "schedule": timedelta(minutes=1),
        "options": {"expires": 150},
    },
    "clear_sessions": {
        "task": "accounts.tasks.clear_sessions",
        "schedule": timedelta(hours=1),
        "options": {"expires": 3600},
    },
    "purge": {"task": "webhooks.tasks.purge", "schedule": timedelta(hours=1), "options": {"expires": 3600}},
}

# An outside monitor, which misses the calls when no work is done any more.

HEARTBEAT_URL = http_url("HEARTBEAT_URL", "")
if HEARTBEAT_URL:
    CELERY_BEAT_SCHEDULE["heartbeat"] = {
        "task": "webhooks.tasks.heartbeat",
        "schedule": timedelta(minutes=1),
        "options": {"expires": 150},
    }

# Languages

LANGUAGE_CODE = "en"
LANGUAGES = [("en", _("English")), ("fi", _("Finnish"))]
LOCALE_PATHS = [BASE_DIR / "locale"]
LANGUAGE_COOKIE_AGE = 365 * 24 * 3600
LANGUAGE_COOKIE_SECURE = SESSION_COOKIE_SECURE
LANGUAGE_COOKIE_HTTPONLY = True
LANGUAGE_COOKIE_SAMESITE = "Lax"
USE_I18N = True
FORMAT_MODULE_PATH = "winkhooks.formats"
TIME_ZONE = choice("TIME_ZONE", "UTC", TIME_ZONES)
USE_TZ = True

# Static files

STATIC_URL = "static/"
STATICFILES_DIRS = [BASE_DIR / "static"]
STATIC_ROOT = env.path("STATIC_ROOT", default=str(VAR_DIR / "static"))()
STORAGES = {
    "default": {"BACKEND": "django.core.files.storage.FileSystemStorage"},
    "staticfiles": {
        "BACKEND": (
            "django.contrib.staticfiles.storage.StaticFilesStorage"
            if DEBUG
            else "whitenoise.storage.CompressedManifestStaticFilesStorage"
        )
    },
}
# Like the storage, it must not follow a DEBUG that the tests change later: it would miss STATIC_ROOT, which debugging
# does not fill.
WHITENOISE_AUTOREFRESH = DEBUG

# Webhooks

# Keys for the signing secrets in the database, newest first. They are apart from SECRET_KEY, so that either can be
# changed without the other.
WEBHOOK_SECRET_KEY_FOR_DEBUGGING = "ZGVidWdnaW5nLW9ubHkta2V5LW9mLXdpbmtob29rcy0="  # noqa: S105  refused outside DEBUG
WEBHOOK_SECRET_KEYS = secret_keys("WEBHOOK_SECRET_KEYS", WEBHOOK_SECRET_KEY_FOR_DEBUGGING)
WEBHOOK_ALLOWED_NETWORKS = networks("WEBHOOK_ALLOWED_NETWORKS")
# Below 1024, ports are those of mail, remote shells and the like, which need not hear from strangers.
WEBHOOK_ALLOWED_PORTS = ports("WEBHOOK_ALLOWED_PORTS", "80,443,1024-65535")
WEBHOOK_REQUIRE_HTTPS = boolean("WEBHOOK_REQUIRE_HTTPS", True)
WEBHOOK_PROXY = proxy_url("WEBHOOK_PROXY")
WEBHOOK_TIMEOUT_SECONDS = positive("WEBHOOK_TIMEOUT_SECONDS", 10)
WEBHOOK_LEASE_SECONDS = positive("WEBHOOK_LEASE_SECONDS", 60)
# It must outlast a drain, which takes work for a minute and then ends what it has taken, within a lease. Celery kills
# what goes on for longer, and with it the requests that are under way.
CELERY_TASK_TIME_LIMIT = 120 + WEBHOOK_LEASE_SECONDS
WEBHOOK_IN_FLIGHT = positive_integer("WEBHOOK_IN_FLIGHT", 100)
WEBHOOK_IN_FLIGHT_PER_WEBHOOK = positive_integer("WEBHOOK_IN_FLIGHT_PER_WEBHOOK", 10)
WEBHOOK_KEEP_DAYS = positive_integer("WEBHOOK_KEEP_DAYS", 30)

# Reports of errors

DEFAULT_EXCEPTION_REPORTER = "winkhooks.error_reports.SecretlessReporter"
DEFAULT_EXCEPTION_REPORTER_FILTER = "winkhooks.error_reports.SecretFilter"

# Logs

LOG_LEVEL = choice("LOG_LEVEL", "INFO", set(logging.getLevelNamesMapping()))
LOG_JSON = boolean("LOG_JSON", not DEBUG)
_log_processors: list[structlog.typing.Processor] = [
    structlog.contextvars.merge_contextvars,
    structlog.stdlib.add_logger_name,
    structlog.stdlib.add_log_level,
    structlog.processors.TimeStamper(fmt="iso"),
    hide_tokens,
]
LOGGING = {
    "version": 1,
    "disable_existing_loggers": False,
    "formatters": {
        "structlog": {
            "()": structlog.stdlib.ProcessorFormatter,
            "processors": [
                structlog.stdlib.ProcessorFormatter.remove_processors_meta,
                structlog.processors.format_exc_info,
                structlog.processors.JSONRenderer(),
            ]
            if LOG_JSON
            else [
                structlog.stdlib.ProcessorFormatter.remove_processors_meta,
                calm,
                # By default it would show the values of local variables, secrets among them, where rich is installed.
                structlog.dev.ConsoleRenderer(colors=sys.stderr.isatty(), exception_formatter=calm_traceback),
            ],
            "foreign_pre_chain": _log_processors,
        },
    },
    "handlers": {"console": {"class": "logging.StreamHandler", "formatter": "structlog"}},
    "root": {"handlers": ["console"], "level": LOG_LEVEL},
    # It has handlers of its own, with which each line would come twice.
    "loggers": {"django.server": {"handlers": ["console"], "level": LOG_LEVEL, "propagate": False}},
}
structlog.configure(
    processors=[
        structlog.stdlib.filter_by_level,
        *_log_processors,
        structlog.stdlib.PositionalArgumentsFormatter(),
        structlog.processors.StackInfoRenderer(),
        structlog.stdlib.ProcessorFormatter.wrap_for_formatter,
    ],
    logger_factory=structlog.stdlib.LoggerFactory(),
    cache_logger_on_first_use=True,
)
