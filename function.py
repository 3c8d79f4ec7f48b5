"""The functions a router or a consumer may call, under the names users know.

This file only renames. function_token_decode is `decode` in atom/account/token.py, and
so on: take off function_, and the first word left is the file.
"""

from contextlib import asynccontextmanager
from functools import cache
from pathlib import Path
from urllib.parse import urlencode

import orjson

from atom import client, errors, mongodb, realtime, reply, row, transfer
from atom import message as notifications
from atom import operation as operator
from atom.account import access, otp, session, token
from atom.account.password import hash_password as function_password_hash
from atom.account.password import verify_password as function_password_verify
from atom.account.token import decode as function_token_decode
from atom.account.token import encode as function_token_encode
from atom.client import http, needed
from atom.client.all import CLIENTS
from atom.command.welcome import print_login
from atom.config import door
from atom.config.check import require_valid
from atom.config.read import read
from atom.errors import ConfigError
from atom.event.declaration import declared as events_of
from atom.event.declaration import models_of, unhandled
from atom.event.publish import publish
from atom.http import parameter
from atom.http.step import background
from atom.mail.publish import mailer
from atom.mail.publish import publish as publish_mail
from atom.mongodb.write import bulk_upsert as function_mongodb_bulk_upsert
from atom.observe import journal
from atom.postgres import catalog
from atom.queue.message import Message
from atom.runtime import Runtime
from atom.sandbox import runner

ROOT = Path(__file__).parent


@cache
def function_config_read():
    """Return every config value: defaults, then config files, .env and environment."""
    return read(ROOT)


def function_runtime():
    """Open everything a server has, for a script: app.state.ports, app.state.client_…

    `async with function_runtime() as app:`, or without async `with function_runtime()
    as app: app.run(coroutine)`. Nothing is served.

    Raises:
        ConfigError: with every problem of config.
    """
    config = function_config_read()
    clients, hooks = door.clients(ROOT), door.hooks(ROOT, config)
    handlers = door.handlers(ROOT, config)
    return Runtime(
        require_valid(config),
        ROOT,
        clients=clients,
        hooks=hooks,
        handlers=handlers,
        events=_declared_events(),
        on_login=print_login,
    )


# Names users know. Each works on `request.app.state.ports`, as trusted code: no owner
# is checked and every table is open, so restrict the rows yourself.


def _ports(source):
    """Return the ports of an app, of a request, or the ports themselves."""
    app = getattr(source, "app", source)
    return app.state.ports if hasattr(app, "state") else app


def function_transaction(app, **options):
    """Return a transaction: `async with function_transaction(app):`.

    Inside, `client_postgres`, `client_postgres_asyncpg` and every `function_object_…`
    use one connection, and commit or roll back together; one inside another is a
    savepoint. `options` are asyncpg's: isolation, readonly, deferrable. A task started
    inside takes another connection.
    """
    return _ports(app).database.begin(**options)


async def function_object_create_postgres(ports, table, object, user_id=None):
    """Add a row, or a list of rows in one statement. Return the id or ids."""
    ports = _ports(ports)
    scope = ports.rules.trusted(user_id)
    return await row.create(ports.database, scope, table, object)


async def function_object_update_postgres(ports, table, object, user_id=None):
    """Change the row with the `id` in the object. Return that id."""
    ports = _ports(ports)
    scope = ports.rules.trusted(user_id)
    return await row.update(ports.database, scope, table, object)


async def function_object_delete_postgres(ports, table, ids):
    """Delete rows by id. Return how many there were."""
    ports = _ports(ports)
    scope = ports.rules.trusted(None)
    return await row.delete_ids(ports.database, scope, table, ids)


async def function_object_read_postgres(ports, table, parameters=()):
    """Read rows as JSON bytes; parameters are pairs, as in /public/object-read.

    With `is_count` the bytes have `.count`, with `cursor` or `limit` `.next_cursor`. In
    a transaction it reads on its connection, else on the replica if there is one.
    """
    query = urlencode([("table", table), *parameters]).encode()
    ports = _ports(ports)
    inside = ports.database.current() is not None
    database = ports.database if inside else ports.database_read
    return row.Rows(await row.read(database, ports.rules.trusted(None), query))


@asynccontextmanager
async def function_mongodb(app, database=None):
    """Open a database of MongoDB: `async with function_mongodb(app) as db:`.

    The one named, else that of `config_mongodb_url`, else the first of
    `config_mongodb_database_list`. Errors of the driver inside become those of a route:
    409 for a unique index, 503 while it does not answer.
    """
    ports = _ports(app)
    first = next(iter(ports.config["config_mongodb_database_list"]), None)
    async with mongodb.opened(ports.clients, database, default=first) as db:
        yield db


async def function_object_create_mongodb(ports, database, table, object):
    """Insert a document, or a list of them. Return the id or ids, as text."""
    is_many = isinstance(object, list)
    async with function_mongodb(ports, database) as db:
        found = await mongodb.create(db, table, object if is_many else [object])
    ids = [str(each) for each in found]
    return ids if is_many else ids[0]


async def function_object_create_redis(ports, table, object, expiry_sec=None):
    """Set `{table}_{id}` in Redis to each row, as JSON. Return the number of rows."""
    client = needed(_ports(ports).clients, "client_redis", "config_redis_url")
    rows = object if isinstance(object, list) else [object]
    return await transfer.create_redis(client, table, rows, expiry_sec=expiry_sec)


async def function_publish(app, topic, value):
    """Send a JSON value to the subscriptions of a topic, in every worker.

    In a transaction it is sent once that is committed. At most once: for what must not
    be lost, see `function_event`.
    """
    _ports(app).topics.publish(topic, value)


@asynccontextmanager
async def function_subscribe(app, topic):
    """Follow a topic: `async with function_subscribe(app, "x") as values:`.

    Then `async for value in values:`.
    """
    with _ports(app).topics.subscribed(topic) as values:
        yield values


def function_streams(websocket):
    """Serve streams on a WebSocket: `async with function_streams(ws) as streams:`.

    Inside, `await streams.take(text)` acts on a message that subscribes, and returns
    False for another one.
    """
    return realtime.streams(websocket)


async def function_postgres_schema_read(ports):
    """Return the live schema in the form of cache_postgres_schema."""
    return operator.shown(await catalog.read(_ports(ports).database))


async def function_postgres_schema_init(ports, destructive=False):
    """Apply config_postgres_schema, as /root/postgres-init does.

    The login of a root user made by it is printed: its password is known only then.
    """
    ports = _ports(ports)
    login = await operator.schema_apply(ports, destructive=destructive)
    if login is not None:
        print_login(ports.config, login)


async def function_event(source, event_type, **about):
    """Publish an event on the caller's transaction. Return its id.

    `source` is an app, a request, a hook or a connection; `about` is aggregate_id,
    payload, aggregate_type and version. It is delivered to the targets that
    config_event names, once the transaction is committed, and never if it is not.
    """
    return await publish(source, _events(source), event_type, **about)


async def function_email(source, template, to, values=None):
    """Send a mail by a template, on the caller's transaction. Return its id.

    `source` is an app, a request, a hook or a connection, `template` the name of a file
    in `email/`, `values` what is put into it; `to` is an address, or a list of them
    that do not see each other. It is sent once the transaction is committed, and never
    if it is not; a provider that fails is tried again later.

    Raises:
        ApiError: `identity.unreadable` for what is not an address.
        ValueError: for an unknown template, and a value it lacks.
    """
    ports = _ports(source)
    by = ports.mailer if hasattr(ports, "mailer") else _declared_mailer()
    return await publish_mail(source, by, template, to, values or {})


async def function_notify(source, user_id, subject, message="", **about):
    """Notify a user, or a list of users, on the caller's transaction.

    They read it by /my/notification-read. `source` is an app, a request, a hook or a
    connection; `about` is link (https, http, or a path of your site) and kind.

    Raises:
        ApiError: `notification.unreadable`.
    """
    await notifications.notify(_ports(source), user_id, subject, message, **about)


@cache
def _declared_mailer():
    """Return what writes mails on a bare connection: the templates of the project."""
    return mailer(ROOT, function_config_read())


def _events(source):
    """Return the events that an app knows; for a bare connection, those of config."""
    ports = _ports(source)
    return ports.events if hasattr(ports, "events") else _declared_events()


@cache
def _declared_events():
    """Return the events of config and of the handler files; raises as require_valid."""
    config, problems = function_config_read(), []
    handlers = door.handlers(ROOT, config)
    models = models_of(door.modules(ROOT, door.HANDLER), problems)
    found = events_of(config, problems, models=models, handled=handlers.events)
    if problems := problems + unhandled(found):
        raise ConfigError(problems)
    return found


# The services of docs/services.md. Each raises `client.missing` or `client.silent` with
# the key to set, and `client.refused` with the reason.


def _client(source, name, keys):
    """Return an open client by its name on app.state."""
    return client.needed(_ports(source).clients, name, keys)


async def function_openai_prompt(app, prompt, *, model="", **options):
    """Return the answer of OpenAI, or of config_openai_base_url, to a prompt.

    `prompt` is text, or a list of messages; `options` are OpenAI's: temperature, tools.
    """
    openai = _client(app, "client_openai", "config_openai_key")
    return await openai.prompt(prompt, model=model, **options)


def function_openai_stream(app, prompt, *, model="", **options):
    """Return the same answer piece by piece: `async for words in …`."""
    openai = _client(app, "client_openai", "config_openai_key")
    return openai.stream(prompt, model=model, **options)


async def function_openai_ocr(app, source, *, page=None, model="", **options):
    """Return the text in an image or a PDF: its bytes, or the URL of an image.

    `page` is that of a PDF; `prompt` asks for something else than all text.
    """
    openai = _client(app, "client_openai", "config_openai_key")
    return await openai.ocr(source, page=page, model=model, **options)


def function_posthog_capture(app, event, user_id, properties=None):
    """Send an event to PostHog, without waiting. Return its id, or None if lost."""
    posthog = _client(app, "client_posthog", "config_posthog_project_key")
    return posthog.capture(event, distinct_id=str(user_id), properties=properties or {})


async def function_fast2sms_send(app, mobile, otp):
    """Send a code by Fast2SMS. Return the id of the message."""
    service = _client(
        app, "client_fast2sms", "config_fast2sms_url, config_fast2sms_key"
    )
    return await http.send_sms(service, mobile, otp)


async def function_resend_send(app, to, subject, *, sender, html="", text="", key=""):
    """Send a mail by Resend. Return its id.

    With `key`, an idempotency key of yours, it is tried again and sent once.
    """
    service = _client(app, "client_resend", "config_resend_url, config_resend_key")
    return await http.send_mail(
        service, to, subject, sender=sender, html=html, plain=text, idempotency_key=key
    )


async def _produce(name, app, function, *, channel=None, key=None, **arguments):
    brokers = _ports(app).brokers
    message = Message(function, arguments, key=key)
    return await brokers.send(name, channel or brokers.channel, message)


async def function_producer_redis(app, function, **arguments):
    """Ask consumer_redis.py for a function. Return the id of the message, confirmed.

    `channel` is another than config_channel; messages with one `key` are done in order.

    Raises:
        Unavailable: when the broker is not configured, or did not confirm.
    """
    return await _produce("redis", app, function, **arguments)


async def function_producer_rabbitmq(app, function, **arguments):
    """Ask consumer_rabbitmq.py for a function, as function_producer_redis does."""
    return await _produce("rabbitmq", app, function, **arguments)


async def function_producer_kafka(app, function, **arguments):
    """Ask consumer_kafka.py for a function, as function_producer_redis does."""
    return await _produce("kafka", app, function, **arguments)


async def function_producer_celery(app, function, **arguments):
    """Ask consumer_celery.py for a function, as function_producer_redis does."""
    return await _produce("celery", app, function, **arguments)


async def function_token_check(app, token):
    """Return the user of a token, with `id`, unless it has ended or was revoked.

    Raises:
        Unauthenticated, Forbidden: as the routes do.
    """
    return await session.check(_ports(app), token)


async def function_check_api_access(app, user, api_id):
    """Refuse a user, as function_token_check returns it, who does not hold an api id.

    Raises:
        Forbidden: `access.denied`.
    """
    await access.require_too(_ports(app), user, api_id)


def function_api_response_background(app, work, *given):
    """Answer "added in background" at once, and await `work(*given)` after it.

    Raises:
        Unavailable: `background.busy` when too much is waiting.
    """
    return background.acknowledged(_ports(app).tasks.backlog, work, *given)


def function_log_create_postgres(app, **columns):
    """Add a row to log_api, written with the next batch.

    Raises:
        TypeError: naming a column that is not one of log_api.
    """
    journal.append_columns(_ports(app).journal, columns)


async def function_otp_generate(app, *, email=None, mobile=None, purpose=None):
    """Return a new code for an e-mail or a mobile: 6 digits, good once, 10 minutes.

    `purpose` is login, signup, change or verify; without one the code is good for all.
    """
    ports = _ports(app)
    key = token.signing_keys(ports.account.key_jwt)[0]
    about = {"email": email, "mobile": mobile, "purpose": purpose}
    return await otp.generate_otp(ports.database, key=key, **about)


async def function_otp_verify(app, code, *, email=None, mobile=None, purpose=None):
    """Consume the code of an address, one for this purpose or for all.

    Raises:
        Unauthenticated: `otp.invalid`, whatever is wrong with it.
    """
    ports = _ports(app)
    keys = token.signing_keys(ports.account.key_jwt)
    about = {"email": email, "mobile": mobile, "purpose": purpose}
    await otp.verify_otp(ports.database, code, keys=keys, **about)


async def function_postgres_query_runner(app, query, *, writes=False):
    """Run one statement in the sandbox of /admin/db-runner. Return rows, or a number.

    With `writes` it may also insert, update and delete.
    """
    sandbox = _ports(app).sandbox
    answer = await runner.run_statement(sandbox, query, writes=writes)
    return answer.affected if answer.rows is None else orjson.loads(answer.rows)


async def function_postgres_stream(app, query, *, file_format="csv"):
    """Yield the rows of a query that reads in pieces of CSV, or of "jsonl"."""
    export = transfer.Export(_ports(app).sandbox, query, file_format=file_format)
    await export.start()
    try:
        async for piece in export:
            yield piece
    finally:
        await export.close()


async def function_param_read(request, source, fields):
    """Return the parameters of a request, read by their types.

    `source` is "query", "form" or "body" (JSON); `fields` are as those of Pydantic's
    create_model: `{"page": (int, 1), "title": (str, ...)}`, or a type alone.

    Raises:
        ApiError: naming the first that is missing, unknown or of another type.
    """
    return await parameter.read(request, source, fields)


def _opens(declared):
    async def opened(config=None):
        found = function_config_read() if config is None else config
        return await declared.open(found, client.Live())

    keys = ", ".join(declared.needs)
    opened.__doc__ = f"Open {declared.name} ({keys}) for a script, which closes it."
    return opened


for _declared in CLIENTS:
    if not _declared.after:  # one made from another is opened with it
        _name = _declared.name.removeprefix("client_")
        globals()[f"function_client_read_{_name}"] = _opens(_declared)


def function_return_error(status, message):
    """Answer an error in the one shape, from anywhere."""
    return reply.failure(errors.ApiError(message, code=f"http.{status}", status=status))


__all__ = [name for name in globals() if name.startswith("function_")]
