"""What Schemathesis asks besides: real tables and columns, and the one shape of errors.

Loaded by its command line (SCHEMATHESIS_HOOKS), never by pytest.
"""

import schemathesis

SHAPE = {"status", "message", "code", "hint", "request_id"}
INSIDES = (
    "Traceback",
    'File "',
    "asyncpg",
    "pydantic",
    "DETAIL",
    "SQLSTATE",
    "Expecting value",
    "insert into",
    "returning ",
    "<html",
)
TABLES = ("test", "test", "test", "message", "report_user", "users", "otp")
COLUMNS = (
    "title",
    "rating",
    "tag",
    "metadata",
    "location",
    "is_active",
    "user_id",
    "description",
    "type",
)


def one_of(choices, seed):
    """Choose by what was generated, so that a run can be repeated."""
    return choices[sum(repr(seed).encode()) % len(choices)]


def real(values):
    """Name a table that exists; its odd spellings have a test of their own."""
    if isinstance(values, dict) and isinstance(values.get("table"), str):
        return {**values, "table": one_of(TABLES, values)}
    return values


def known(row, seed):
    """Give a generated row columns that exist."""
    if not isinstance(row, dict):
        return row
    kept = {name: value for name, value in row.items() if name in {"id", *COLUMNS}}
    made = {
        one_of(COLUMNS, (seed, name)): value
        for name, value in row.items()
        if name not in kept
    }
    return {**made, **kept}


@schemathesis.hook
def map_query(context, query):
    """Point queries at tables, and filters at columns."""
    query = real(query)
    if isinstance(query, dict) and isinstance(query.get("filter"), dict):
        query["filter"] = known(query["filter"], "filter")
    return query


@schemathesis.hook
def map_body(context, body):
    """Point bodies at tables, and rows at columns."""
    if context.operation.path.endswith(("object-create", "object-update")):
        if isinstance(body, list):
            return [known(row, number) for number, row in enumerate(body)]
        return known(body, "body")
    return real(body)


@schemathesis.check
def one_shape(ctx, response, case):
    """Every refusal has the one shape, and no answer tells what is inside."""
    page = response.headers["content-type"][0].startswith("text/html")
    for inside in INSIDES:
        if page and response.status_code == 200 and inside == "<html":
            continue  # a page of the project, asked for by its example
        if inside == "asyncpg" and case.path == "/root/doctor":
            continue  # the name of a client
        assert inside not in response.text, f"{inside!r} in {response.text[:300]}"
    if response.status_code >= 400:
        told = response.json()
        assert told.keys() >= SHAPE, told
        assert 0 == told["status"], told
        assert told["message"], told
        assert told["request_id"] == response.headers["x-request-id"][0], told


@schemathesis.check
def no_server_fault(ctx, response, case):
    """No 5xx, but for a route of a service that this server does not have."""
    if response.status_code >= 500:
        assert "client.missing" == response.json()["code"], response.text
