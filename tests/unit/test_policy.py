"""config_api, read: every fault told at once, policy by the matched route."""

import pytest
from fastapi import APIRouter, FastAPI

from atom.config import keys
from atom.config import resolve as settings
from atom.http.dependency import require_access
from atom.http.explain import explain
from atom.http.pipeline import STEPS, placed
from atom.http.policy import RoutePolicy, describe
from atom.http.policy_table import PolicyTable
from atom.http.route import routes
from atom.http.step import Step
from atom.http.step.rate import RATELIMITER_TIMES_SEC, RateRule
from atom.port import UserState


def table(config_api, *, problems=None, **config):
    """Build the table of a small application."""
    app, router = FastAPI(), APIRouter()

    @router.get("/test")
    async def read():
        return 1

    @router.post("/test")
    async def write():
        return 1

    @router.get("/item/{id}")
    async def item(id: int):
        return id

    @router.get("/item/special")
    async def special():
        return 1

    @router.get("/admin/rows")
    async def admin():
        return 1

    @router.get("/my/rows")
    async def my():
        return 1

    @router.get("/slow")
    def slow():
        return 1

    app.include_router(router, prefix="")
    found = settings.resolve(keys.KEYS, [("t", {"config_api": config_api, **config})])
    faults = problems if problems is not None else []
    return PolicyTable(found, routes(app), faults, STEPS)


ADMIN = {"/admin/rows": {"id": 5}}


def test_policy_is_that_of_the_matched_route():
    """A template's policy holds for every path the template matches."""
    policies = table(ADMIN | {"/item/{id}": {"is_token": 1}})

    assert policies.match("http", "GET", "/item/3").policy.token_required
    assert policies.match("http", "GET", "/item/special").policy.token_required


def test_method_key_beats_the_bare_path():
    """ "POST /test" holds for POST only, over what /test says."""
    policies = table(
        ADMIN
        | {
            "/test": {"ratelimiter_times_sec": [1, 3]},
            "POST /test": {"ratelimiter_times_sec": [9, 9]},
        }
    )

    assert (
        RateRule(1, 3) == policies.match("http", "GET", "/test").policy.values["rate"]
    )
    assert (
        RateRule(9, 9) == policies.match("http", "POST", "/test").policy.values["rate"]
    )


def test_default_is_merged_under_every_entry():
    """config_api_default holds where an entry does not say otherwise."""
    policies = table(
        ADMIN | {"/test": {"timeout_sec": 2}},
        config_api_default={"timeout_sec": 7, "is_log": 0},
        problems=[],
    )

    assert 2 == policies.match("http", "GET", "/test").policy.values["timeout"]
    assert 7 == policies.match("http", "GET", "/item/1").policy.values["timeout"]
    assert not policies.match("http", "GET", "/test").policy.values["log"]


def test_unmatched_path_has_no_route_and_no_door():
    """What no route has is nowhere; another method is told apart."""
    policies = table(ADMIN)

    assert policies.match("http", "GET", "/admin/other").route is None
    assert policies.match("http", "GET", "//admin/rows").route is None
    assert {"GET", "HEAD", "POST"} == policies.match("http", "PUT", "/test").allowed


@pytest.mark.parametrize(
    ("entry", "told"),
    [
        ({"/tset": {}}, "no route has the path. Did you mean '/test'?"),
        ({"DELETE /test": {}}, "the path has no DELETE route"),
        ({"FETCH /test": {}}, "no method 'FETCH'"),
        ({"/test": {"cache": 1}}, "no key 'cache'. Did you mean 'cache_sec'?"),
        ({"/test": {"cache_sec": ["memory", 5]}}, "cache_sec: expected"),
        ({"/test": {"cache_sec": ["redis", 5]}}, "needs config_redis_url"),
        ({"/test": {"ratelimiter_times_sec": [0, 1]}}, "two whole numbers"),
        ({"/test": {"ratelimiter_times_sec": "12"}}, "two whole numbers"),
        ({"/test": {"is_token": "yes"}}, "is_token: expected 0 or 1"),
        ({"/test": {"id": 5}}, "id 5 is that of"),
        ({"/test": {"id": "5"}}, "id: expected a whole number"),
        ({"/test": 5}, "expected a dict"),
        ({"/slow": {"timeout_sec": 1}}, "needs an async route"),
    ],
)
def test_fault_is_told_with_its_cure(entry, told):
    """Each fault names the entry, the key and what was expected."""
    problems = []
    table(ADMIN | entry, problems=problems)

    assert any(told in problem for problem in problems), problems


def test_admin_route_without_id_is_a_fault():
    """No /admin route is open by accident."""
    problems = []
    table({}, problems=problems)

    assert ["config_api['/admin/rows']: an /admin route needs an id (GET)"] == problems


def test_all_faults_are_told_at_once():
    """The user mends everything in one go."""
    problems = []
    table({"/a": {}, "/test": {"x": 1, "id": "a"}}, problems=problems)

    assert 4 == len(problems), problems


ADMINS = RoutePolicy(
    name="GET /admin/rows",
    tier="admin",
    id=5,
    token_required=True,
    access_required=True,
    active_required=True,
)


@pytest.mark.parametrize(
    ("asked", "refused"),
    [
        (None, "token"),
        (UserState(True, frozenset(), 0), "access"),
        (UserState(False, frozenset({5}), 0), "active"),
        (UserState(True, frozenset({5}), 0), None),
    ],
)
def test_explain_names_the_first_rule_that_refuses(asked, refused):
    """RowConfig are asked in the order of the pipeline."""
    answer = explain(ADMINS, STEPS, asked)

    assert refused == answer["refused_by"]
    assert (refused is None) == answer["allowed"]


def test_a_policy_is_described_as_plain_data():
    """A policy can be sent as JSON."""
    policy = RoutePolicy(values={"rate": RateRule(1, 3)})

    assert [1, 3] == describe(policy, [RATELIMITER_TIMES_SEC])["rate"]


def test_a_route_that_is_another_has_its_policy():
    """One rule, one name and one id for both paths; the second cannot have its own."""
    app, router = FastAPI(), APIRouter()

    async def read():
        return 1

    async def other():
        return 1

    other.same_as = "/admin/read"
    router.add_api_route("/admin/read", read, methods=["GET"])
    router.add_api_route("/admin/rows/{table}", other, methods=["GET"])
    app.include_router(router)
    for entry, faults in (("/admin/read", 0), ("/admin/rows/{table}", 2)):
        problems = []
        config = {"config_api": {entry: {"id": 5, "ratelimiter_times_sec": [2, 60]}}}
        found = settings.resolve(keys.KEYS, [("t", config)])
        policies = PolicyTable(found, routes(app), problems, STEPS)
        assert faults == len(problems), problems
        both = [
            policies.match("http", "GET", path).policy
            for path in ("/admin/read", "/admin/rows/test")
        ]
        assert both[0] == both[1]
        assert ["GET /admin/read"] == [
            policy.name for policy in policies.policies() if policy.tier == "admin"
        ]


class TestAccess:
    """`id`, `is_access` and `is_active_check`, by tier."""

    def test_id_outside_admin_is_a_remark(self):
        """It restricts nobody: is_access: 1 makes it, is_access: 0 silences it."""
        for entry, remarks in (
            ({"id": 7}, 1),
            ({"id": 7, "is_access": 0}, 0),
            ({"id": 7, "is_access": 1}, 0),
        ):
            policies = table(ADMIN | {"/test": entry})
            assert bool(remarks) == bool(policies.remarks), policies.remarks

    def test_is_access_checks_the_id_on_any_tier(self):
        """With it a token is needed, and an active user."""
        policies = table(ADMIN | {"/item/{id}": {"id": 7, "is_access": 1}})
        policy = policies.match("http", "GET", "/item/3").policy

        assert policy.access_required
        assert policy.token_required
        assert policy.active_required

    @pytest.mark.parametrize(
        ("entry", "fault"),
        [
            ({"/test": {"is_access": 1}}, "is_access needs an id"),
            (
                {"/admin/rows": {"id": 5, "is_access": 0}},
                "is_access: 0 does not open an /admin route",
            ),
        ],
    )
    def test_access_that_cannot_be_meant_is_a_fault(self, entry, fault):
        """Not found out by the first caller."""
        problems = []
        table(ADMIN | entry, problems=problems)

        assert any(fault in problem for problem in problems), problems

    @pytest.mark.parametrize(
        ("path", "entry", "checked"),
        [
            ("/test", {}, False),
            ("/test", {"is_token": 1}, True),
            ("/test", {"is_token": 1, "is_active_check": 0}, False),
            ("/test", {"is_active_check": 1}, True),
            ("/my/rows", {}, True),
            ("/my/rows", {"is_active_check": 0}, False),
        ],
    )
    def test_active_is_checked_wherever_a_token_is_required(self, path, entry, checked):
        """And where the entry asks for it, or not where it does not want it."""
        policies = table(ADMIN | {path: entry})

        assert checked == policies.match("http", "GET", path).policy.active_required


class TestHead:
    """HEAD wherever GET is."""

    def test_head_has_the_policy_of_get(self):
        """A key for GET holds for HEAD too."""
        policies = table(ADMIN | {"GET /test": {"is_token": 1}})

        assert policies.match("http", "HEAD", "/test").policy.token_required
        assert policies.match("http", "HEAD", "/item/3").route is not None
        assert "HEAD" in policies.match("http", "PUT", "/test").allowed


class TestHidden:
    """An entry of a route that no request reaches."""

    def test_a_hidden_route_with_other_rules_is_a_fault(self):
        """Both routes are named."""
        problems = []
        table(ADMIN | {"/item/special": {"is_token": 1}}, problems=problems)

        (problem,) = problems
        assert "config_api['/item/special']" in problem
        assert "'/item/{id}'" in problem

    def test_the_same_rules_are_accepted(self):
        """Nothing is without effect then."""
        problems = []
        rule = {"is_token": 1}
        table(ADMIN | {"/item/special": rule, "/item/{id}": rule}, problems=problems)

        assert not problems


def test_a_step_is_placed_before_another():
    """By the name of its function; a key belongs to one step."""

    async def count_calls(exchange, proceed):
        await proceed(exchange)

    step = Step(count_calls, "calls are counted")
    names = [each.name for each in placed(STEPS, step, "limit_rate")]

    assert names.index("count_calls") + 1 == names.index("limit_rate")
    with pytest.raises(ValueError, match="Did you mean 'limit_rate'"):
        placed(STEPS, step, "limit_rates")
    with pytest.raises(ValueError, match="'x.denied' is not declared"):
        placed(STEPS, Step(count_calls, "", codes=("x.denied",)), "limit_rate")
    with pytest.raises(ValueError, match="another step"):
        placed(
            STEPS, Step(count_calls, "", keys=(RATELIMITER_TIMES_SEC,)), "limit_rate"
        )


def test_a_cached_answer_does_not_skip_the_rights_of_a_dependency():
    """`require_access` runs in the route, where a kept answer never gets."""
    app = FastAPI()

    @app.get("/report", dependencies=[require_access(20)])
    async def report():
        return 1

    problems = []
    entry = {"/report": {"cache_sec": ["inmemory", 60]}}
    config = settings.resolve(keys.KEYS, [("test", {"config_api": entry})])
    PolicyTable(config, routes(app), problems, STEPS)

    assert ["is_access: 1"] == [each[-12:] for each in problems]
