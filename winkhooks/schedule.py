"""When beat does what."""

from datetime import datetime

from celery.schedules import schedstate, schedule


class Every(schedule):
    """A plain interval that also holds after the clock was set back.

    Celery would wait until the clock is again where it was when the task ran last: an hour without a sweep after an
    hour back.
    """

    def is_due(self, last_run_at: datetime) -> schedstate:
        if self.maybe_make_aware(last_run_at) > self.now():
            return schedstate(is_due=True, next=self.seconds)
        return super().is_due(last_run_at)
