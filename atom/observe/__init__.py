"""What is recorded of the work.

Each line needs only the lines above it:

    request_context  what surrounds the work of one request
    log              log lines
    journal          rows of `log_api`
    metrics          what is counted, for Prometheus
    tracing          which requests are timed for Sentry
    usage            what a process has in use, as gauges
    health           whether the database answers
"""

from atom.observe import metrics
from atom.observe.health import check_database

__all__ = ["check_database", "metrics"]
