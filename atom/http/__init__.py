"""What happens to any request.

Each line needs only the lines above it:

    config        the keys of the steps, typed
    address       the address of the client; what trusted proxies report
    cookie        tokens in cookies, and which pages may use them
    docs_pass     the cookie that opens the documentation in production
    tier          what the first segment of a path requires
    route         the routes of the application, as a table
    policy        one `config_api` entry, parsed
    policy_table  the policy of each route
    compress      gzip
    wire          a whole answer, written at once to a connection of uvicorn
    exchange      one request and its response, as the steps see them
    step/         the pipeline, one `config_api` key to a file
    key_scope     which routes an API key opens, and what none does
    parameter     the parameters of a request, read by their types
    dependency    the caller, the database and rights, as dependencies of FastAPI
    override      which routes may replace others
    socket        open WebSockets of users, closed when a guard would refuse them
    pipeline      the steps in order
    middleware    finds the route, runs the steps around it
    explain       why a user may or may not call a route
    cors          cross-origin requests of browsers
    application   FastAPI, with nothing in front of the steps
"""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from atom.http.cookie import (
        clear,
        is_by_cookie,
        keep_access,
        keep_refresh,
        refresh_token,
    )
    from atom.http.docs_pass import DocsPass, is_docs_closed
    from atom.http.explain import explain as explain_route
    from atom.http.key_scope import (
        is_by_key,
        read_key_routes,
        require_key_too,
        require_person,
    )
    from atom.http.parameter import caller_address, raw_query
    from atom.http.route import also_at

__all__ = [
    "DocsPass",
    "also_at",
    "caller_address",
    "clear",
    "explain_route",
    "is_by_cookie",
    "is_by_key",
    "is_docs_closed",
    "keep_access",
    "keep_refresh",
    "raw_query",
    "read_key_routes",
    "refresh_token",
    "require_key_too",
    "require_person",
]


def __getattr__(name: str) -> Any:
    """Import what needs FastAPI once it is used: a script does without."""
    if name not in __all__:
        raise AttributeError(name)
    from atom.http import cookie, docs_pass, explain, key_scope, parameter, route

    if name == "explain_route":
        return explain.explain
    places = (cookie, docs_pass, key_scope, route, parameter)
    return next(getattr(each, name) for each in places if hasattr(each, name))
