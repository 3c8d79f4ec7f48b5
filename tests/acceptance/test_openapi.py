"""/openapi.json against the running server: what it says is what happens.

Schemathesis asks as nobody, as a user and as root, on a server of its own:
what it writes, deletes and uses up is nobody else's.
"""

import base64
import os
import re
import subprocess
import sys
import time
from hashlib import sha256
from pathlib import Path

import pytest

from tests.acceptance.conftest import opened
from tests.served import ROOT, free_port, serve
from tests.soak import IS_SOAK

CHECKS = (
    "one_shape",
    "no_server_fault",
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
TABLES = "test|message" if IS_SOAK else "test"
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


def resolved(document, part):
    """Follow a reference, if it is one."""
    if "$ref" not in part:
        return part
    kind, name = part["$ref"].split("/")[-2:]
    return document["components"][kind][name]


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
            status: resolved(document, answer)["content"]["application/json"]["schema"]
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


def test_operation_ids_are_names_for_functions(document):
    """A client generator makes one function for each: `my_profile`."""
    ids = {
        operation["operationId"]: (method, path)
        for method, path, operation in operations(document)
    }

    assert len(list(operations(document))) == len(ids)
    assert ("GET", "/my/profile") == ids["my_profile"]
    assert ("POST", "/auth/signup") == ids["auth_signup"]
    assert ("GET", "/my/rows/test") == ids["my_test_read"]
    assert ("GET", "/root/postgres-init") == ids["root_postgres_init_get"]
    assert ("POST", "/root/postgres-init") == ids["root_postgres_init_post"]
    assert [] == [name for name in ids if not re.fullmatch("[a-z][a-z0-9_]*", name)]
    assert [] == [name for name in ids if name.startswith("route_")]


def test_every_route_says_in_a_line_what_it_does(document):
    """The line that /docs shows of a closed route; samples of drop-ins may be bare."""
    for method, path, operation in operations(document):
        if operation["tags"] != ["Sample"]:
            assert 3 <= len(operation["summary"].split()), (method, path)
            assert len(operation["summary"]) <= 100, (method, path)


def test_groups_are_listed_and_those_of_tables_come_last(document):
    """/docs shows them in this order, with a word about each."""
    names = [tag["name"] for tag in document["tags"]]
    used = {name for _, _, told in operations(document) for name in told["tags"]}
    tables = [name for name in names if name.startswith("Table ")]

    assert used == set(names)
    assert len(names) == len(set(names))
    assert tables == sorted(tables) == names[-len(tables) :]
    assert names.index("Auth") < names.index("My rows") < names.index("Root")
    about = {tag["name"]: tag.get("description") for tag in document["tags"]}
    assert "Anyone: read, create." in about["Table test"]
    assert "Anyone" not in about["Table message"]


def test_every_route_of_the_house_says_what_it_answers(document):
    """No answer is anything at all."""
    for method, path, operation in operations(document):
        if operation["tags"] != ["Sample"]:
            content = resolved(document, operation["responses"]["200"])["content"]
            told = content.get("application/json", {"schema": "text/csv and so on"})
            assert told.get("schema"), (method, path)


def test_sockets_and_pages_are_not_listed(document):
    """A client of HTTP and JSON has no use for them."""
    assert not {"/ws", "/docs", "/redoc", "/openapi.json"} & document["paths"].keys()


@pytest.mark.parametrize("page", ["/docs", "/redoc"])
def test_pages_need_nothing_from_elsewhere(own, page):
    """They work without internet, and run no stranger's script beside the root key."""
    answer = own.call("GET", page)
    assert 200 == answer.status_code
    wanted = re.findall(r'(?:src|href)="([^"]+)"', answer.text)
    ours = [url for url in wanted if not url.startswith("data:")]
    assert ours
    for url in ours:
        assert url.startswith("/docs/"), url
        found = own.call("GET", url)
        assert 200 == found.status_code, url
        kind = "text/css" if url.endswith(".css") else "text/javascript"
        assert found.headers["content-type"].startswith(kind)
        assert 100_000 < len(found.content)
    policy = answer.headers["content-security-policy"]
    assert "default-src 'none'" in policy
    assert "http" not in policy
    for script in re.findall(r"<script>(.*?)</script>", answer.text, re.DOTALL):
        digest = base64.b64encode(sha256(script.encode()).digest()).decode()
        assert f"'sha256-{digest}'" in policy


def test_a_file_of_the_pages_is_one_of_three(own):
    """No other file of the machine."""
    for name in ("x.js", "..%2Fcore.py", "%2e%2e/core.py", "favicon.png"):
        assert 404 == own.call("GET", f"/docs/{name}").status_code, name


@pytest.fixture(scope="module")
def deployed(own):
    """In production, on the same database: two workers, behind a proxy's prefix."""
    port = free_port()
    words = ("-m", "uvicorn", "main:app", "--workers", "2", "--root-path", "/api")
    command = (sys.executable, *words, "--host", "127.0.0.1", "--port", str(port))
    values = {"config_env": "production", "config_postgres_url": own.database}
    with serve(values, port=port, command=command) as served:
        running = opened(served)
        yield running
        running.http.close()


@pytest.mark.parametrize(
    "path", ["/docs", "/redoc", "/openapi.json", "/docs/swagger-ui.css"]
)
def test_document_is_the_operators_in_production(deployed, path):
    """Strangers and users are not told which tables there are."""
    person = deployed.person()

    assert 401 == deployed.call("GET", path).status_code
    assert 401 == deployed.call("GET", path, person).status_code
    assert 200 == deployed.call("GET", path, "root").status_code


def test_document_tells_where_it_is_mounted(deployed):
    """The proxy has cut the prefix off; clients have to send it."""
    document = deployed.call("GET", "/openapi.json", "root").json()
    page = deployed.call("GET", "/docs", "root").text

    assert [{"url": "/api"}] == document["servers"]
    assert "'/api/openapi.json'" in page
    assert 'src="/api/docs/swagger-ui-bundle.js"' in page


def test_document_is_that_of_the_schema_on_every_worker(deployed):
    """A table that came is told by both, and one that went is not there any more."""
    create = (
        "create table public.came (id bigint primary key, word text, created_by_id int)"
    )
    deployed.sql(create)
    deployed.message("GET", "/root/reset-global", "root")
    both_tell(deployed, lambda told: "word" in told.get("came_row", {}))
    deployed.sql("alter table public.came add column later date")
    deployed.message("GET", "/root/reset-global", "root")
    both_tell(deployed, lambda told: "later" in told["came_row"])
    deployed.sql("drop table public.came")
    deployed.message("GET", "/root/reset-global", "root")
    both_tell(deployed, lambda told: "came_row" not in told)
    gone = deployed.call("GET", "/my/rows/came", deployed.person())
    assert (404, "sql.unknown_table") == (gone.status_code, gone.json()["code"])
    assert "came" in gone.json()["message"]


def both_tell(running, expected):
    """Wait until a dozen fresh connections have all found what was expected."""
    deadline = time.monotonic() + 60
    row = 0
    while row < 12:
        assert time.monotonic() < deadline
        answer = running.call(
            "GET", "/openapi.json", "root", headers={"Connection": "close"}
        )
        schemas = answer.json()["components"]["schemas"]
        told = {name: part.get("properties", {}) for name, part in schemas.items()}
        row = row + 1 if expected(told) else 0


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
            # Examples: test_openapi_examples.py; chance in the usual run: test_fuzz.py.
            *("--phases", "coverage,fuzzing" if IS_SOAK else "coverage"),
            *(
                "--max-examples",
                "20",
                "--seed",
                "1",
                "--generation-database",
                "none",
            ),
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
        timeout=1800,
    )
    return done.returncode, done.stdout + done.stderr


@pytest.mark.soak
def test_server_keeps_to_its_document_for_nobody(own, tmp_path):
    """Without a token: no 500, no undeclared status, no insides in any body."""
    words = ["--exclude-path-regex", "^/(my|admin|root)"]  # but 401s, see above
    code, said = schemathesis(own, tmp_path, None, *words)

    assert 0 == code, said


@pytest.mark.soak
def test_server_keeps_to_its_document_for_root(own, tmp_path):
    """With the root key, on the routes that it opens."""
    code, said = schemathesis(own, tmp_path, own.root, "--include-path-regex", "^/root")

    assert 0 == code, said


@pytest.mark.soak
def test_server_keeps_to_its_document_for_a_user(own, tmp_path):
    """With the token of a user who may call /admin as well, until the end."""
    person = own.person(api_access="1,2,3,4,5,6")
    words = [word for path in ENDINGS for word in ("--exclude-path", path)]
    # One table stands for all: each has the same routes, with columns of its own.
    words += ["--exclude-path-regex", rf"^/(root|auth|public)|/rows/(?!{TABLES})"]

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
