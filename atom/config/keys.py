"""KEYS: every `config_` key of Atom, in the order of the documentation.

This one tuple drives the reading of config, `.env.example`, the tables in
docs/config.md and the test that each key is documented. A client declares its own keys
in atom/client/.
"""

from collections.abc import Iterator
from dataclasses import replace

from atom.client.all import CLIENTS
from atom.config.key_account import ACCOUNT
from atom.config.key_audit import AUDIT
from atom.config.key_event import EVENT
from atom.config.key_file import FILE
from atom.config.key_mail import MAIL
from atom.config.key_mfa import MFA
from atom.config.key_otp import OTP
from atom.config.key_queue import QUEUE
from atom.config.key_stream import STREAM
from atom.config.key_token import TOKEN
from atom.config.parse import (
    flag,
    mapping,
    names,
    one_of,
    prefix,
    seconds,
    seconds_or_none,
    text,
    whole,
    word,
)
from atom.config.resolve import Key

CHECK = one_of("token", "cache", "database")
OF_CLIENTS = {key.name: key for client in CLIENTS for key in client.keys}


def section(title: str, *keys: Key) -> Iterator[Key]:
    """Yield keys as part of one section of the documentation."""
    return (replace(key, section=title) for key in keys)


KEYS = (
    *section(
        "Application",
        Key("config_app_name", text, "atom", "Name shown by GET / and /docs."),
        Key("config_app_version", text, "0.1.0", "Version shown by GET / and /docs."),
        Key(
            "config_env",
            word,
            "development",
            "Any word. production and staging refuse defaults, generated keys and "
            "placeholders.",
        ),
        Key("config_host", text, "0.0.0.0", "Address to serve on."),  # noqa: S104
        Key(
            "config_port",
            whole(0, 65535),
            8000,
            "Port to serve on. PORT means the same.",
        ),
        Key("config_workers", whole(1, 256), 1, "Number of server processes."),
        Key(
            "config_graceful_timeout_sec",
            whole(1, 3600),
            25,
            "Seconds that requests in flight have when the server stops.",
        ),
        Key(
            "config_atom_folder",
            text,
            ".atom",
            "Folder of the embedded databases and generated keys.",
        ),
        Key("config_is_docs", flag, False, "Whether /docs is open in production too."),
        Key(
            "config_docs_description_file",
            text,
            None,
            "Markdown file, relative to the project, that /docs begins with.",
        ),
        Key(
            "config_log_level",
            one_of("debug", "info", "warning", "error"),
            "info",
            "Lowest level that is logged.",
        ),
    ),
    *section(
        "Keys and tokens",
        Key(
            "config_key_root",
            text,
            None,
            "Bearer token of /root routes, 16 characters or more.",
            secret=True,
        ),
        Key(
            "config_key_jwt",
            text,
            None,
            "Key that signs tokens, 32 bytes or more. Two, comma between: sign with "
            "the first, accept both.",
            secret=True,
        ),
        Key(
            "config_token_expire_sec",
            whole(1, 31_536_000),
            86_400,
            "Lifetime of an access token, in seconds.",
        ),
        Key(
            "config_token_refresh_expire_sec",
            whole(1, 315_360_000),
            2_592_000,
            "Lifetime of a refresh token, in seconds.",
        ),
        *TOKEN,
        Key(
            "config_token_key_list",
            names,
            ("id", "is_active", "api_access"),
            "Columns of users that a token carries.",
        ),
        Key(
            "config_mode_check_api_access",
            CHECK,
            "cache",
            "Where /admin rights are read: token, cache (coherent), database.",
        ),
        Key(
            "config_mode_check_is_active",
            CHECK,
            "cache",
            "Where is_active is read: token, cache (coherent), database.",
        ),
        Key(
            "config_limit_cache_users_api_access",
            whole(1),
            1000,
            "Most users with cached rights.",
        ),
        Key(
            "config_limit_cache_users_is_active",
            whole(1),
            1000,
            "Most users with a cached is_active.",
        ),
    ),
    *section(
        "Accounts",
        *ACCOUNT,
        *OTP,
        *MFA,
        Key("config_root_username", text, "root", "Name of the root user made once."),
        Key(
            "config_root_password",
            text,
            None,
            "Its password. Unset: generated, printed once.",
            secret=True,
        ),
    ),
    *section(
        "Rows",
        Key(
            "config_limit_read_max", whole(1, 1_000_000), 1000, "Most rows of one read."
        ),
        Key(
            "config_write_rows_max",
            whole(1, 1_000_000),
            10_000,
            "Most rows that one request may write or delete.",
        ),
        Key(
            "config_answer_max_mb",
            whole(1, 512),
            32,
            "Most MiB of the rows of one answer; more are refused with 422.",
        ),
        Key(
            "config_read_timeout_ms",
            whole(1, 3_600_000),
            10_000,
            "Milliseconds a read of rows may take; then it is cancelled, with 504.",
        ),
        Key(
            "config_table_allowed_public_create_list",
            names,
            ("test",),
            "Tables anyone may add a row to, unless config_table has their `public`.",
        ),
        Key(
            "config_table_allowed_public_read_list",
            names,
            ("test",),
            "Tables anyone may read, unless config_table has their `public`.",
        ),
        Key(
            "config_table",
            mapping,
            {},
            "Which rows and columns each tier reaches, by table and verb. What is not "
            "here is closed but to admins.",
        ),
        Key(
            "config_scope",
            mapping,
            {},
            "Sets of the caller that conditions of config_table name, each a select.",
        ),
        Key(
            "config_tenant",
            mapping,
            {},
            "The column that keeps tenants apart, the scope of a caller's, and the "
            "tables that are exempt.",
        ),
        Key(
            "config_column_disabled_list",
            names,
            ("is_active", "is_verified"),
            "Columns a user may not write, in addition to the managed ones.",
        ),
        Key(
            "config_column_secret_list",
            names,
            ("password", "password_bigint", "google_data", "otp"),
            "Columns that never leave the server.",
        ),
    ),
    *section(
        "Requests",
        Key(
            "config_route_override_list",
            names,
            (),
            "Routes of yours that may hide a shipped one: `GET /health`.",
        ),
        Key(
            "config_api_default",
            mapping,
            {},
            "Merged under every entry of config_api.",
        ),
        Key("config_body_max_kb", whole(1), 1024, "Largest body of a request, in KiB."),
        Key(
            "config_trusted_proxy_list",
            names,
            (),
            "Proxies: addresses or networks. Their X-Forwarded-For, -Proto, -Host and "
            "-Prefix are believed.",
        ),
        Key(
            "config_hsts_sec",
            whole(0),
            31_536_000,
            "Seconds that a browser stays with https once a trusted proxy has reported"
            " it, in production. 0: it is free to leave it.",
        ),
        Key(
            "config_root_path",
            prefix,
            "",
            "Prefix that a proxy strips, such as /api.",
        ),
        Key("config_is_gzip", flag, True, "Whether answers above 1 kB are compressed."),
        Key(
            "config_cache_memory_max_mb",
            whole(1, 65_536),
            64,
            "Memory for cached answers in each process, in MiB.",
        ),
        Key(
            "config_batch_log_api",
            whole(1),
            10,
            "Rows of log_api that wake the writer.",
        ),
        Key(
            "config_batch_log_api_sec",
            seconds,
            1.0,
            "Seconds after which log_api is written in any case.",
        ),
        Key(
            "config_batch_object_create",
            whole(1),
            10,
            "Rows of queue=batch that are written without further waiting.",
        ),
        Key(
            "config_batch_wait_ms",
            whole(0, 1000),
            5,
            "Milliseconds a row of queue=batch waits for others at most.",
        ),
        Key(
            "config_cors_origin_list",
            names,
            ("*",),
            "Origins a browser may call from, and open WebSockets from.",
        ),
        Key("config_cors_method_list", names, ("*",), "Methods a browser may use."),
        Key("config_cors_headers_list", names, ("*",), "Headers a browser may send."),
        Key(
            "config_cors_allow_credentials",
            flag,
            False,
            "Whether a browser may send cookies. Not with origin *.",
        ),
    ),
    *section(
        "PostgreSQL",
        Key(
            "config_postgres_url",
            text,
            None,
            "Primary PostgreSQL. Unset: an embedded one is started.",
            example="postgresql://user:password@host:5432/database",
            secret=True,
            also=("DATABASE_URL",),
        ),
        Key(
            "config_postgres_url_direct",
            text,
            None,
            "PostgreSQL itself, when config_postgres_url leads to a pooler: for "
            "LISTEN, locks and schema changes. Unset: config_postgres_url.",
            secret=True,
        ),
        Key(
            "config_postgres_url_read",
            text,
            None,
            "Replicas for reads of /my, /public and config_rpc, comma between: asked "
            "in turn. One that is away or lags is left out.",
            secret=True,
        ),
        Key(
            "config_postgres_read_lag_max_sec",
            seconds,
            10.0,
            "Seconds a replica may be behind and still be read.",
        ),
        Key(
            "config_postgres_read_own_writes_sec",
            seconds_or_none,
            5.0,
            "Seconds in which a caller who has written reads the primary; 0: none.",
        ),
        Key(
            "config_is_postgres_init",
            flag,
            False,
            "Whether the schema is applied at start also on an external database.",
        ),
        Key(
            "config_startup_wait_sec",
            seconds_or_none,
            0.0,
            "Seconds to wait at start until the primary database answers.",
        ),
        Key("config_postgres_min_connection", whole(0, 1000), 1, "Smallest pool."),
        Key("config_postgres_max_connection", whole(1, 1000), 20, "Largest pool."),
        Key(
            "config_postgres_acquire_timeout_sec",
            seconds,
            5.0,
            "Seconds a request waits for a connection before 503.",
        ),
        Key(
            "config_postgres_command_timeout_sec",
            seconds,
            30.0,
            "Seconds one statement may take.",
        ),
        Key(
            "config_postgres_lock_timeout_sec",
            seconds,
            5.0,
            "Seconds a statement waits for a lock that another transaction holds; "
            "then 409.",
        ),
        Key(
            "config_postgres_connect_timeout_sec",
            seconds,
            5.0,
            "Seconds to connect.",
        ),
        Key(
            "config_postgres_idle_transaction_timeout_sec",
            seconds,
            60.0,
            "Seconds a transaction may be idle before PostgreSQL ends it.",
        ),
        Key(
            "config_postgres_statement_cache_size",
            whole(0, 10_000),
            1024,
            "Prepared statements kept by a connection; 0 behind a transaction pooler.",
        ),
    ),
    *section(
        "Imports, exports, SQL of an admin",
        Key(
            "config_transfer_timeout_sec",
            seconds,
            600.0,
            "Seconds an import or an export may take.",
        ),
        Key(
            "config_db_runner_timeout_ms",
            whole(1),
            5000,
            "Milliseconds a statement of /admin/db-runner may take.",
        ),
        Key("config_db_runner_limit", whole(1), 1000, "Most rows of /admin/db-runner."),
    ),
    *section("Events", *EVENT),
    *section("Mail", *MAIL),
    *section("Queues", *QUEUE),
    *section("Streams", *STREAM),
    *section("Audit", *AUDIT),
    *section("Files", *FILE),
    *section("Optional services", *OF_CLIENTS.values()),
)
