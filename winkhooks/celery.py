import gc
import os
import sys
from typing import Any

from celery import Celery
from celery.platforms import set_pdeathsig  # type: ignore[attr-defined]  # missing in the stubs
from celery.signals import beat_embedded_init, celeryd_after_setup, task_prerun, worker_init, worker_process_init
from django.core.management.base import SystemCheckError
from django.db import close_old_connections, connection
from django_structlog.celery.steps import DjangoStructLogInitStep
from kombu.transport import redis as redis_transport

from winkhooks.start import demand_right_settings, log_warning

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "winkhooks.settings")

# Where the broker goes away while a worker holds a message that it has not begun, kombu would put it back over the
# connection that is gone, and the worker would end with an AttributeError. The sweep finds what a lost bell was for.
redis_transport.Channel.do_restore = False

app = Celery("winkhooks")
app.config_from_object("django.conf:settings", namespace="CELERY")
app.steps["worker"].add(DjangoStructLogInitStep)
app.autodiscover_tasks()
# A connection to the database lasts as long as CONN_MAX_AGE says. Celery would open one for each task.
app.conf["CELERY_DB_REUSE_MAX"] = sys.maxsize


@worker_init.connect
def refuse_wrong_settings(**kwargs: Any) -> None:
    """End a worker whose settings a system check calls an error; Celery runs the checks and goes on all the same."""
    try:
        demand_right_settings()
    except SystemCheckError as error:
        sys.exit(str(error))


@celeryd_after_setup.connect
def warn_of_several_writers(instance: Any, **kwargs: Any) -> None:
    from webhooks.checks import check_sqlite_has_one_writer

    for message in check_sqlite_has_one_writer(instance.concurrency):
        log_warning(message)


@task_prerun.connect
def renew_connections(**kwargs: Any) -> None:
    """Close a connection that is too old, and have it looked at before it is used again, as a request does."""
    # Whoever calls a task within a transaction, as tests do, goes on with it afterwards.
    if not connection.in_atomic_block:
        close_old_connections()


@worker_process_init.connect
def collect_garbage_seldom(**kwargs: Any) -> None:
    """Leave alone what was there at the start and look for cycles seldom: a drain holds many objects and makes none."""
    gc.freeze()
    gc.set_threshold(50_000, 20, 20)


@beat_embedded_init.connect
def end_beat_with_worker(**kwargs: Any) -> None:
    """Let beat die with a worker that is killed, as Celery does with the pool; else it would go on beside the next."""
    set_pdeathsig("SIGKILL")
