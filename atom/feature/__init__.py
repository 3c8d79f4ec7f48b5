"""What routes offer: a noun a file, its verbs the functions.

One concern a line:

    row/        rows of any table
    transfer/   whole tables, in and out
    account     signup and the caller's own row; login, update, root: parts of it
    identity    who may log in by what; password, token, session: how
    access      which routes a user may call
    inbox       messages between users
    runner      SQL of an admin
    schema      `config_postgres_schema`, planned and applied
    operator    what the operator does to a running system
"""
