"""When beat does what."""

from typing import Any

from celery.beat import PersistentScheduler


class Scheduler(PersistentScheduler):
    """Beat's own scheduler, which also goes on when the clock is set back.

    Otherwise it waits until the clock is again where it was when a task ran last: an hour back would be an hour without
    a sweep.
    """

    def tick(self, *args: Any, **kwargs: Any) -> float:
        """Do what is due, one task a call; return for how many seconds there is nothing to do."""
        now = self.app.now()
        ahead = [entry for entry in self.schedule.values() if entry.last_run_at and entry.last_run_at > now]
        for entry in ahead:
            entry.last_run_at = now
        if ahead:
            # The times in the heap are ahead too; it is made anew from the entries.
            self._heap = None
        seconds: float = super().tick(*args, **kwargs)
        return seconds
