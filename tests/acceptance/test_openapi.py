"""/openapi.json against the running server: what it says is what happens.

Schemathesis asks as nobody, as a user and as root, on a server of its own:
what it writes, deletes and uses up is nobody else's.
"""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.acceptance.conftest import opened
from tests.served import ROOT, serve

CHECKS = (
    "one_shape",
    "not_a_server_error",
    "status_code_conformance",
    "content_type_conformance",
    "response_headers_conformance",
    "response_schema_conformance",
    "negative_data_rejection",
    "unsupported_method",
    "allow_header_conformance",
    "ignored_auth",
)
# Their success ends the token that the rest of a run needs: they have their own run.
ENDINGS = ("/auth/logout", "/my/account-delete")
FAILURE = {"$ref": "#/components/schemas/Failure"}


@pytest.fixture(scope="module")
def own():
    """A server that may be left in any state."""
    with serve() as served:
        running = opened(served)
        yield running
        running.http.close()


@pytest.fixture(scope="module")
def document(own):
    """What the server says of itself."""
    return own.call("GET", "/openapi.json").json()


def operations(document):
    """Yield method, path and operation."""
    for path, methods in document["paths"].items():
        for method, operation in methods.items():
            yield method.upper(), path, operation


def test_every_route_is_gated_in_the_document_as_in_the_server(own, document):
    """What "Authorize" is for: the locked routes, and no others."""
    locks = {"root": [{"root": []}], "user": [{"user": []}]}
    for policy in own.message("GET", "/root/explain", "root"):
        method, _, path = policy["name"].partition(" ")
        operation = document["paths"].get(path, {}).get(method.lower())
        if operation is None:
            continue
        who = "root" if policy["tier"] == "root" else "user"
        locked = who == "root" or policy["token_required"]
        assert operation.get("security") == (locks[who] if locked else None), path
    for _, path, operation in operations(document):  # those of one table as well
        tier = path.split("/")[1]
        if tier in {"my", "private", "admin", "root"}:
            who = "root" if tier == "root" else "user"
            assert locks[who] == operation["security"], path


def test_schemes_of_authorize_are_bearers(document):
    """The two keys of the house, both sent as `Authorization: Bearer`."""
    schemes = document["components"]["securitySchemes"]

    assert {"user", "root"} == schemes.keys()
    assert {("http", "bearer")} == {(s["type"], s["scheme"]) for s in schemes.values()}


def test_every_refusal_is_documented_in_the_one_shape(document):
    """Each route says how it may refuse, and always in the same words."""
    for method, path, operation in operations(document):
        refusals = {
            status: answer["content"]["application/json"]["schema"]
            for status, answer in operation["responses"].items()
            if status >= "400"
        }
        assert {"400", "503"} <= refusals.keys(), (method, path)
        if operation.get("security"):
            assert "401" in refusals, (method, path)
        assert all(FAILURE == schema for schema in refusals.values()), (method, path)
    assert "HTTPValidationError" not in document["components"]["schemas"]


def test_every_parameter_of_a_row_route_is_documented(document):
    """The grammar of reading can be found in /docs."""
    for path in ("/my/object-read", "/public/object-read", "/admin/object-read"):
        names = {p["name"] for p in document["paths"][path]["get"]["parameters"]}
        assert {"table", "order", "limit", "page", "column", "cursor"} <= names


def test_operation_ids_are_unique(document):
    """A client generator makes one function for each."""
    ids = [operation["operationId"] for _, _, operation in operations(document)]

    assert len(ids) == len(set(ids))


def test_every_locked_route_refuses_nobody(own, document):
    """401 before anything is read, whatever is missing besides."""
    for method, path, operation in operations(document):
        if operation.get("security"):
            answer = own.call(method, path)
            assert 401 == answer.status_code, (method, path, answer.text)
            assert 0 == answer.json()["status"]


def schemathesis(own, folder, who, *words):
    """Run it; return its exit code and what it said."""
    headers = ["-H", f"Authorization: {who['Authorization']}"] if who else []
    done = subprocess.run(
        [
            Path(sys.executable).parent / "schemathesis",
            "run",
            f"{own.url}/openapi.json",
            *("--phases", "examples,coverage,fuzzing"),
            *("--max-examples", "8", "--seed", "1", "--generation-database", "none"),
            *("--generation-with-security-parameters", "false"),
            *("--checks", ",".join(CHECKS)),
            *("--continue-on-failure", "--no-color", "--warnings", "off"),
            *headers,
            *words,
        ],
        cwd=folder,
        env={
            **os.environ,
            "PYTHONPATH": str(ROOT),
            "SCHEMATHESIS_HOOKS": "tests.acceptance.openapi_hooks",
        },
        capture_output=True,
        text=True,
        timeout=90,
    )
    return done.returncode, done.stdout + done.stderr


def test_server_keeps_to_its_document_for_nobody(own, tmp_path):
    """Without a token: no 500, no undeclared status, no insides in any body."""
    words = ["--exclude-path-regex", "^/(my|admin|root)"]  # but 401s, see above
    code, said = schemathesis(own, tmp_path, None, *words)

    assert 0 == code, said


def test_server_keeps_to_its_document_for_root(own, tmp_path):
    """With the root key, on the routes that it opens."""
    code, said = schemathesis(own, tmp_path, own.root, "--include-path-regex", "^/root")

    assert 0 == code, said


def test_server_keeps_to_its_document_for_a_user(own, tmp_path):
    """With the token of a user who may call /admin as well, until the end."""
    person = own.person(api_access="1,2,3,4,5,6")
    words = [word for path in ENDINGS for word in ("--exclude-path", path)]
    # Two tables stand for all: each has the same routes, with columns of its own.
    words += ["--exclude-path-regex", "^/(root|auth|public)|/rows/(?!test|message)"]

    code, said = schemathesis(own, tmp_path, person.headers, *words)

    assert 0 == code, said
    assert person.id == own.message("GET", "/my/profile", person)["id"]


@pytest.mark.parametrize("path", ENDINGS)
def test_endings_keep_to_their_document(own, tmp_path, path):
    """The two routes that were left out above."""
    person = own.person()

    code, said = schemathesis(own, tmp_path, person.headers, "--include-path", path)

    assert 0 == code, said
    assert 401 == own.call("GET", "/my/profile", person).status_code
