"""What a browser calls itself, in words that its user knows."""

import re

from django.utils.functional import Promise
from django.utils.translation import gettext_lazy as _

# Each calls itself by the names of those further down, too.
BROWSERS = {
    "Edge": r"\bEdg(e|A|iOS)?/",
    "Opera": r"\bOPR/",
    "Samsung Internet": r"\bSamsungBrowser/",
    "Firefox": r"\b(Firefox|FxiOS)/",
    "Chrome": r"\b((Headless)?Chrome|CriOS)/",
    "Safari": r"\bSafari/",
}
SYSTEMS = {
    "Android": r"\bAndroid\b",
    "iPhone": r"\biPhone\b",
    "iPad": r"\biPad\b",
    "Windows": r"\bWindows\b",
    "macOS": r"\bMac OS X\b",
    "ChromeOS": r"\bCrOS\b",
    "Linux": r"\bLinux\b",
}


def name_browser(user_agent: str) -> str | Promise:
    """Return such as "Firefox · Windows"; where neither is known, the beginning of what it calls itself.

    What does not say is "Unknown browser", in the language in which it is read.
    """
    names = [
        next((name for name, pattern in table.items() if re.search(pattern, user_agent)), "")
        for table in (BROWSERS, SYSTEMS)
    ]
    return " · ".join(filter(None, names)) or user_agent[:60].strip() or _("Unknown browser")
