"""SQL that a caller wrote, run by a login that may do no more than the caller.

Read in this order; each line needs only the lines above it:

    statement  the caller's statement, checked and wrapped
    role       the logins: reader, writer, exporter
    grant      the rights of a login, kept equal to what is declared open
    session    a transaction as one of the logins
    runner     `/admin/db-runner`
"""

from atom.sandbox.runner import Limits, run_statement

__all__ = ["Limits", "run_statement"]
