"""Reading: filters, order, pages, what stands beside a row, and what never does."""

import json
import secrets
from urllib.parse import urlencode

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

READ = "/public/object-read"
ADMIN = "/admin/object-read"
TITLE = "read-5f0c19d2"


def refused(answer, *statuses):
    """Check that a call was refused in the one shape, telling no insides."""
    assert answer.status_code in statuses, (answer.status_code, answer.text)
    told = answer.json()
    assert 0 == told["status"]
    assert told["message"]
    for inside in ("Traceback", "asyncpg", "DETAIL", "syntax error", "Expecting"):
        assert inside not in answer.text
    return told


@pytest.fixture(scope="module")
def rows(api, ada):
    """Five rows of ada's, oldest first."""
    made = [
        {
            "title": f"{TITLE} {n}",
            "rating": n,
            "type_": None,
            "tag": ["all", f"t{n}"],
            "metadata": {"n": n, "odd": bool(n % 2)},
            "description": None if n == 3 else "two words here",
            "location": f"POINT({n} 0)",
        }
        for n in range(1, 6)
    ]
    for row in made:
        del row["type_"]
    return api.message("POST", "/my/object-create?table=test", ada, json=made)


def numbers(api, **filters):
    """Return the ratings of the rows a filter finds, newest first."""
    asked = {"table": "test", "column": "rating", **filters}
    asked.setdefault("title", f"like,{TITLE}%")
    return [row["rating"] for row in api.message("GET", READ, params=asked)]


FILTERS = [
    ("rating", "=,2", [2]),
    ("rating", "!=,2", [5, 4, 3, 1]),
    ("rating", "<>,2", [5, 4, 3, 1]),
    ("rating", ">,3", [5, 4]),
    ("rating", ">=,3", [5, 4, 3]),
    ("rating", "<,2", [1]),
    ("rating", "<=,2", [2, 1]),
    ("rating", "in,1|5", [5, 1]),
    ("rating", "not in,1|5", [4, 3, 2]),
    ("rating", "between,2|3", [3, 2]),
    ("rating", "is,not null", [5, 4, 3, 2, 1]),
    ("description", "is,null", [3]),
    ("description", "is,not null", [5, 4, 2, 1]),
    ("description", "is distinct from,two words here", [3]),
    ("description", "fts,words", [5, 4, 2, 1]),
    ("title", f"ilike,%{TITLE.upper()} 4", [4]),
    ("title", f"like,%{TITLE.upper()} 4", []),
    ("title", f"~,{TITLE} [12]$", [2, 1]),
    ("title", f"~*,{TITLE.upper()} [12]$", [2, 1]),
    ("tag", "contains,all|t2", [2]),
    ("tag", "overlap,t1|t4", [4, 1]),
    ("tag", "any,t5", [5]),
    ("metadata", 'contains,{"odd":true}', [5, 3, 1]),
    ("metadata", "exists,odd", [5, 4, 3, 2, 1]),
    ("metadata", "exists,nope", []),
    ("created_at", ">,2020-01-01T00:00:00", [5, 4, 3, 2, 1]),
    ("created_at", ">,2999-01-01T00:00:00", []),
]


@pytest.mark.parametrize(("column", "text", "expected"), FILTERS, ids=repr)
def test_operator_finds_what_it_says(api, rows, column, text, expected):
    """Every operator of the closed set, on the datatype it is for."""
    if column == "title":
        assert expected == numbers(api, title=text)
        return
    assert expected == numbers(api, **{column: text})


def test_filters_are_anded_and_or_holds_alternatives(api, rows):
    """The same column twice is a range."""
    query = urlencode(
        [("table", "test"), ("title", f"like,{TITLE}%"), ("column", "rating")]
    )
    both = api.message("GET", f"{READ}?{query}&rating=>,1&rating=<,4")
    either = api.message("GET", f"{READ}?{query}&or=(rating==,1;rating=>,4)")

    assert [3, 2] == [row["rating"] for row in both]
    assert [5, 1] == [row["rating"] for row in either]


GROUPS = [
    ("or", "rating==,1;and=(rating=>,3;rating=<,5)", [4, 1]),
    ("and", "rating=>,1;or=(rating==,2;rating==,5)", [5, 2]),
    ("or", "and=(rating=>,4;or=(description=is,null;rating=>,4));rating==,1", [5, 1]),
    ("or", "or=(rating==,1);and=(rating==,2)", [2, 1]),
    ("or", f"and=(title=~,^{TITLE} (1|2\\)$;rating=>,1);rating==,4", [4, 2]),
    ("or", "rating==,3;title==,a)b(c", [3]),
    ("or", "and=(description==,a\\)\\;b;id=>,0);rating==,3", [3]),
    ("and", " rating=>,2; rating=<,4", [3]),
]


@pytest.mark.parametrize(("word", "inside", "expected"), GROUPS, ids=repr)
def test_groups_of_filters_hold_groups(api, rows, word, inside, expected):
    """To any depth one writes by hand; a `)` of a value is escaped within a group."""
    assert expected == numbers(api, **{word: f"({inside})"})


@pytest.mark.parametrize(
    "text",
    [
        "(and=(id==,1)",
        "(and=(id==,1)x)",
        "(and=id==,1)",
        "(or=())",
        "(and=(id==,1;);id==,2)",
        "(and=(id==,1;nope==,2))",
        "(and=(id==,1;id=like,2))",
        "(" + "or=(" * 6 + "id==,1" + ")" * 7,
        "(" + ";".join(["and=(id==,1;id==,2)"] * 26) + ")",
    ],
)
@pytest.mark.parametrize("word", ["or", "and"])
def test_groups_that_are_not_closed_or_too_deep_are_refused(api, word, text):
    """Never read as something else."""
    refused(api.call("GET", READ, params={"table": "test", word: text}), 400)


def test_order_limit_and_page(api, rows):
    """`id desc` unless said otherwise; pages count from 1; 100 rows by default."""
    assert [5, 4] == numbers(api, limit="2")
    assert [3, 2] == numbers(api, limit="2", page="2")
    assert [] == numbers(api, limit="2", page="9")
    assert [1, 2, 3, 4, 5] == numbers(api, order="rating")
    assert [3, 5, 4, 2, 1] == numbers(
        api, order="description desc nulls first,rating desc"
    )


def test_hundred_rows_unless_said_otherwise(api, ada):
    """And never more than config_limit_read_max."""
    many = [{"title": "many"}] * 120
    api.message("POST", "/my/object-create?table=test", ada, json=many)

    assert 100 == len(api.message("GET", f"{READ}?table=test&title==,many"))
    assert 120 == len(api.message("GET", f"{READ}?table=test&title==,many&limit=1000"))
    refused(api.call("GET", f"{READ}?table=test&limit=1001"), 400)


def test_cursor_walks_every_row_once(api, rows):
    """Also when the order is not unique, and rows come in between."""
    seen, cursor = [], ""
    while cursor is not None:
        asked = {"table": "test", "title": f"like,{TITLE}%", "limit": 2}
        answer = api.call("GET", READ, params=asked | {"cursor": cursor}).json()
        seen += [row["id"] for row in answer["message"]]
        cursor = answer["next_cursor"]
        assert len(seen) <= 5
    assert list(reversed(rows)) == seen


def test_cursor_is_bound_to_its_order(api, rows):
    """One of another order is refused, as is one that somebody wrote."""
    asked = {"table": "test", "limit": 2, "cursor": ""}
    cursor = api.call("GET", READ, params=asked).json()["next_cursor"]

    for wrong in (
        {"cursor": cursor, "order": "title"},
        {"cursor": "x"},
        {"cursor": cursor + "x"},
        {"cursor": cursor[:-3]},
        {"cursor": "null"},
        {"cursor": "W10"},
        {"cursor": "a" * 3000},
        {"cursor": cursor, "page": 2},
    ):
        refused(api.call("GET", READ, params=asked | wrong), 400)


def test_count_stands_beside_the_rows(api, rows):
    """All that match, not those of the page."""
    asked = {"table": "test", "title": f"like,{TITLE}%", "limit": 1, "is_count": 1}

    assert 5 == api.call("GET", READ, params=asked).json()["count"]


def test_groups_are_counted_and_summed(api, rows):
    """By any column that may be seen."""
    asked = {
        "table": "test",
        "title": f"like,{TITLE}%",
        "group_by": "description",
        "aggregate": "count,sum(rating)",
    }
    found = api.message("GET", READ, params=asked)

    assert {"two words here": (4, 12), None: (1, 3)} == {
        row["description"]: (row["count"], row["sum_rating"]) for row in found
    }


def test_place_is_filtered_by_distance(api, rows):
    """In meters, nearest rows included, the distance beside them."""
    asked = {"table": "test", "title": f"like,{TITLE}%"}
    asked["location_filter"] = "2,0,0,150000"
    found = api.message("GET", READ, params=asked)

    assert {1, 2, 3} == {row["rating"] for row in found}
    for row in found:
        expected = abs(row["rating"] - 2) * 111_195
        assert abs(row["distance_meter"] - expected) <= 0.01 * expected + 1


def test_creator_stands_beside_the_row(api, ada, rows):
    """Under creator_<column>, and null where nobody made it."""
    asked = {"table": "test", "title": f"like,{TITLE}%"}
    found = api.message("GET", READ, params=asked | {"creator_key": "username,name"})

    assert {(ada.username, None)} == {
        (row["creator_username"], row["creator_name"]) for row in found
    }


SECRET_COLUMNS = [
    "password",
    "password_bigint",
    "google_data",
    "api_access",
    "PASSWORD",
]


@pytest.mark.parametrize("column", SECRET_COLUMNS)
def test_secret_of_a_creator_is_not_there(api, ada, admin, rows, column):
    """It cannot be told from a column that does not exist."""
    asked = {"table": "test", "creator_key": column}
    for path, who in ((READ, None), ("/my/object-read", ada), (ADMIN, admin)):
        if (path, column) == (ADMIN, "api_access"):
            continue  # an admin reads it in users anyway
        told = refused(api.call("GET", path, who, params=asked), 400, 403)
        assert "argon2" not in json.dumps(told)


ASKS_FOR_SECRETS = [
    {"password": "is,not null"},
    {"password": "like,$argon2%"},
    {"password": "~,."},
    {"column": "password"},
    {"column": "id,password"},
    {"order": "password"},
    {"order": "id,password desc"},
    {"group_by": "password"},
    {"aggregate": "max(password)"},
    {"aggregate": "count(password)"},
    {"or": "(password=is,null;id=>,0)"},
    {"google_data": "exists,email"},
    {"password_bigint": "is,not null"},
]


@pytest.mark.parametrize("asked", ASKS_FOR_SECRETS, ids=repr)
def test_secret_column_does_not_exist_for_an_admin_either(api, admin, asked):
    """Not shown, not filtered by, not sorted by: each of them would tell it."""
    params = {"table": "users", **asked}
    answer = api.call("GET", "/admin/object-read", admin, params=params)

    assert "sql.unknown_column" == refused(answer, 400)["code"]
    asked_of_otp = {"table": "otp", "otp": "is,not null"}
    answer = api.call("GET", "/admin/object-read", admin, params=asked_of_otp)
    refused(answer, 400)


def test_no_route_shows_a_hash(api, admin):
    """Reading everything an admin may."""
    for table in ("users", "otp", "log_password", "log_api", "test"):
        answer = api.call("GET", f"/admin/object-read?table={table}&limit=1000", admin)
        assert 200 == answer.status_code, answer.text
        assert "argon2" not in answer.text
        for row in answer.json()["message"]:
            assert not {"password", "password_bigint", "google_data"} & row.keys()


REFUSED = [
    {"title": "x"},
    {"title": ""},
    {"title": "nope,x"},
    {"title": "=;,x"},
    {"title": "= ,x", "id": "> 0 and exists(select 1 from users) and id >,1"},
    {"id": ">0 and exists(select 1 from users) and id>,1"},
    {"id": ">,1 or 1=1"},
    {"id": ">,x"},
    {"id": "in,"},
    {"id": "in,1|x"},
    {"id": "between,1"},
    {"id": "between,1|2|3"},
    {"id": "like,1%"},
    {"id": "contains,1"},
    {"id": "is,maybe"},
    {"id": "=,99999999999999999999"},
    {"id": "=,1.5"},
    {"id": "=,true"},
    {"rating": "=,1e999999"},
    {"created_at": ">,yesterday"},
    {"created_at": ">,now()"},
    {"tag": "like,x"},
    {"metadata": "contains,{"},
    {"metadata": "like,x"},
    {"location": "=,POINT(1 2)"},
    {"title": "~,["},
    {"title": "~,(a"},
    {"title": "=,a\0b"},
    {"nope": "=,1"},
    {"Title": "=,1"},
    {'"title"': "=,1"},
    {"test.title": "=,1"},
    {"title::int": "=,1"},
    {"(select 1)": "=,1"},
    {"1": "=,1"},
    {"": "=,1"},
    {"xmin": "=,1"},
    {"ctid": "=,(0,1)"},
    {"tableoid": "=,1"},
    {"column": "nope"},
    {"column": "*"},
    {"column": "id,*"},
    {"column": ""},
    {"column": "count(*)"},
    {"column": "id as password"},
    {"column": "id,"},
    {"order": "nope"},
    {"order": "id desc; drop table test"},
    {"order": "(select 1)"},
    {"order": "1"},
    {"order": "id,id"},
    {"order": "random()"},
    {"order": "id using >"},
    {"order": "id collate \"C\""},
    {"order": ""},
    {"order": ","},
    {"limit": "0"},
    {"limit": "-1"},
    {"limit": "abc"},
    {"limit": "1.5"},
    {"limit": "1e2"},
    {"limit": " 1"},
    {"limit": "٣"},
    {"limit": ""},
    {"limit": "99999999999999999999"},
    {"page": "0"},
    {"page": "-1"},
    {"page": "x"},
    {"page": "9999999999"},
    {"is_count": "2"},
    {"is_count": "yes"},
    {"group_by": "nope"},
    {"group_by": ""},
    {"aggregate": "pg_sleep(5)"},
    {"aggregate": "count,drop(x)"},
    {"aggregate": "sum(title)"},
    {"aggregate": "sum()"},
    {"aggregate": "sum(nope)"},
    {"aggregate": "max(id)||1"},
    {"aggregate": ""},
    {"location_filter": "x"},
    {"location_filter": "1,2,3"},
    {"location_filter": "200,0,0,1"},
    {"location_filter": "0,0,5,1"},
    {"location_filter": "nan,0,0,1"},
    {"location_filter": "1_0,0,0,1"},
    {"location_filter": "٣,0,0,1"},
    {"location_filter": "0,0,0,inf"},
    {"creator_key": "nope"},
    {"creator_key": ""},
    {"creator_key": "username,"},
    {"creator_key": "username) from users--"},
    {"or": "(title==,x"},
    {"or": "title==,x"},
    {"or": "()"},
    {"or": "(nope==,1;id=>,0)"},
    {"relation": "users"},
    {"limt": "5"},
    {"table": "users"},
    {"offset": "5"},
    {"select": "*"},
]  # fmt: skip


@pytest.mark.parametrize("asked", REFUSED, ids=repr)
def test_what_is_not_understood_is_refused_never_ignored(api, asked):
    """With a text that names it."""
    query = [("table", "test"), *asked.items()]
    refused(api.call("GET", f"{READ}?{urlencode(query)}"), 400)


@pytest.mark.parametrize("operator", ["like", "ilike"])
def test_an_error_depends_on_what_is_asked_never_on_whose_rows_there_are(
    api, ada, bob, operator
):
    """An index may look at rows of others first: no operand fails on some rows only."""
    many = [{"title": f"zebra {n}"} for n in range(900)]
    api.message("POST", "/my/object-create?table=test", ada, json=many)
    api.sql("analyze test")

    def status(word):
        asked = {"table": "test", "title": f"{operator},%{word}\\"}
        return api.call("GET", "/my/object-read", bob, params=asked).status_code

    assert status("tiger") == status("zebra")


CLOSED = ["users", "otp", "message", "log_api", "report_user", "nope", "pg_user", ""]


@pytest.mark.parametrize("table", CLOSED)
def test_table_that_is_not_listed_is_not_public(api, table):
    """And an answer does not tell whether it exists."""
    told = refused(api.call("GET", READ, params={"table": table}), 400, 403)
    if table:
        assert "table not allowed" == told["message"]
        created = api.call(
            "POST",
            "/public/object-create",
            params={"table": table},
            json={"title": "x"},
        )
        assert "table not allowed" == refused(created, 403)["message"]


PUBLIC_MANAGED = [
    "created_by_id",
    "updated_by_id",
    "is_verified",
    "is_active",
    "is_protected",
    "id",
    "created_at",
    "CREATED_BY_ID",
]


@pytest.mark.parametrize("column", PUBLIC_MANAGED)
def test_public_caller_writes_no_managed_column(api, column):
    """A stranger's row belongs to nobody and is verified by nobody."""
    path = "/public/object-create?table=test"
    refused(api.call("POST", path, json={"title": "x", column: 1}), 400)


def test_public_row_belongs_to_nobody(api, ada):
    """Also when somebody with a token adds it."""
    path = "/public/object-create?table=test"
    made = api.message("POST", path, ada, json={"title": "public"})
    (row,) = api.sql("select created_by_id from test where id = $1", made)

    assert row["created_by_id"] is None


def test_null_is_a_word_in_filters(api, ada):
    """`title==,null` finds the text null, and `is,null` finds nothing else."""
    path = "/my/object-create?table=test"
    rows = [{"title": "null", "rating": 77}, {"title": None, "rating": 77}]
    word, nothing = api.message("POST", path, ada, json=rows)

    def found(text):
        asked = {"table": "test", "rating": "=,77", "title": text}
        return [row["id"] for row in api.message("GET", READ, params=asked)]

    assert [word] == found("=,null")
    assert [nothing] == found("is,null")


def test_text_too_long_for_an_index_is_refused(api, ada):
    """Random, so that it cannot be compressed; 20,000 characters are no 500."""
    body = {"title": secrets.token_hex(10_000)}
    answer = api.call("POST", "/my/object-create?table=test", ada, json=body)

    assert "too long" in refused(answer, 422)["message"]


@pytest.mark.parametrize("key", ["updated_at", "last_active_at"])
def test_when_somebody_was_here_is_nobody_elses_business(api, ada, bob, key):
    """`updated_at` moves with every visit, so it is as personal as last_active_at."""
    body = {"user_id": ada.id, "description": "x"}
    api.message("POST", "/my/object-create?table=message", bob, json=body)
    row = "/my/object-read?table=message&limit=1"
    shown = api.message("GET", f"{row}&relation=user_id", bob)[0]["user"]
    asked = api.call("GET", f"{row}&relation=user_id({key})", bob)

    assert "username" in shown
    assert key not in shown
    assert "sql.unknown_column" == refused(asked, 400)["code"]


def test_hundred_parameters_are_many_enough(api):
    """More are refused, none is a fault."""
    many = "&".join("id=>,0" for _ in range(150))
    refused(api.call("GET", f"{READ}?table=test&{many}"), 400)
    few = "&".join("id=>,0" for _ in range(90))
    assert 200 == api.call("GET", f"{READ}?table=test&{few}").status_code


def test_bytes_that_are_no_text_are_refused(api):
    """Percent-encoded or not."""
    for query in ("table=test&title==,%ff", "table=test&%ff==,1", "table=%ff"):
        refused(api.call("GET", f"{READ}?{query}"), 400, 403)


COLUMNS = ["id", "title", "rating", "tag", "metadata", "location", "created_at", "type"]
OPERATORS = ["=", "!=", "<>", ">", "<", ">=", "<=", "like", "ilike", "~", "~*", "in"]
OPERATORS += ["not in", "between", "is", "is distinct from", "contains", "overlap"]
OPERATORS += ["any", "exists", "fts"]
OPERANDS = st.one_of(
    st.text(max_size=12),
    st.sampled_from(
        ["", "1", "1|2", "-1", "null", "not null", "a|b", "{}", '{"a":1}', "[1]", "%"]
        + ["2026-01-01", "POINT(1 2)", "'", '"', "\\", "$1", "--", ";", "(", "x" * 999]
    ),
    st.integers().map(str),
    st.floats().map(str),
)
FILTER = st.tuples(
    st.sampled_from(COLUMNS),
    st.tuples(st.sampled_from(OPERATORS), OPERANDS).map(",".join),
)
SHAPES = st.lists(
    st.one_of(
        st.tuples(st.just("column"), st.sampled_from(["id", "title,tag", "x"])),
        st.tuples(
            st.just("order"),
            st.lists(
                st.tuples(
                    st.sampled_from(COLUMNS),
                    st.sampled_from(["", " desc", " asc nulls last", " x"]),
                ).map("".join),
                min_size=1,
                max_size=3,
            ).map(",".join),
        ),
        st.tuples(st.just("limit"), st.sampled_from(["1", "5", "1000", "0"])),
        st.tuples(st.just("page"), st.sampled_from(["1", "2", "1000000000"])),
        st.tuples(st.just("cursor"), st.one_of(st.just(""), st.text(max_size=20))),
        st.tuples(st.just("is_count"), st.sampled_from(["0", "1"])),
        st.tuples(st.just("group_by"), st.sampled_from(COLUMNS)),
        st.tuples(
            st.just("aggregate"),
            st.tuples(
                st.sampled_from(["count", "sum", "avg", "min", "max"]),
                st.sampled_from(COLUMNS).map("({})".format),
            ).map("".join),
        ),
        st.tuples(st.just("creator_key"), st.sampled_from(["username", "id,name"])),
        st.tuples(
            st.just("location_filter"), st.sampled_from(["0,0,0,5", "1,1,0,1e9"])
        ),
    ),
    max_size=3,
)


@given(filters=st.lists(FILTER, max_size=3), shapes=SHAPES)
@settings(
    max_examples=250,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
def test_whatever_is_asked_is_answered_or_refused(api, ada, rows, filters, shapes):
    """Real columns, real operators, any operand: 200 with one's own rows, or 400."""
    query = urlencode([("table", "test"), *filters, *shapes], errors="surrogatepass")

    answer = api.call("GET", f"/my/object-read?{query}", ada)

    assert answer.status_code in {200, 400}, (query, answer.text)
    if answer.status_code == 400:
        refused(answer, 400)
        return
    for row in answer.json()["message"]:
        assert ada.id == row.get("created_by_id", ada.id)
