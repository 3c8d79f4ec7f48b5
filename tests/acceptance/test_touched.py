"""A kept answer is dropped with every write that may have changed what it shows."""

import pytest

from tests.acceptance.checkout import copied
from tests.acceptance.conftest import opened
from tests.acceptance.operations import eventually
from tests.acceptance.people import newcomer
from tests.account_setup import execute
from tests.served import serve

CONFIG = """
OWNED = "created_by_id-bigint-0-0"
config_postgres_schema = {"table": {
    "project": [OWNED, "name-text-0-0"],
    "task": [OWNED, {"name": "project_id", "datatype": "bigint",
                     "references": "project.id", "on_delete": "cascade"}],
    "step": [OWNED, {"name": "task_id", "datatype": "bigint",
                     "references": "task.id", "on_delete": "set null"}],
    "tally": [OWNED, "made-integer-0-0"],
    "bystander": [OWNED, "name-text-0-0"],
}}
config_table = {name: {"my": "owner"}
                for name in ("project", "task", "step", "tally", "bystander")}
"""
TRIGGERS = """
insert into tally (id, made) overriding system value values (1, 0);
create function add_one() returns void language sql as
  'update tally set made = made + 1';
create function count_projects() returns trigger language plpgsql as $$
begin
  perform add_one();
  return null;
end $$;
create trigger counted after insert on project
  for each row execute function count_projects();
create table outside (id bigint primary key, project_id bigint references project (id)
  on delete cascade);
"""


@pytest.fixture(scope="module")
def kept(tmp_path_factory):
    """Serve tables that are tied together."""
    code = copied(tmp_path_factory.mktemp("kept"), config_tied=CONFIG)
    with serve(code=code) as served:
        api = opened(served)
        execute(api.database, TRIGGERS)
        api.message("POST", "/root/reset-global", "root")
        api.admin = newcomer(api, api_access="1,2,3,4,5,6")
        yield api
        api.http.close()


def read(api, table):
    """Read a table where it is kept. Return the rows, and whether it was a hit."""
    answer = api.call("GET", f"/admin/object-read?table={table}", api.admin)
    assert 200 == answer.status_code, answer.text
    return answer.json()["message"], answer.headers.get("x-cache") == "hit"


def keep(api, *tables):
    """Have the answers of tables kept."""
    for table in tables:
        eventually(lambda table=table: read(api, table)[1], 5)


def create(api, table, **row):
    """Create a row as an admin; return its id."""
    path = f"/admin/object-create?table={table}"
    return api.message("POST", path, api.admin, json=row)


def test_cascades_are_followed(kept):
    """From a project to its tasks, and to what becomes null in their steps."""
    project = create(kept, "project", name="p")
    task = create(kept, "task", project_id=project)
    step = create(kept, "step", task_id=task)
    keep(kept, "task", "step", "bystander")

    body = {"table": "project", "ids": [project]}
    kept.message("DELETE", "/admin/ids-delete", kept.admin, json=body)

    tasks, steps = read(kept, "task"), read(kept, "step")
    assert (False, False) == (tasks[1], steps[1])
    assert task not in [row["id"] for row in tasks[0]]
    assert [None] == [row["task_id"] for row in steps[0] if row["id"] == step]
    assert read(kept, "bystander")[1]


def test_a_child_does_not_drop_its_parent(kept):
    """A write of a task changes no project."""
    project = create(kept, "project", name="p")
    keep(kept, "project", "step")
    create(kept, "task", project_id=project)

    assert read(kept, "project")[1]


def test_triggers_are_followed(kept):
    """A trigger counts projects in another table."""
    keep(kept, "tally", "bystander")
    before = read(kept, "tally")[0][0]["made"]
    create(kept, "project", name="p")

    assert [before + 1] == [row["made"] for row in read(kept, "tally")[0]]
    assert read(kept, "bystander")[1]


def test_what_the_server_writes_behind(kept):
    """The log of requests, and a user's last visit, are seen when they are written."""
    ada = newcomer(kept)
    keep(kept, "log_api", "users")
    kept.message("GET", "/my/profile", ada)

    def visited():
        rows = {row["id"]: row for row in read(kept, "users")[0]}
        return rows[ada.id]["last_active_at"]

    eventually(visited, 2)

    def recorded():
        return [r for r in read(kept, "log_api")[0] if r["created_by_id"] == ada.id]

    eventually(recorded, 4)


def test_the_catalog_follows_a_trigger_that_is_made_later(kept):
    """It is read again by /root/reset-global."""
    execute(
        kept.database,
        "create trigger named after insert on bystander for each row"
        " execute function count_projects()",
    )
    kept.message("POST", "/root/reset-global", "root")
    keep(kept, "tally")
    before = read(kept, "tally")[0][0]["made"]
    create(kept, "bystander", name="b")

    assert [before + 1] == [row["made"] for row in read(kept, "tally")[0]]
