from webhooks import events  # noqa: F401
