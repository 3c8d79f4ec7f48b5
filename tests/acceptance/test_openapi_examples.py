"""Every example in /openapi.json can be sent as it stands, and is answered with 200.

Those of typed row routes have their test in test_typed_rows.py.
"""

import pytest

from tests.acceptance.conftest import opened
from tests.served import serve

FILE = {"file": ("rows.csv", b"title\r\nfrom an example\r\n", "text/csv")}
# A refresh token is only told by an answer: the example cannot be a true one.
# A token and codes that are not good; senders and templates that are not listed.
EXPECTED = {
    "/auth/token-refresh": 401,
    "/auth/login-oidc": 401,
    "/auth/login-mfa": 401,
    "/auth/passkey-begin": 403,  # there are no passkeys
    "/auth/login-passkey": 403,
    "/auth/passkey-create": 403,
    "/auth/passkey-confirm": 403,
    "/my/passkey-create": 403,
    "/my/passkey-confirm": 403,
    "/my/passkey-delete": 401,  # not the password
    "/auth/totp-create": 401,
    "/auth/totp-confirm": 401,
    "/admin/user-mfa-delete": 404,
    "/my/totp-create": 403,  # config_mfa is off
    "/my/totp-confirm": 403,
    "/my/totp-delete": 401,  # not the password
    "/my/recovery-code-create": 401,
    "/auth/email-verify": 401,
    "/auth/password-reset": 401,
    "/auth/invitation-accept": 401,
    "/admin/invitation-delete": 404,
    "/admin/group-update": 404,
    "/admin/group-delete": 404,
    "/admin/group-member-create": 404,
    "/admin/group-member-delete": 404,
    "/my/api-key-delete": 404,
    "/auth/signup-email": 400,  # its code was not sent
    "/auth/signup-mobile": 400,
    "/auth/login-otp-email": 401,
    "/auth/login-otp-mobile": 401,
    "/public/otp-verify-email": 401,
    "/public/otp-verify-mobile": 401,
    "/public/otp-send-mobile-sns-template": 403,
    "/public/otp-send-email-ses": 403,
    "/public/otp-send-email-resend": 403,
    "/public/file": 403,  # the word of a link is only in an answer
    "/public/file-receive": 403,
    "/private/file-link": 403,  # of another user's folder
    "/private/file-delete": 403,
}
# What needs the account they leave behind, or ends it, comes in this order.
FIRST = ("/auth/signup", "/auth/signup-bigint")
LAST = ("/auth/logout", "/my/account-delete")


@pytest.fixture(scope="module")
def own():
    """A server that may be left in any state."""
    values = {
        "config_s3_bucket_list": "atom-sample",
        "config_mongodb_database_list": "atom",
    }
    with serve(values) as served:
        running = opened(served)
        yield running
        running.http.close()


@pytest.fixture(scope="module")
def document(own):
    """What the server says of itself."""
    return own.call("GET", "/openapi.json").json()


@pytest.fixture(scope="module")
def ada(own):
    """Who may call everything but /root."""
    return own.person(api_access="1,2,3,4,5,6,8")


def resolved(document, part):
    """Follow a reference, if it is one."""
    if "$ref" not in part:
        return part
    kind, name = part["$ref"].split("/")[-2:]
    return document["components"][kind][name]


def values(part):
    """Return what /docs shows for a parameter or a field."""
    schema = part.get("schema", part)
    if "example" in part:
        return [part["example"]]
    return schema.get("examples") or schema.get("enum") or []


def body(document, operation):
    """Return the example of a body, as options of a call."""
    for media, told in operation.get("requestBody", {}).get("content", {}).items():
        schema = resolved(document, told["schema"])
        fields = schema.get("properties", {})
        whole = schema.get("examples") or [
            {
                name: values(fields[name])[0]
                for name in schema["required"]
                if name != "file"
            }
        ]
        if media == "application/json":
            return {"json": whole[0]}
        return {"data": whole[0], "files": FILE}
    return {}


def exploded(name, value):
    """Return what stands in the query: of an object, each of its fields."""
    return value if isinstance(value, dict) else {name: value}


def questions(document, path, operation):
    """Yield path and options of a call for each example, with all that is required."""
    parts = [resolved(document, part) for part in operation.get("parameters", ())]
    needed = {part["name"]: values(part)[0] for part in parts if part["required"]}
    query = {part["name"] for part in parts if part["in"] == "query"}
    asked = {}
    for name in query & needed.keys():
        asked |= exploded(name, needed[name])
    options = body(document, operation)
    url = path.format(**needed)
    yield url, {"params": asked, **options}
    for part in parts:
        if part["in"] == "header":
            continue
        for value in values(part) if not part["required"] else ():
            told = exploded(part["name"], value)
            yield url, {"params": {**asked, **told}, **options}


def everything(document):
    """Yield method, path and operation of the routes, those of one table left out."""
    found = [
        (method.upper(), path, operation)
        for path, methods in document["paths"].items()
        for method, operation in methods.items()
        if "/rows/" not in path
    ]
    rank = {**dict.fromkeys(FIRST, 0), **dict.fromkeys(LAST, 2)}
    return sorted(found, key=lambda each: rank.get(each[1], 1))


def test_every_example_works(own, document, ada):
    """In the order of a person: who signs up with the example logs in with it."""
    who = {"root": "root", "user": ada}
    mine = (
        "insert into test (id, created_by_id) values (1, $1)"
        " on conflict (id) do update set created_by_id = $1"
    )
    own.sql("insert into users (id, type, username) values (7, 1, 'u7')")
    asked = 0
    for method, path, operation in everything(document):
        for url, options in questions(document, path, operation):
            if method == "PUT":
                own.sql(mine, ada.id)
            if path in LAST:
                who["user"] = own.person()
            (lock,) = operation.get("security", [{"nobody": []}])
            answer = own.call(method, url, who.get(*lock), **options)
            if answer.status_code == 503:  # this server has no such service
                assert "client.missing" == answer.json()["code"], answer.text
                continue
            wanted = EXPECTED.get(path, 200)
            assert wanted == answer.status_code, (url, options, answer.text)
            asked += 1
        if path == "/auth/signup":  # as the examples of logging in have it
            own.sql(
                "update users set email = 'ada@example.com', mobile = '+919876543210'"
                " where username = 'ada'"
            )
    assert asked > len(everything(document))
