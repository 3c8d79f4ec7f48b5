"""Sends a request to Atom, and compares what came of it with the oracle."""

from dataclasses import replace
from typing import Any
from urllib.parse import urlencode

from redis import Redis

from tests.acceptance.clinic.ask import PARENTS, READS, Ask
from tests.acceptance.clinic.oracle import REFUSED, Oracle
from tests.acceptance.conftest import Api, Person
from tests.acceptance.consumer.consuming import until

TYPED = {"typed", "typed_create", "typed_update", "typed_delete"}


def parameters(ask: Ask) -> list[tuple[str, str]]:
    """Return the query string of a request, `table` apart."""
    found = []
    for name, operator, value in ask.filters:
        if isinstance(value, tuple):
            value = "|".join(map(str, value))
        found.append((name, f"{operator},{value}"))
    if ask.columns:
        found.append(("column", ",".join(dict.fromkeys(ask.columns))))
    if ask.order:
        found.append(("order", ask.order))
    if ask.limit is not None:
        found.append(("limit", str(ask.limit)))
    return found


class Clinic:
    """The running clinic: people who are logged in, its broker, and the oracle."""

    def __init__(
        self,
        api: Api,
        people: dict[str, Person],
        oracle: Oracle,
        broker: Redis | None = None,
    ) -> None:
        self.api, self.people, self.oracle, self.broker = api, people, oracle, broker
        self.queued = 0  # messages that took effect

    def send(self, ask: Ask, **more: str) -> Any:
        """Send it. Return the answer as httpx2 has it."""
        given = [*parameters(ask), *more.items()]
        base, table = f"/{ask.tier}", ask.table
        body: Any = None
        method, path = "GET", "object-read"
        match ask.way:
            case "count":
                given.append(("is_count", "1"))
            case "group":
                given += [("group_by", ask.column), ("aggregate", "count")]
            case "relation":
                assert ask.relation is not None
                name, shape = ask.relation
                word = {"parent": "(id)", "count": ":count", "rows": "(id):3"}[shape]
                given += [("relation", name + word), ("column", "id")]
            case "cursor":
                given = [*given, ("column", "id")]
                if "cursor" not in more:
                    given.append(("cursor", ""))
            case "parents":
                path = "parent-read"
                of = PARENTS[table][ask.column]
                given += [("parent_table", of), ("parent_column", ask.column)]
            case "single":
                path = f"rows/{table}/{ask.ids[0]}"
            case "create" | "typed_create" | "batch":
                method, path, body = "POST", "object-create", ask.rows[0]
                if ask.way == "batch":
                    given.append(("queue", "batch"))
            case "create_list" | "queue":
                method, path, body = "POST", "object-create", list(ask.rows)
                if ask.way == "queue":
                    given.append(("queue", "redis"))
            case "merge" | "ignore":
                method, path, body = "POST", "object-create", list(ask.rows)
                given += [("on_conflict", "doctor_id,starts_at"), ("mode", ask.way)]
            case "many":
                method, path = "POST", "object-create-many"
                body = [{"table": table, "object": row} for row in ask.rows]
            case "update" | "typed_update":
                method, path, body = "PUT", "object-update", ask.rows[0]
            case "update_list":
                method, path, body = "PUT", "object-update", list(ask.rows)
            case "patch":
                (row,) = ask.rows
                method, path = "PATCH", f"rows/{table}/{row['id']}"
                body = {name: value for name, value in row.items() if name != "id"}
            case "ids_update":
                method, path = "PUT", "ids-update"
                body = {"table": table, "ids": list(ask.ids)}
                body |= {"column": ask.column, "value": ask.value}
            case "ids_delete":
                method, path = "DELETE", "ids-delete"
                body = {"table": table, "ids": list(ask.ids)}
            case "delete_any" | "typed_delete":
                method, path = "DELETE", "object-delete-any"
            case "delete_one":
                method, path = "DELETE", f"rows/{table}/{ask.ids[0]}"
        if ask.way in TYPED:
            path = f"rows/{table}"
        elif path.startswith("object-read") or (
            path.startswith(("object-", "parent-")) and ask.way != "many"
        ):
            given.append(("table", table))
        who = self.people[ask.who] if ask.who else None
        options = {} if body is None else {"json": body}
        query = f"?{urlencode(given)}" if given else ""
        return self.api.call(method, f"{base}/{path}{query}", who, **options)

    async def differs(self, ask: Ask) -> str:
        """Return how Atom and the oracle differ over a request; "" when they agree."""
        expected = await self.oracle.expect(ask)
        answer = self.send(ask)
        if answer.status_code >= 500 or answer.status_code in {401, 405, 429}:
            return f"{answer.status_code} {answer.text}"
        refused = answer.status_code >= 400
        found: Any = REFUSED
        if ask.way in READS:
            if not refused:
                found = self._rows(ask, answer.json())
            if ask.way == "cursor" and not refused and expected != REFUSED:
                return self._cursor(ask, expected)
            found, expected = _ordered(ask, found), _ordered(ask, expected)
        else:
            if ask.way == "queue" and not refused:
                refused = self._is_dead(ask)
            changed = await self.oracle.changes("public", ask.table)
            if changed:
                await self.oracle.restore(ask.table)
            if refused and changed:
                return f"refused, and yet changed: {changed}; {answer.text}"
            found = REFUSED if refused else changed
        if found == expected:
            return ""
        return f"{answer.status_code} {answer.text[:300]}\n  {found}\nnot\n  {expected}"

    def _is_dead(self, ask: Ask) -> bool:
        """Wait until the consumer has settled a message; return whether in vain."""
        assert self.broker is not None
        broker = self.broker
        until(lambda: 0 == broker.xlen("channel_1"))
        is_dead = broker.xlen("channel_1_dead") > 0
        broker.delete("channel_1_dead")
        self.queued += not is_dead
        return is_dead

    def _rows(self, ask: Ask, body: dict[str, Any]) -> Any:
        if ask.way == "count":
            return body["count"]
        message = body["message"]
        return [message] if ask.way == "single" else message

    def _cursor(self, ask: Ask, expected: Any) -> str:
        """Go on from where another was: only one's own rows are there."""
        theirs = self.send(replace(ask, who=ask.other))
        cursor = theirs.json().get("next_cursor") if theirs.is_success else None
        if not cursor:
            return ""
        answer = self.send(ask, cursor=cursor)
        if answer.status_code == 400:
            return ""
        if not answer.is_success:
            return f"{answer.status_code} {answer.text}"
        own = [row["id"] for row in expected]
        seen = [row["id"] for row in answer.json()["message"]]
        last = theirs.json()["message"][-1]["id"]
        rest = sorted((id for id in own if id < last), reverse=True)[: ask.limit]
        return "" if seen == rest else f"cursor of {ask.other}: {seen} not {rest}"

    async def smallest(self, ask: Ask) -> tuple[Ask, str]:
        """Return the smallest request that still differs, and how."""
        reason = await self.differs(ask)
        again = True
        while again:
            again = False
            for less in ask.smaller():
                if found := await self.differs(less):
                    ask, reason, again = less, found, True
                    break
        return ask, reason


def _ordered(ask: Ask, rows: Any) -> Any:
    if not isinstance(rows, list):
        return rows
    rows = [
        {name: value for name, value in row.items() if not name.endswith("ated_at")}
        for row in rows
    ]
    if ask.way == "group":
        return sorted(rows, key=lambda row: repr(sorted(row.items())))
    return rows
