"""What every process does before it takes any work."""

import structlog
from django.core.checks import CheckMessage, run_checks
from django.core.management.base import SystemCheckError

logger = structlog.get_logger(__name__)


def demand_right_settings() -> None:
    """Run the system checks; log what they warn of, and raise SystemCheckError where one finds an error."""
    found = run_checks()
    errors = [message for message in found if message.is_serious() and not message.is_silenced()]
    if errors:
        raise SystemCheckError("\n".join(str(message) for message in errors))
    for message in found:
        log_warning(message)


def log_warning(message: CheckMessage) -> None:
    if not message.is_silenced():
        logger.warning("settings_doubtful", check=message.id, text=message.msg, hint=message.hint)
