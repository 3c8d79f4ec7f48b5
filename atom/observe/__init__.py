"""What is recorded of the work.

Each line needs only the lines above it:

    request_context  what surrounds the work of one request
    log              log lines
    journal          rows of `log_api`
    health           whether the database answers
"""

from atom.observe.health import check_database

__all__ = ["check_database"]
