"""`config_table`, `config_scope` and `config_tenant`: which rows each tier reaches.

What is not declared is closed. A tier is `0`, `1`, `"owner"` or a dict of verbs; a verb
is `0`, `1`, `"owner"`, a condition in SQL, or a dict of the words in `OF_VERB`. Here
they are parsed; `atom.row.rule` fits them to tables.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any

from atom.errors import nearest
from atom.postgres.condition import CLAIM, UnreadableCondition, queries, tokens

TIERS = ("public", "my", "admin")
VERBS = ("read", "create", "update", "delete")
OF_VERB = {
    "read": ("where", "column", "role"),
    "create": ("check", "column", "preset", "role", "most"),
    "update": ("where", "check", "column", "preset", "role", "most"),
    "delete": ("where", "role", "most"),
}
SOFT_DELETE = "soft_delete"
AUDIT = "audit"
OF_TENANT = ("column", "of", "exempt")
OWNER = "created_by_id"
OWN_ROW = "id = :me"  # of users
OTHERS = ("id", "username", "name")  # of other users, where an entry lists none
OWNED = f'"{OWNER}" = :me'  # what "owner" stands for


@dataclass(frozen=True, slots=True)
class Declared:
    """One verb of one tier as declared: texts, not yet fitted to a table."""

    where: str | None = None  # None: every row
    check: str | None = None  # None: the same as where
    columns: tuple[str, ...] | None = None  # None: every column
    preset: tuple[tuple[str, str], ...] = ()
    roles: tuple[str, ...] = ()
    most: int | None = None

    @property
    def texts(self) -> tuple[str, ...]:
        """All the SQL in it."""
        given = (self.where, self.check, *(text for _, text in self.preset))
        return tuple(text for text in given if text is not None)


ANY_ROW = Declared()


@dataclass(frozen=True, slots=True)
class Tenant:
    """The column that keeps the rows of one tenant from those of another."""

    column: str
    scope: str
    exempt: frozenset[str]


@dataclass(frozen=True, slots=True)
class TableRules:
    """The four keys, parsed."""

    tables: Mapping[str, Mapping[str, Mapping[str, Declared]]]  # table, tier, verb
    named: frozenset[tuple[str, str]]  # tables and tiers that an entry names
    soft_delete: Mapping[str, str]  # the column of a table
    audited: frozenset[str]  # tables with changes that are kept
    scopes: Mapping[str, str]
    roles: Mapping[str, str]
    tenant: Tenant | None


def parse(config: Mapping[str, Any], problems: list[str]) -> TableRules:
    """Parse the four keys. Every problem is added to the list."""
    scopes = queries("config_scope", config["config_scope"], problems)
    roles = queries("config_role", config["config_role"], problems)
    parser = _Parser(roles, problems)
    tables: dict[str, dict[str, dict[str, Declared]]] = {}
    named, soft, audited = set(), {}, set()
    for name, given in config["config_table"].items():
        tables[name] = parser.table(name, given)
        if isinstance(given, Mapping):
            named |= {(name, tier) for tier in TIERS if tier in given}
            if column := parser.soft_delete(name, given):
                soft[name] = column
            if parser.audit(name, given):
                audited.add(name)
    _list_columns_of_users(tables.get("users", {}))
    for verb in ("create", "read"):  # the two short keys, where no entry is longer
        for name in config[f"config_table_allowed_public_{verb}_list"]:
            if (name, "public") not in named:
                public = tables.setdefault(name, {}).setdefault("public", {})
                public[verb] = ANY_ROW
    rules = TableRules(
        tables,
        frozenset(named),
        soft,
        frozenset(audited),
        scopes,
        roles,
        _tenant(config["config_tenant"], scopes, problems),
    )
    problems += _unknown_claims(rules, config["config_token_key_list"])
    return rules


@dataclass(frozen=True, slots=True)
class _Parser:
    """Parses entries of `config_table`; collects every problem with its place."""

    roles: Mapping[str, str]
    problems: list[str]

    def table(self, name: Any, given: Any) -> dict[str, dict[str, Declared]]:
        where = f"config_table[{name!r}]"
        if not isinstance(name, str) or not isinstance(given, Mapping):
            self.problems.append(f"{where}: expected the name of a table and a dict")
            return {}
        self._require_known(where, given, (*TIERS, SOFT_DELETE, AUDIT))
        return {
            tier: self._tier(f"{where}[{tier!r}]", given[tier])
            for tier in TIERS
            if tier in given
        }

    def soft_delete(self, name: str, given: Mapping[str, Any]) -> str | None:
        column = given.get(SOFT_DELETE)
        if column is None or (isinstance(column, str) and column):
            return column
        self.problems.append(f"config_table[{name!r}][{SOFT_DELETE!r}]: not a column")
        return None

    def audit(self, name: str, given: Mapping[str, Any]) -> bool:
        value = given.get(AUDIT, 0)
        if not _is_flag(value):
            self.problems.append(f"config_table[{name!r}][{AUDIT!r}]: expected 0 or 1")
            return False
        return bool(value)

    def _require_known(
        self, where: str, given: Mapping[Any, Any], known: tuple[str, ...]
    ) -> None:
        for word in given:
            if word not in known:
                hint = nearest(str(word)[:60], known) or f"It takes {', '.join(known)}."
                self.problems.append(f"{where}: unknown {word!r}. {hint}")

    def _tier(self, where: str, given: Any) -> dict[str, Declared]:
        found: dict[str, Declared | None] = {}
        if isinstance(given, Mapping):
            self._require_known(where, given, VERBS)
            for verb in VERBS:
                if verb in given:
                    found[verb] = self._verb(f"{where}[{verb!r}]", verb, given[verb])
        elif _is_flag(given) or given == "owner":
            found = {verb: self._verb(where, verb, given) for verb in VERBS}
        else:
            self.problems.append(f"{where}: expected 0, 1, 'owner' or a dict of verbs")
        return {verb: rule for verb, rule in found.items() if rule is not None}

    def _verb(self, where: str, verb: str, given: Any) -> Declared | None:
        """Parse a verb; one with a fault is closed."""
        before = len(self.problems)
        found = self._declared(where, verb, given)
        if found is not None and OWNED in found.texts and "['public']" in where:
            self.problems.append(f"{where}: 'owner' is for callers who are known")
        return found if len(self.problems) == before else None

    def _declared(self, where: str, verb: str, given: Any) -> Declared | None:
        if _is_flag(given):
            return ANY_ROW if given else None
        if isinstance(given, str):
            text = self._text(where, given)
            return Declared(check=text) if verb == "create" else Declared(where=text)
        if not isinstance(given, Mapping):
            self.problems.append(f"{where}: expected 0, 1, 'owner', SQL or a dict")
            return None
        self._require_known(where, given, OF_VERB[verb])
        if not given:
            self.problems.append(f"{where}: an empty dict opens nothing; write 1 or 0")
            return None
        columns, most = given.get("column"), given.get("most")
        if most is not None and (type(most) is not int or most < 1):
            self.problems.append(f"{where}['most']: expected a whole number above 0")
        return Declared(
            self._optional(f"{where}['where']", given.get("where")),
            self._check(where, given.get("check")),
            None if columns is None else self._words(f"{where}['column']", columns),
            tuple(self._presets(f"{where}['preset']", given.get("preset", {}))),
            self._roles(f"{where}['role']", given.get("role", ())),
            most,
        )

    def _optional(self, where: str, given: Any) -> str | None:
        if given is None or (_is_flag(given) and given):
            return None
        if _is_flag(given):
            return "false"
        if isinstance(given, str):
            return self._text(where, given)
        self.problems.append(f"{where}: expected SQL, 1 or 'owner'")
        return "false"

    def _check(self, where: str, given: Any) -> str | None:
        """Parse a check; 1 is any row, and not what `where` asks for."""
        if _is_flag(given) and given:
            return "true"
        return self._optional(f"{where}['check']", given)

    def _text(self, where: str, given: str) -> str:
        if given.strip() == "owner":
            return OWNED
        try:
            tokens(given)
        except UnreadableCondition as error:
            self.problems.append(f"{where}: {error}")
            return "false"
        return given

    def _words(self, where: str, given: Any) -> tuple[str, ...]:
        words = given.split(",") if isinstance(given, str) else given
        if not isinstance(words, list | tuple) or not all(
            isinstance(word, str) and word.strip() for word in words
        ):
            self.problems.append(f"{where}: expected a list of names")
            return ()
        return tuple(word.strip() for word in words)

    def _presets(self, where: str, given: Any) -> Iterable[tuple[str, str]]:
        if not isinstance(given, Mapping):
            self.problems.append(f"{where}: expected a dict of columns and SQL")
            return
        for column, text in given.items():
            if not isinstance(text, str):
                self.problems.append(f"{where}[{column!r}]: expected SQL, as \"'new'\"")
                continue
            yield str(column), self._text(f"{where}[{column!r}]", text)

    def _roles(self, where: str, given: Any) -> tuple[str, ...]:
        names = self._words(where, given) if given else ()
        for name in names:
            if name not in self.roles:
                hint = nearest(name[:60], self.roles) or "Declare it in config_role."
                self.problems.append(f"{where}: unknown role {name!r}. {hint}")
        return tuple(name for name in names if name in self.roles)


def _list_columns_of_users(tiers: dict[str, dict[str, Declared]]) -> None:
    """Restrict what is seen of other users to a list, where an entry has none."""
    for tier in ("public", "my"):
        rule = tiers.get(tier, {}).get("read")
        if rule is not None and rule.columns is None and rule.where != OWN_ROW:
            tiers[tier]["read"] = replace(rule, columns=OTHERS)


def _is_flag(given: Any) -> bool:
    return isinstance(given, bool | int) and given in (0, 1)


def _tenant(
    given: Mapping[str, Any], scopes: Mapping[str, str], problems: list[str]
) -> Tenant | None:
    if not given:
        return None
    for word in given:
        if word not in OF_TENANT:
            hint = nearest(str(word)[:60], OF_TENANT)
            problems.append(f"config_tenant: unknown {word!r}. {hint}".rstrip())
    column, scope = given.get("column"), given.get("of")
    exempt = given.get("exempt", ())
    if not isinstance(column, str) or not column:
        problems.append("config_tenant['column']: expected the name of a column")
    if not isinstance(exempt, list | tuple):
        problems.append("config_tenant['exempt']: expected a list of tables")
        exempt = ()
    if scope not in scopes:
        hint = nearest(str(scope)[:60], scopes)
        problems.append(f"config_tenant['of']: not in config_scope. {hint}".rstrip())
    return Tenant(str(column), str(scope), frozenset(exempt))


def claims(rules: TableRules) -> frozenset[str]:
    """Return the columns of users that rules read of their caller, as `:claim_x`."""
    texts = [*rules.scopes.values(), *rules.roles.values()]
    for tiers in rules.tables.values():
        for verbs in tiers.values():
            texts += (text for rule in verbs.values() for text in rule.texts)
    return frozenset(
        token.text[1:].removeprefix(CLAIM)
        for text in texts
        for token in tokens(text)
        if token.kind == "bind" and token.text.startswith(f":{CLAIM}")
    )


def _unknown_claims(rules: TableRules, known: Iterable[str]) -> list[str]:
    """Return a problem for each `:claim_x` that no token carries."""
    return [
        f"config_table: :{CLAIM}{name} is in no token; config_token_key_list lacks it"
        for name in sorted(claims(rules).difference(known))
    ]
