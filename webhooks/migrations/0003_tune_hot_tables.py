from typing import Any

from django.db import migrations

# A delivery is written three times within seconds: made, leased, ended. With room left in each page the lease needs no
# new index entries (a heap-only tuple), and page pruning takes its old version away without a vacuum.
#
# By default a table is vacuumed when a fifth of it has changed. In a table that keeps 30 days that is millions of dead
# entries at the head of the queue's index, which each claim then steps over. A fixed number of changes instead keeps the
# index short, however large the table has grown; the cost limit lets the vacuum keep up with thousands of changes a second.
#
# Attempts are only added, and removed after 30 days: the vacuum that inserts bring about keeps the visibility map
# current, and need not come often.
TUNED = {
    "webhooks_event": {
        "fillfactor": "90",
        "autovacuum_vacuum_scale_factor": "0",
        "autovacuum_vacuum_threshold": "20000",
        "autovacuum_analyze_scale_factor": "0.02",
    },
    "webhooks_delivery": {
        "fillfactor": "70",
        "autovacuum_vacuum_scale_factor": "0",
        "autovacuum_vacuum_threshold": "10000",
        "autovacuum_vacuum_cost_limit": "2000",
        "autovacuum_analyze_scale_factor": "0.02",
    },
    "webhooks_attempt": {
        "autovacuum_vacuum_insert_scale_factor": "0.05",
        "autovacuum_vacuum_scale_factor": "0.02",
    },
    # A row for each webhook, written with each batch that finds it failing.
    "webhooks_webhook": {"fillfactor": "70", "autovacuum_vacuum_threshold": "1000"},
}


def tune(apps: Any, schema_editor: Any) -> None:
    if schema_editor.connection.vendor == "postgresql":
        for table, options in TUNED.items():
            settings = ", ".join(f"{name} = {value}" for name, value in options.items())
            schema_editor.execute(f"ALTER TABLE {table} SET ({settings})")


def reset(apps: Any, schema_editor: Any) -> None:
    if schema_editor.connection.vendor == "postgresql":
        for table, options in TUNED.items():
            schema_editor.execute(f"ALTER TABLE {table} RESET ({', '.join(options)})")


class Migration(migrations.Migration):
    dependencies = [("webhooks", "0002_fill_event_types")]
    operations = [migrations.RunPython(tune, reset)]
