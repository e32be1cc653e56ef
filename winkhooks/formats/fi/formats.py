"""As in running Finnish text: 24.11.2026 klo 9.30."""

DATE_FORMAT = SHORT_DATE_FORMAT = "j.n.Y"
TIME_FORMAT = "G.i"
DATETIME_FORMAT = SHORT_DATETIME_FORMAT = r"j.n.Y \k\l\o G.i"
EXACT_TIME_FORMAT = r"j.n.Y \k\l\o G.i.s"
