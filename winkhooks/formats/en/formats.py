"""The day before the month in a word, and 24 hours: read alike in all countries."""

DATE_FORMAT = SHORT_DATE_FORMAT = "j M Y"
TIME_FORMAT = "H:i"
DATETIME_FORMAT = SHORT_DATETIME_FORMAT = "j M Y, H:i"
EXACT_TIME_FORMAT = "j M Y, H:i:s"
