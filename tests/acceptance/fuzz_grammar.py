"""Requests nobody would write by hand, and what of each is known beforehand.

A case is made of parts. Each part is `fine`, `wrong`, or `open` (nobody knows); a
request of fine parts alone must be answered with 200, one with a wrong part must not.
"""

import json
import random
from dataclasses import dataclass
from typing import ClassVar
from urllib.parse import quote

from tests.acceptance import fuzz_values as values

FINE, OPEN, WRONG = "fine", "open", "wrong"
TABLES = ("zoo", "zoo", "zoo", "zoo", "test", "message", "diary")
TIERS = ("my", "my", "my", "public", "admin")
ZOO = values.COLUMNS
GROUPED = [n for n, kind in ZOO.items() if kind not in values.UNSORTED]
JSON = "Content-Type: application/json"
COLUMNS = {
    "zoo": ZOO,
    "diary": {"id": "bigint", "created_by_id": "bigint", "secret": "text"},
    "message": {"id": "bigint", "user_id": "bigint", "description": "text"},
    "test": {
        "id": "bigint",
        "title": "text",
        "rating": "numeric(8,2)",
        "tag": "text[]",
        "metadata": "jsonb",
        "created_at": "timestamptz",
        "type": "smallint",
        "location": "point",
    },
}


@dataclass(frozen=True)
class Case:
    """One request, and what is known of its answer."""

    method: str
    target: str
    route: str  # as the document names it
    who: str | None  # user, admin, root or nobody
    verdict: str
    headers: tuple[str, ...] = ()
    body: bytes | None = None
    chunked: bool = False

    def told(self):
        """Write the case so that a person can repeat it."""
        body = "" if self.body is None else f" {self.body[:400]!r}"
        return f"{self.who} {self.method} {self.target[:1500]}{body}"


def worst(verdicts):
    """Return the verdict of a whole, given those of its parts."""
    found = list(verdicts)
    return WRONG if WRONG in found else OPEN if OPEN in found else FINE


def escaped(rng, text):
    """Percent-encode, in one of the spellings that mean the same."""
    raw = text if isinstance(text, bytes) else text.encode(errors="surrogatepass")
    style = rng.random()
    if style < 0.8:
        return quote(raw, safe="")
    if style < 0.9:
        return "".join(f"%{byte:02x}" for byte in raw)
    return quote(raw, safe=" ,()|*~-:;!$@/").replace(" ", "+")


def joined(rng, pairs):
    """Write a query string."""
    return "&".join(f"{escaped(rng, n)}={escaped(rng, t)}" for n, t in pairs)


class Maker:
    """Makes cases, the same ones for the same seed."""

    def __init__(self, seed, people, cursors):
        self.rng = random.Random(seed)
        self.people = people  # ids of the user, and of whose rows they never see
        self.cursors = cursors  # some the server has given

    def one(self):
        """Make the next case."""
        make = self.rng.choices(MAKERS, WEIGHTS)[0]
        return make(self)

    def pick(self, *choices):
        """Choose one."""
        return self.rng.choice(choices)

    def chance(self, share):
        """Say yes in this share of all cases."""
        return self.rng.random() < share

    # --- reading ---------------------------------------------------------------

    def operand(self, kind):
        """Make an operator and an operand for a kind of column, and a verdict."""
        rng = self.rng
        if self.chance(0.03):
            word = rng.choice(values.NO_OPERATORS)
            return f"{word},{rng.choice(values.HOSTILE)}", WRONG
        operators = values.OPERATORS[values.family(kind)]
        if self.chance(0.03):
            others = set(values.ALL_OPERATORS) - set(operators)
            if not others:
                return "=", WRONG
            return f"{rng.choice(sorted(others))},1", WRONG
        operator = rng.choice(operators)
        good = self.chance(0.88)
        text, verdict = values.operand(rng, kind, operator, good=good)
        if self.chance(0.1):
            operator = rng.choice([operator.upper(), f" {operator} "])
        return f"{operator},{text}", verdict

    def filter(self, table):
        """Make one filter."""
        columns = COLUMNS[table]
        if self.chance(0.03):
            name = self.rng.choice(values.NO_COLUMNS)
            return (name, self.operand("text")[0]), WRONG
        name = self.rng.choice(list(columns))
        text, verdict = self.operand(columns[name])
        return (name, text), verdict

    def group(self, table, depth=1):
        """Make the inside of or=(…) or and=(…)."""
        parts, verdicts = [], []
        for _ in range(self.rng.randint(1, 3)):
            if depth < 4 and self.chance(0.2):
                inner, verdict = self.group(table, depth + 1)
                parts.append(f"{self.pick('or', 'and')}=({inner})")
            else:
                (name, text), verdict = self.filter(table)
                if text.endswith("\\"):
                    text, verdict = text + "x", OPEN
                text = text.replace(";", "\\;")
                if depth > 1:
                    text = text.replace(")", "\\)")
                if "\\\\;" in text or "\\\\)" in text or "=" in name:
                    verdict = OPEN  # a backslash before one that was added
                if name.strip() != name:
                    verdict = OPEN
                parts.append(f"{name}={text}")
            verdicts.append(verdict)
        return ";".join(parts), worst(verdicts)

    def pairs(self, table, tier):
        """Make the query string of a read: pairs, and a verdict."""
        rng, columns = self.rng, COLUMNS[table]
        pairs, verdicts = [("table", table)], []
        for _ in range(rng.choice([0, 1, 1, 1, 2, 3])):
            pair, verdict = self.filter(table)
            pairs.append(pair)
            verdicts.append(verdict)
        if self.chance(0.2):
            inside, verdict = self.group(table)
            pairs.append((self.pick("or", "and"), f"({inside})"))
            verdicts.append(verdict)
        grouped = self.chance(0.15)
        makers = self.GROUPED if grouped else self.PLAIN
        for name, make in makers.items():
            if self.chance(0.3) or (name == "limit" and self.chance(0.9)):
                text, verdict = make(self, columns, table, tier)
                pairs.append((name, text))
                verdicts.append(verdict)
        given = dict(pairs)
        if grouped and not {"group_by", "aggregate"} & given.keys():
            pairs.append(("aggregate", "count"))
        if grouped and "order" in given:
            verdicts.append(OPEN)  # by a column that may not be grouped by
        if {"cursor", "page"} <= given.keys():
            verdicts.append(WRONG)
        if given.get("is_count") == "planned" and (grouped or tier == "my"):
            verdicts.append(WRONG)
        if self.chance(0.03):
            pairs.append((rng.choice(values.NO_PARAMETERS), "1"))
            verdicts.append(WRONG)
        if self.chance(0.02):
            for name in rng.sample(["limit", "order", "cursor", "is_count"], 1):
                pairs += [(name, "1")] * (1 if name in given else 2)
                verdicts.append(WRONG)
        rng.shuffle(pairs)
        return pairs, worst(verdicts)

    def _column(self, columns, table, tier):
        if self.chance(0.1):
            return self.rng.choice(["*", "id,", "", "nope", "count(*)", "id;id"]), WRONG
        names = self.rng.sample(list(columns), self.rng.randint(1, len(columns)))
        return ",".join(names), FINE

    def _order(self, columns, table, tier):
        if self.chance(0.1):
            return self.rng.choice(values.NO_ORDERS), WRONG
        ways = ["", " desc", " ASC", " nulls first", " desc  nulls last", " Desc"]
        names = self.rng.sample(list(columns), min(len(columns), self.pick(1, 1, 2, 3)))
        unsorted = any(columns[name] in values.UNSORTED for name in names)
        text = ",".join(name + self.rng.choice(ways) for name in names)
        return text, WRONG if unsorted else FINE

    def _limit(self, columns, table, tier):
        if self.chance(0.05):
            return self.rng.choice(values.NO_COUNTS), WRONG
        return self.rng.choice(["1", "2", "3", "4", "5"]), FINE

    def _page(self, columns, table, tier):
        if self.chance(0.1):
            return self.rng.choice(values.NO_COUNTS), WRONG
        return self.rng.choice(["1", "2", "1000000000"]), FINE

    def _cursor(self, columns, table, tier):
        if self.chance(0.7):
            cursor = self.rng.choice(self.cursors)
            if self.chance(0.5):
                return cursor, OPEN  # of some other table or order
            cut = self.rng.randrange(1, len(cursor))
            return self.rng.choice(
                [
                    cursor[:cut],
                    cursor[cut:],
                    cursor + "A",
                    cursor.swapcase(),
                    "=" + cursor,
                ]
            ), WRONG
        if self.chance(0.3):
            return values.forged(self.rng, table), OPEN
        if self.chance(0.2):
            return self.rng.choice(["x", "null", "W10", "[]", "a" * 9000, "é"]), WRONG
        return "", FINE

    def _count(self, columns, table, tier):
        if self.chance(0.1):
            return self.rng.choice(["2", "yes", "", "-1", "exact", "1;1"]), WRONG
        return self.rng.choice(["0", "1", "true", "planned"]), FINE

    def _creator(self, columns, table, tier):
        if self.chance(0.3):
            secret = self.pick("password", "google_data", "nope", "", "username,")
            return secret, WRONG
        return self.pick("username", "name,username", "name"), FINE

    def _near(self, columns, table, tier):
        if self.chance(0.3):
            return self.rng.choice(values.NO_PLACES), WRONG
        text = self.pick("0,0,0,1e9", "1.5,-2,0,10", "180,90,0,5e6", "-180,-90,1,2")
        return text, FINE if "point" in columns.values() else WRONG

    def _relation(self, columns, table, tier):
        if self.chance(0.3):
            return self.rng.choice(values.NO_RELATIONS), WRONG
        texts = {
            "zoo": ["created_by_id(username)", "paw", "paw:2,paw:count", "paw(id)"],
            "message": ["user_id(username)", "created_by_id(id)"],
            "diary": ["created_by_id(username)"],
            "test": ["created_by_id(username)", "updated_by_id(id,username)"],
        }
        return self.rng.choice(texts[table]), OPEN  # paw is not open to the public

    def _groups(self, columns, table, tier):
        if self.chance(0.15):
            return self.rng.choice(["", "nope", "id,", "password", "count(*)"]), WRONG
        names = self.rng.sample(list(columns), self.pick(1, min(2, len(columns))))
        unsorted = any(columns[name] in values.UNSORTED for name in names)
        return ",".join(names), WRONG if unsorted else FINE

    def _aggregate(self, columns, table, tier):
        if self.chance(0.15):
            return self.rng.choice(values.NO_AGGREGATES), WRONG
        name = self.rng.choice(list(columns))
        function = self.pick("count", "sum", "avg", "min", "max")
        kind = values.family(columns[name])
        fits = {"sum": {"number"}, "avg": {"number"}}.get(
            function, {"number", "text", "moment"}
        )
        fine = function == "count" or kind in fits
        return f"count,{function}({name})", FINE if fine else WRONG

    PLAIN: ClassVar = {
        "column": _column,
        "order": _order,
        "limit": _limit,
        "page": _page,
        "cursor": _cursor,
        "is_count": _count,
        "creator_key": _creator,
        "location_filter": _near,
        "relation": _relation,
    }
    GROUPED: ClassVar = {
        "group_by": _groups,
        "aggregate": _aggregate,
        "limit": _limit,
        "is_count": _count,
        "order": _order,
    }

    def place(self, tier, action, table, pairs):
        """Choose between the two paths of a row route; return path, route, pairs."""
        if self.chance(0.8) or (tier, action) not in values.TYPED:
            return f"/{tier}/{action}", f"/{tier}/{action}", pairs
        path = f"/{tier}/rows/{table}"
        return path, path, [pair for pair in pairs if pair[0] != "table"]

    def closed(self, table, tier):
        """Say whether a table is not open to a tier."""
        return tier == "public" and table not in {"zoo", "test"}

    def read(self):
        """A read by the grammar, or almost."""
        tier, table = self.rng.choice(TIERS), self.rng.choice(TABLES)
        pairs, verdict = self.pairs(table, tier)
        if self.closed(table, tier):
            verdict = WRONG
        path, route, pairs = self.place(tier, "object-read", table, pairs)
        raw = joined(self.rng, pairs)
        who = {"my": "user", "admin": "admin"}.get(tier)
        if self.closed(table, tier) and route != f"/{tier}/object-read":
            route = "/public/rows/test"
        return Case("GET", f"{path}?{raw}", route, who, verdict)

    def read_odd(self):
        """A query string that is no query string."""
        rng = self.rng
        raw, verdict = rng.choice(values.ODD_QUERIES)
        if self.chance(0.3):
            noise = bytes(rng.randrange(256) for _ in range(rng.randint(1, 30)))
            raw, verdict = "table=zoo&" + quote(noise, safe="&=,"), OPEN
        elif self.chance(0.3):
            word = rng.choice(values.HOSTILE)
            raw, verdict = f"table={escaped(rng, word)}", WRONG
        elif self.chance(0.2):
            words = "|".join(str(n) for n in range(self.pick(900, 1000, 1001, 2000)))
            verdict = WRONG if words.count("|") >= 1000 else FINE
            raw = f"table=zoo&limit=1&whole=in,{words}"
        tier = rng.choice(("my", "public", "admin"))
        who = {"my": "user", "admin": "admin"}.get(tier)
        path = f"/{tier}/object-read"
        return Case("GET", f"{path}?{raw}", path, who, verdict)

    def read_slow(self):
        """A pattern that never ends: the read's own timeout has to."""
        pattern = quote(self.rng.choice(values.BOMBS), safe="")
        path = "/my/object-read"
        target = f"{path}?table=zoo&column=id&title=~,{pattern}"
        return Case("GET", target, path, "user", OPEN)

    def parents(self):
        """Parents of one's own rows."""
        parent = self.pick("users", "zoo", "otp", "nope", "test", "message", "diary")
        column = self.pick("created_by_id", "user_id", "zoo_id", "id", "nope", "title")
        pairs = [
            ("table", self.pick("zoo", "message", "paw", "nope")),
            ("parent_table", parent),
            ("parent_column", column),
        ]
        verdict = WRONG if "nope" in {text for _, text in pairs} else OPEN
        if self.chance(0.5):
            columns = {"id": "bigint"}
            order, ordered = self._order(columns, "zoo", "my")
            pairs.append(("order", order))
            verdict = worst([verdict, ordered])
        if self.chance(0.2):
            pairs.append(("id", "=,1"))
            verdict = WRONG
        path = "/my/parent-read"
        return Case("GET", f"{path}?{joined(self.rng, pairs)}", path, "user", verdict)

    def messages(self):
        """Lists of messages."""
        path = f"/my/message-{self.pick('received', 'inbox', 'thread')}"
        pairs, verdicts = [], []
        if path.endswith("thread"):
            other = self.pick(str(self.people[1]), "0", "x", "", "9" * 30, "-1")
            pairs.append(("user_id", other))
            verdicts.append(FINE if other == str(self.people[1]) else WRONG)
        for name, fine, wrong in (
            ("order", ["id", "id desc"], ["nope", "", "id;", "id,id"]),
            ("limit", ["1", "10"], ["0", "x", "1001", "9" * 30]),
            ("page", ["1", "2"], ["0", "x", "-1"]),
            ("is_unread", ["0", "1"], ["2", "x", ""]),
            ("nope", [], ["1"]),
        ):
            if self.chance(0.3):
                good = bool(fine) and self.chance(0.7)
                pairs.append((name, self.rng.choice(fine if good else wrong)))
                verdicts.append(FINE if good else WRONG)
        raw = joined(self.rng, pairs)
        return Case("GET", f"{path}?{raw}", path, "user", worst(verdicts))

    def messages_gone(self):
        """Deletes of messages, hardly ever of one that is there."""
        if self.chance(0.5):
            path, name = "/my/message-delete-bulk", "mode"
            text = self.pick("", "x", "ALL", "created ", "all,created")
        else:
            path, name = "/my/message-delete-single", "id"
            text = self.pick("", "x", "0", "-1", "1.5", "9" * 25, "1,2", "٣")
        raw = joined(self.rng, [(name, text)])
        return Case("DELETE", f"{path}?{raw}", path, "user", WRONG)

    # --- writing ---------------------------------------------------------------

    def row(self, table, *, new=True):
        """Make the object of one row, and a verdict."""
        columns = {
            name: kind
            for name, kind in COLUMNS[table].items()
            if name not in values.MANAGED
        }
        found, verdicts = {}, []
        for name in self.rng.sample(list(columns), self.rng.randint(1, len(columns))):
            given, verdict = values.stored(self.rng, columns[name])
            if name == "code":  # no two rows of somebody have the same
                given, verdict = self.rng.randbytes(8).hex(), FINE
            found[name] = given
            verdicts.append(verdict)
        if self.chance(0.05):
            found[self.rng.choice(values.NO_COLUMNS)] = 1
            verdicts.append(WRONG)
        if new and table == "message" and {"user_id", "description"} - found.keys():
            verdicts.append(WRONG)
        if table == "message":
            verdicts.append(OPEN)  # null where none may be
        return found, worst(verdicts)

    def body(self, table):
        """Make a body: a row, a list, or something else altogether."""
        if self.chance(0.12):
            return self.rng.choice(values.NO_BODIES), WRONG
        if self.chance(0.04):
            return self.rng.choice(values.ODD_BODIES), OPEN
        if self.chance(0.2):
            rows = [self.row(table) for _ in range(self.rng.randint(1, 4))]
            body, verdict = [row for row, _ in rows], worst(v for _, v in rows)
        else:
            body, verdict = self.row(table)
        return json.dumps(body, ensure_ascii=self.chance(0.5)).encode(), verdict

    def sent(self, method, target, route, who, verdict, body):
        """Make a case with a body, in one of the ways a body can come."""
        headers = (JSON,)
        if self.chance(0.05):
            kind = self.pick(
                "text/plain", "application/xml", "x", "multipart/form-data"
            )
            headers, verdict = (f"Content-Type: {kind}",), worst([verdict, OPEN])
        chunked = self.chance(0.1)
        return Case(method, target, route, who, verdict, headers, body, chunked)

    def create(self):
        """A create on any tier."""
        tier = self.rng.choice(TIERS)
        table = self.rng.choice(TABLES[:-1] if tier == "admin" else TABLES)
        body, verdict = self.body(table)
        verdicts = [verdict]
        pairs = [("table", table)]
        if self.closed(table, tier):
            verdicts.append(WRONG)
        if self.chance(0.15):
            word = self.pick("batch", "nope", "redis", "", "mongodb_x", "Batch")
            pairs.append(("queue", word))
            fine = tier == "my" and word in {"batch", ""}
            verdicts.append(FINE if fine else WRONG)
        elif self.chance(0.15):
            keys, fine = self.pick(
                ("created_by_id,code", OPEN),
                ("code", WRONG),
                ("id", WRONG),
                ("", WRONG),
            )
            mode = self.pick("merge", "ignore", "nope", "")
            pairs += [("on_conflict", keys), ("mode", mode)]
            verdicts.append(
                worst([fine, OPEN if mode in {"merge", "ignore"} else WRONG])
            )
        if self.chance(0.03):
            pairs.append((self.pick("nope", "limit", "Table"), "1"))
            verdicts.append(WRONG)
        path, route, pairs = self.place(tier, "object-create", table, pairs)
        if self.closed(table, tier) and route != "/public/object-create":
            route = "/public/rows/test"
        target = f"{path}?{joined(self.rng, pairs)}"
        who = {"my": "user", "admin": "admin"}.get(tier)
        verdict = worst(verdicts)
        if verdict == FINE and table == "zoo" and tier != "my":
            verdict = OPEN  # their codes may be there already
        return self.sent("POST", target, route, who, verdict, body)

    def update(self):
        """An update of some row, mostly nobody's."""
        tier = self.pick("my", "my", "admin")
        table = self.rng.choice(TABLES[:-1] if tier == "admin" else TABLES)
        body, verdict = self.body(table)
        if self.chance(0.7):
            row, verdict = self.row(table, new=False)
            row_id = self.rng.choice(
                [1, 2, 3, 5, 2**62, 0, -1, "7", "x", None, True, 1.5, [], {}, 2**70, ""]
            )
            if type(row_id) is not int or row_id > 2**63 or row_id < 1:
                verdict = WRONG if row_id != "7" else OPEN
            elif verdict == FINE:
                verdict = OPEN
            body = json.dumps({"id": row_id, **row}).encode()
        elif verdict == FINE:
            verdict = WRONG  # without an id
        path, route, pairs = self.place(
            tier, "object-update", table, [("table", table)]
        )
        target = f"{path}?{joined(self.rng, pairs)}"
        return self.sent(
            "PUT", target, route, {"my": "user"}.get(tier, tier), verdict, body
        )

    def bulk(self):
        """Updates and deletes by a list of ids."""
        tier = self.pick("my", "my", "admin")
        action = self.pick("ids-update", "ids-delete")
        ids, verdict = self.rng.choice(values.IDS)
        table = self.pick(
            "zoo", "zoo", "test", "nope", "", "users" if tier == "my" else ""
        )
        body = {"table": table, "ids": ids}
        if action == "ids-update":
            name = self.rng.choice([*ZOO, "nope", "created_by_id"])
            body |= {"column": name, "value": values.stored(self.rng, "text")[0]}
        if self.chance(0.1):
            body[self.pick("nope", "value2", "where")] = 1
            verdict = WRONG
        if self.chance(0.1):
            del body[self.rng.choice(list(body))]
            verdict = WRONG
        if table not in {"zoo", "test"}:
            verdict = WRONG
        path = f"/{tier}/{action}"
        method = "PUT" if action == "ids-update" else "DELETE"
        verdict = OPEN if verdict == FINE else verdict
        raw = json.dumps(body).encode()
        return self.sent(
            method, path, path, {"my": "user"}.get(tier, tier), verdict, raw
        )

    def gone(self):
        """A delete by filters; it never deletes everything."""
        table = self.pick("zoo", "test", "diary")
        pairs, verdicts = [("table", table)], []
        for _ in range(self.rng.choice([0, 1, 2])):
            pair, verdict = self.filter(table)
            pairs.append(pair)
            verdicts.append(verdict)
        if not verdicts:
            verdicts.append(WRONG)
        pairs.append(("id", "=,7"))
        if len(pairs) == 2:
            pairs.pop()
        path, route, pairs = self.place("my", "object-delete-any", table, pairs)
        target = f"{path}?{joined(self.rng, pairs)}"
        return Case("DELETE", target, route, "user", worst(verdicts))

    def many(self):
        """Rows of several tables in one body."""
        path = "/my/object-create-many"
        if self.chance(0.2):
            body = self.rng.choice(values.NO_BODIES + [b"{}", b"[{}]", b"[[]]"])
            return self.sent("POST", path, path, "user", WRONG, body)
        row, verdict = self.row("zoo")
        entries = [{"table": "zoo", "object": row, "as": "first"}]
        second, fine = self.rng.choice(values.ENTRIES)
        entries.append(second)
        body = json.dumps(entries).encode()
        return self.sent("POST", path, path, "user", worst([verdict, fine]), body)

    # --- statements and files -----------------------------------------------------

    def runner(self):
        """A statement for db-runner or the export."""
        query, verdict = self.rng.choice(values.STATEMENTS)
        body = json.dumps({"query": query}).encode()
        if self.chance(0.1):
            body, verdict = self.rng.choice(values.NO_BODIES), WRONG
        if self.chance(0.6):
            path = "/admin/db-runner"
            return self.sent("POST", path, path, "admin", verdict, body)
        path = "/root/postgres-export"
        return self.sent("POST", path, path, "root", verdict, body)

    def load(self):
        """A file for the import."""
        mode = self.pick("create", "create", "update", "delete", "nope", "")
        table = self.pick("zoo", "zoo", "test", "nope", "", "pg_user")
        csv, verdict = self.rng.choice(values.FILES)
        verdict = OPEN if verdict == FINE else verdict
        if mode in {"nope", ""} or table in {"nope", "", "pg_user"}:
            verdict = WRONG
        edge = b"fuzz-edge"
        body = b"".join(
            b'--%b\r\nContent-Disposition: form-data; name="%b"%b\r\n\r\n%b\r\n'
            % (edge, name, more, text)
            for name, more, text in (
                (b"mode", b"", mode.encode()),
                (b"table", b"", table.encode()),
                (b"file", b'; filename="x.csv"\r\nContent-Type: text/csv', csv),
            )
        )
        body += b"--%b--\r\n" % edge
        if self.chance(0.05):
            body, verdict = body[: self.rng.randrange(len(body))], OPEN
        kind = "Content-Type: multipart/form-data; boundary=fuzz-edge"
        path = "/root/postgres-import"
        return Case("POST", path, path, "root", verdict, (kind,), body)

    def lost(self):
        """A route that is not there, or in another way."""
        method, path, route = self.rng.choice(values.NO_ROUTES)
        return Case(method, path, route, "user", WRONG)


MAKERS, WEIGHTS = zip(
    *[
        (Maker.read, 50),
        (Maker.read_odd, 6),
        (Maker.read_slow, 0.05),
        (Maker.parents, 3),
        (Maker.messages, 3),
        (Maker.messages_gone, 1),
        (Maker.create, 14),
        (Maker.update, 7),
        (Maker.bulk, 5),
        (Maker.gone, 4),
        (Maker.many, 3),
        (Maker.runner, 3),
        (Maker.load, 2),
        (Maker.lost, 1),
    ],
    strict=True,
)
