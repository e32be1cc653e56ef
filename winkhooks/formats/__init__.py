"""How dates and times are written in each language, where Django's own way does not suit the portal.

`EXACT_TIME_FORMAT` is a name of the portal's own: a time to the second.
"""
