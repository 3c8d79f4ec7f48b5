"""The table of routes means the same route as FastAPI's own router, always."""

from dataclasses import replace

from fastapi import APIRouter, FastAPI, Request
from fastapi.responses import PlainTextResponse
from hypothesis import example, given
from hypothesis import strategies as st
from starlette.responses import Response
from starlette.routing import Match
from starlette.staticfiles import StaticFiles

from atom.http.route import RouteTable, routes

PATHS = [
    "/",
    "/a",
    "/a/{x}",
    "/a/b",
    "/{y}/b",
    "/a/{x}/c",
    "/n/{n:int}",
    "/f/{rest:path}",
    "/h/{a}-{b}/c",
    "/h/{rest:path}",
    "/h/a/c",
    "/slash/",
    "/f{number:float}/c",
    "/{z}",
    "/last",
]


def build():
    """Make an application whose routes overlap in many ways."""
    app = FastAPI(redirect_slashes=False)
    for number, path in enumerate(PATHS):
        router = APIRouter()
        methods = ["GET"] if number % 3 else ["GET", "POST"]

        async def endpoint(request: Request):
            return 1

        router.add_api_route(path, endpoint, methods=methods, name=f"r{number}")
        app.include_router(router, prefix="/in" if number % 4 == 3 else "")
    app.mount("/static", StaticFiles(directory="."), name="static")
    app.mount("/a/c", StaticFiles(directory="."), name="below")
    return app


APP = build()
TABLE = RouteTable(routes(APP))
SEGMENT = st.sampled_from(
    ["", "a", "b", "c", "in", "n", "1", "x", "f", "last", "static"]
    + ["h", "a-b", "f1.5", "slash"]
)


def chosen_by_router(method, path):
    """Return (path template, full?) of what Starlette's matching would choose."""
    from fastapi.routing import iter_route_contexts

    scope = {"type": "http", "method": method, "path": path, "root_path": ""}
    partial = None
    for context in iter_route_contexts(APP.routes):
        match, _ = context._effective_route.matches(dict(scope))
        if match == Match.FULL:
            return context.path, True
        if match == Match.PARTIAL and partial is None:
            partial = context.path
    return partial, False


@given(st.lists(SEGMENT, max_size=4), st.sampled_from(["GET", "POST", "PUT"]))
def test_table_and_router_choose_the_same_route(segments, method):
    """Whatever the path, policy and router cannot mean two different routes."""
    path = "/" + "/".join(segments)
    expected, full = chosen_by_router(method, path)

    route, _, allowed = TABLE.match("http", method, path)

    if full:
        assert route is not None and expected == route.path
    else:
        assert route is None
        assert bool(expected) == bool(allowed)


ENDING = st.sampled_from(["\n", "\r\n", "\n\n", "\r", " ", "\0", "\u2028", "\u0085"])


@example(["a"], "GET", "\n")
@given(st.lists(SEGMENT, max_size=4), st.sampled_from(["GET", "POST", "PUT"]), ENDING)
def test_odd_ending_is_no_way_into_another_route(segments, method, ending):
    """A pattern's `$` overlooks a line feed; the table gives such a path to nobody."""
    path = "/" + "/".join(segments) + ending

    route, _, _ = TABLE.match("http", method, path)

    if route is not None:
        assert (route.path, True) == chosen_by_router(method, path)


def test_asking_costs_the_same_with_more_routes():
    """Of many templates that begin alike, only those that may match are tried."""
    app = FastAPI()
    for number in range(300):
        app.add_api_route(f"/public/thing_{number}/{{x}}", build)
    tried = []
    table = RouteTable(
        replace(route, pattern=Noting(route, tried)) for route in routes(app)
    )

    route, params, _ = table.match("http", "GET", "/public/thing_299/7")

    assert route is not None
    assert ("/public/thing_299/{x}", {"x": "7"}) == (route.path, params)
    assert ["/public/thing_299/{x}"] == [path for path in tried if "thing" in path]


class Noting:
    """A pattern that notes when it is tried."""

    def __init__(self, route, tried):
        self.route, self.tried = route, tried

    def match(self, path):
        """Match as the route's own pattern does."""
        self.tried.append(self.route.path)
        return self.route.pattern.match(path)


def test_path_parameters_are_read_by_their_convertor():
    """A template's int arrives as an int."""
    route, params, _ = TABLE.match("http", "GET", "/n/12")

    assert route is not None
    assert {"n": 12} == params


def test_direct_routes_are_those_that_need_nothing_of_fastapi():
    """Request in, Response out, nothing declared: everything else goes the long way."""
    app, dependency = FastAPI(), lambda: 1

    @app.get("/direct")
    async def direct(request: Request) -> Response:
        return PlainTextResponse("")

    @app.get("/typed")
    async def typed(request: Request) -> dict[str, int]:
        return {}

    @app.get("/parameter")
    async def parameter(request: Request, x: int) -> Response:
        return PlainTextResponse("")

    @app.get("/thread")
    def thread(request: Request) -> Response:
        return PlainTextResponse("")

    from fastapi import Depends

    @app.get("/guarded", dependencies=[Depends(dependency)])
    async def guarded(request: Request) -> Response:
        return PlainTextResponse("")

    found = {route.path: route.direct for route in routes(app)}

    assert found["/direct"]
    assert not any(
        found[path] for path in ("/typed", "/parameter", "/thread", "/guarded")
    )
