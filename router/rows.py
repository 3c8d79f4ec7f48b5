"""/my/rows/{table} and so on: the row routes of one table, typed in /openapi.json.

Each is one of /…/object-… with the table in its path: same code, same policy.
"""

from urllib.parse import quote

from extend import *
from fastapi import Response

router = APIRouter()

SAME = [
    ("GET", "public", "object-read"),
    ("POST", "public", "object-create"),
    ("GET", "my", "object-read"),
    ("POST", "my", "object-create"),
    ("PUT", "my", "object-update"),
    ("DELETE", "my", "object-delete-any"),
    ("GET", "admin", "object-read"),
    ("POST", "admin", "object-create"),
    ("PUT", "admin", "object-update"),
]


def same_as(method, path):
    """Return an endpoint that is another route's, the table taken from the path."""

    async def route_rows(request: Request) -> Response:
        table = quote(request.path_params["table"], safe="")
        request.scope["query_string"] = (
            f"table={table}&".encode() + request.scope["query_string"]
        )
        found = request.app.state.policies.match("http", method, path)
        return await found.route.endpoint(request)

    route_rows.same_as = path
    return route_rows


for method, tier, action in SAME:
    router.add_api_route(
        f"/{tier}/rows/{{table}}",
        same_as(method, f"/{tier}/{action}"),
        methods=[method],
        include_in_schema=False,  # atom/openapi/rows.py writes one out for each table
    )
