"""The log as the settings form it."""

import logging

from structlog.stdlib import ProcessorFormatter


def log_formatter() -> logging.Formatter:
    """Return what forms the lines of the log."""
    [formatter] = [
        handler.formatter
        for handler in logging.getLogger().handlers
        if isinstance(handler.formatter, ProcessorFormatter)
    ]
    return formatter
