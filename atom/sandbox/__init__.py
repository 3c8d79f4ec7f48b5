"""SQL that a caller wrote, run by a login that may do no more than the caller.

Read them in this order:

    runner     `/admin/db-runner`
    session    a transaction as one of the logins
    grant      the rights of a login, kept equal to what is declared open
    role       the logins: reader, writer, exporter
    statement  the caller's statement, checked and wrapped
"""
