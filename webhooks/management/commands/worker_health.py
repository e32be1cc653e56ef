import socket
from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand, CommandError
from django.db import DatabaseError, connection
from django.db.migrations.executor import MigrationExecutor

from webhooks import workers


class Command(BaseCommand):
    help = "Says whether the worker of this host can work: for the health check of a container. Fails where it cannot."
    requires_system_checks = []

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--worker", default=f"celery@{socket.gethostname()}", help="The worker's name in Celery.")
        parser.add_argument("--timeout", type=float, default=5.0, help="For how many seconds it may keep silent.")

    def handle(self, *, worker: str, timeout: float, **options: Any) -> None:
        self._check_database()
        self._check_worker(worker, timeout)
        self.stdout.write("The worker can work.")

    def _check_database(self) -> None:
        try:
            executor = MigrationExecutor(connection)
            missing = executor.migration_plan(executor.loader.graph.leaf_nodes())
        except DatabaseError as error:
            raise CommandError(f"The database does not answer: {str(error).strip()}") from error
        if missing:
            raise CommandError("The database lacks migrations: run manage.py migrate.")

    def _check_worker(self, worker: str, timeout: float) -> None:
        try:
            answers = workers.ask(timeout, worker)
        except workers.BrokerDown as error:
            raise CommandError(f"The broker does not answer: {error}") from error
        if not answers.workers:
            raise CommandError(f"The worker {worker} does not answer.")
