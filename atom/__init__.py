"""The inside. Nothing here is named config_, client_, cache_ or function_.

Read in this order; each line needs only the lines above it:

    errors      the errors an API client can receive
    error_code  every error code, with its status and the cure
    reply       the two JSON shapes of every answer
    port        what steps and features need from the outside; adapter/ implements it
    postgres/   the only shelf that knows asyncpg
    datatype/   what a column takes
    config/     keys, the layers of config, the files a user adds
    observe/    what is recorded of the work
    own/        Atom's own tables and triggers, a numbered file each
    schema/     declared tables, live tables, and the steps from one to the other
    row/        the generic row routes; row/sql/ is pure
    account/    users, sessions, tokens, second factors, keys, groups
    message/    messages between users, notifications
    rpc/        routes that run a statement of the operator
    realtime/   rows followed as they change
    mongodb/    documents, by an insert or an upsert
    transfer/   files to tables, tables to files
    sandbox/    SQL that a caller wrote
    queue/      messages through a broker, each with one effect
    event/      events: written with the work, delivered by a relay
    mail/       mails: events that a provider of mail takes
    openapi/    typed schemas of the row routes
    http/       what happens to any request; http/step/ is the pipeline
    client/     the optional services, one to a file
    aws/        S3, SNS and SES, called in threads
    file/       files of users, on S3 or in a folder, tied to rows
    operation   the schema applied, read again, caches dropped
    coherence   caches and open WebSockets follow what changes
    runtime     everything a process needs, opened and closed
    command/    `python main.py` and the words that may follow it
"""

VERSION = "0.2.0"
