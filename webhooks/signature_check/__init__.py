"""Why a signature does not hold: a request that somebody pasted, against all that commonly goes wrong.

`check.check` tells it, from what `headers.read_headers` finds; `sentences` puts it into words. It never tells which
signature would be right: with a secret that is stored here, that would sign for whoever asks.
"""
