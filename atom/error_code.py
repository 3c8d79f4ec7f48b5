"""Every error code: its status, what it means, and the cure.

`docs/errors.md` is made from this table. A code that is raised and not listed here, or
listed and never raised, fails a test.
"""

from atom.error_code_account import ACCOUNT
from atom.error_code_service import FILE, SERVICE
from atom.errors import Code

ANY_ROUTE = (
    Code(
        "request.invalid",
        (400, 422),
        "A parameter or the body is missing, unknown or cannot be read; the message "
        "names it.",
        "Correct it; `/docs` shows what the route takes.",
    ),
    Code(
        "route.unknown",
        404,
        "No route has this path.",
        "Look at `/docs`. A path must match to the letter, without a slash at its end.",
    ),
    Code(
        "route.method",
        405,
        "The path exists, not for this method.",
        "See the header `Allow`.",
    ),
    Code(
        "body.too_large",
        413,
        "The body is larger than the route accepts.",
        "Send less, or raise `body_max_kb` of the route or `config_body_max_kb`.",
    ),
    Code(
        "rate.exceeded",
        429,
        "The limit of the route, or of failed logins, is used up.",
        "Wait for `Retry-After` seconds.",
    ),
    Code(
        "background.unreadable",
        400,
        "`is_background` is neither 0 nor 1.",
        "Write 0 or 1.",
    ),
    Code(
        "background.not_allowed",
        400,
        "The route does not work in the background: its caller needs the answer.",
        "Leave `is_background` out, or set `is_background: 1` in `config_api`.",
    ),
    Code(
        "background.busy",
        503,
        "Too much waits to be done in the background of this process, or for too long.",
        "Try again after `Retry-After`, or leave `is_background` out.",
    ),
    Code(
        "concurrency.exceeded",
        503,
        "The route works on `concurrency_max` requests already, or too many rows wait "
        "to be written.",
        "Try again after `Retry-After`.",
    ),
    Code(
        "timeout.exceeded",
        504,
        "The route, or one statement, took too long.",
        "Ask for less; raise `timeout_sec` or `config_postgres_command_timeout_sec`.",
    ),
    Code(
        "error.unexpected",
        500,
        "A fault of the server.",
        "Look for the `request_id` in the log: the trace is there.",
    ),
)

CALLER = (
    Code(
        "token.missing",
        401,
        "The route needs a user token.",
        "Send `Authorization: Bearer <token>`.",
    ),
    Code(
        "token.invalid",
        401,
        "The token was not signed by this server, was changed, or is of another kind.",
        "Log in again.",
    ),
    Code(
        "token.expired",
        401,
        "The token has expired.",
        "`/auth/token-refresh`, or log in again.",
    ),
    Code(
        "token.revoked",
        401,
        "Logged out, or the password was changed since; or the session is gone.",
        "Log in again.",
    ),
    Code(
        "key.route",
        403,
        "The API key was not made for this route.",
        "Make one with the route in `route`, or send an access token.",
    ),
    Code(
        "key.refused",
        403,
        "The route, or writing `users`, takes no API key: it needs the user themself.",
        "Log in, and send an access token.",
    ),
    Code(
        "csrf.refused",
        403,
        "A request that came by a cookie is not from a page of this server.",
        "Add the origin of the page to `config_cors_origin_list`. A program sends "
        "`Authorization`.",
    ),
    Code(
        "token.root_mismatch",
        401,
        "`/root/…` needs the root key as bearer.",
        "Send `config_key_root`; in development it is in `.atom/keys.json`.",
    ),
    Code(
        "origin.refused",
        403,
        "A page of another site opened a WebSocket.",
        "Add its origin to `config_cors_origin_list`.",
    ),
    Code(
        "access.denied",
        403,
        "The user's `api_access` does not list the id of this `/admin` route; or the "
        "database refused its own role.",
        "An admin adds the id. `GET /root/explain` shows which.",
    ),
    Code(
        "role.denied",
        403,
        "The user has none of the roles that the route takes.",
        "`config_role` has the question that decides it.",
    ),
    Code(
        "role.broken",
        503,
        "A query of `config_role` fails since the tables changed. No one is let in.",
        "The log has PostgreSQL's words; correct the query and restart.",
    ),
    Code(
        "rpc.broken",
        503,
        "A statement of `config_rpc` fails since the tables changed.",
        "The log has PostgreSQL's words; correct the statement and restart.",
    ),
    Code(
        "access.unmapped",
        403,
        "An `/admin` route without an id.",
        "Give it one in `config_api`.",
    ),
    Code(
        "active.inactive",
        403,
        "`is_active` of the user is 0.",
        "An admin sets it to 1.",
    ),
)

ROWS = (
    Code("row.table_not_allowed", 403, "Closed on this tier: `config_table` opens it."),
    Code("row.rule_refused", 403, "A rule does not allow the row as it would become."),
    Code(
        "row.rule_broken",
        503,
        "A rule of `config_table` fits the tables no more, so the table is closed.",
        "The log and `/health` name it; mend the rule or the table.",
    ),
    Code(
        "row.managed_column",
        400,
        "A column the server writes itself.",
        "Leave it out; [rows.md](rows.md) lists them.",
    ),
    Code("row.missing", 404, "No such row, or not yours."),
    Code("row.exists", 409, "A unique rule: the same values are stored already."),
    Code(
        "row.referenced",
        409,
        "A foreign key: the other row is missing, or still refers to this one.",
    ),
    Code(
        "row.too_many",
        400,
        "One request covers more rows than it may write.",
        "Do it in parts, or raise `config_write_rows_max`.",
    ),
    Code(
        "row.no_unique",
        400,
        "The named columns are not a unique rule of the table.",
        "The hint lists those there are.",
    ),
    Code(
        "row.refused",
        (403, 409),
        "A trigger refused; its words are the message (protected rows, user 1, bulk "
        "deletes of users).",
    ),
    Code("row.readonly", 403, "The statement may only read."),
    Code(
        "answer.too_large",
        422,
        "The rows of the answer are larger than `config_answer_max_mb`.",
        "Ask for fewer rows (`limit=`) or columns (`column=`).",
    ),
    Code("row.busy", 409, "Another request changes the same rows.", "Try again."),
    Code(
        "sql.unknown_table",
        404,
        "No such table.",
        "See the hint; after making one by hand call `/root/reset-global`.",
    ),
    Code(
        "sql.unknown_column",
        400,
        "The table has no such column, or it is secret.",
        "See the hint.",
    ),
    Code(
        "sql.unknown_relation",
        400,
        "The table has no such relation, or none you reach.",
        "See the hint.",
    ),
    Code("relation.unreadable", 400, "`relation` cannot be read.", "See the hint."),
    Code(
        "sql.changed",
        503,
        "The tables were changed a moment ago; they have been read again.",
        "Try again. If it stays, `/root/reset-global`.",
    ),
    Code(
        "filter.unreadable",
        400,
        "A filter, an operator or a cursor cannot be read.",
        "[rows.md](rows.md) has the grammar.",
    ),
    Code("filter.back_reference", 400, r"A regular expression refers back, by `\1`."),
    Code(
        "value.unreadable",
        400,
        "A value does not fit the datatype of its column.",
        "The message names what the column takes.",
    ),
    Code(
        "value.refused",
        422,
        "Of the right datatype, and against a rule: mandatory, a check, a length.",
    ),
)

OPERATOR = (
    Code(
        "client.missing",
        503,
        "The service the route needs is not configured, half configured, or its "
        "package is not installed.",
        "The hint names the keys or the package.",
    ),
    Code(
        "client.silent",
        503,
        "It is configured and does not answer now; Atom keeps trying.",
        "Start it; try again after `Retry-After`.",
    ),
    Code(
        "client.refused",
        502,
        "The service refuses what it was asked; the message has its reason.",
        "The hint names the key to check. What was sent may be at fault too.",
    ),
    Code(
        "pool.share",
        503,
        "The caller uses as much of the pool already as one caller may.",
        "Ask for less at once, or for what is quicker to find.",
    ),
    Code(
        "pool.exhausted",
        503,
        "No connection of the pool became free in time; the database itself answers.",
        "Try again; raise `config_postgres_max_connection`, or hold transactions for a "
        "shorter time.",
    ),
    Code(
        "schema.refused",
        409,
        "The declaration cannot be applied as the rows are. Nothing was changed.",
        "See the message.",
    ),
    Code(
        "schema.failed",
        409,
        "A step failed; the steps after it were not done.",
        "Put it right, call `/root/postgres-init` again.",
    ),
    Code(
        "schema.incomplete",
        409,
        "Single indexes, constraints or queries failed; the rest is done.",
        "Put them right, call again.",
    ),
    Code("schema.busy", 503, "Another worker is changing the tables.", "Try again."),
    Code("transfer.unknown_mode", 400, "Not a known mode.", "The message lists them."),
    Code(
        "transfer.unreadable_file",
        400,
        "The file cannot be read, or lacks a column; the message names the line.",
    ),
    Code(
        "transfer.unreadable_value",
        400,
        "A value does not fit its column; line and column are named.",
    ),
    Code(
        "transfer.id_twice",
        409,
        "The file names one row twice: by its id, or by the columns of `on_conflict`.",
    ),
    Code("query.unreadable", 400, "The query is empty or cannot be read."),
    Code("query.one_statement", 400, "More than one statement.", "Send one."),
    Code("query.not_read_only", 400, "The query is not one SELECT (or WITH … SELECT)."),
    Code("query.forbidden", 403, "A table, view or function that is not open here."),
    Code("query.secret", 403, "A secret column.", "`config_column_secret_list`."),
    Code("query.too_large", 422, "The rows are too large to answer.", "Select fewer."),
    Code("query.busy", 503, "All connections for such SQL are in use.", "Try again."),
    Code(
        "query.closed",
        503,
        "The database login that runs callers' SQL is missing, or is not safe.",
        "The hint and the log contain the SQL for an administrator.",
    ),
    Code(
        "page.login",
        303,
        "A browser asks for the documentation of production without its cookie.",
        "Log in at `/docs/login` with `config_key_root`.",
    ),
    Code("page.missing", 404, "`static/` has no such page."),
)

SECTIONS = (
    ("On any route", ANY_ROUTE),
    ("Who is asking", CALLER),
    ("Accounts", ACCOUNT),
    ("Rows", ROWS),
    ("Operator", OPERATOR),
    ("Files", FILE),
    ("Services", SERVICE),
)
CODES = {code.name: code for _, codes in SECTIONS for code in codes}
