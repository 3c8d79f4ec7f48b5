"""Constraints: flags, checks and foreign keys, as declared and as there are.

A check or key of Atom has a comment with a digest of the text it was made from: what
PostgreSQL shows of a check is never what was written. A flag needs none.
"""

from collections.abc import Iterator
from dataclasses import dataclass

from atom.datatype.declared import fits
from atom.errors import nearest
from atom.postgres.identifier import public, quote, quote_all
from atom.schema import extension
from atom.schema.declaration import Declaration, digest
from atom.schema.draft import MARK, Draft
from atom.schema.entry import Column, Reference
from atom.schema.entry_index import Exclusion
from atom.schema.index import shorten
from atom.schema.literal import quoted
from atom.schema.live import TableState
from atom.schema.plan import EXCLUSIVE, ROW_EXCLUSIVE, UPDATE_EXCLUSIVE

CHECKS = ("check", "regex", "in")


@dataclass(frozen=True)
class Rule:
    """A constraint as it should be; `text` is what it was made from, names aside."""

    name: str
    columns: tuple[str, ...]
    sql: str
    text: str
    reference: Reference | None = None
    exclusion: Exclusion | None = None

    @property
    def mark(self) -> str:
        """A digest of this text, to compare with an earlier one."""
        return f"{MARK}{digest(self.text)}"


def flag_rule_name(table: str, column: str) -> str:
    """Name the rule that a flag is 0 or 1."""
    return shorten(f"check_{table}_{column}")


def is_flag(name: str, datatype: str) -> bool:
    """Whether a column is one of the 0/1 flags."""
    return name.startswith("is_") and datatype in {"smallint", "integer", "bigint"}


def rule_name(table: str, column: str, kind: str) -> str:
    """Name a rule on one column.

    >>> rule_name("test", "title", "regex")
    'check_test_title_regex'
    """
    return shorten(f"check_{table}_{column}_{kind}")


def key_name(table: str, columns: tuple[str, ...]) -> str:
    """Name a foreign key.

    >>> key_name("test", ("user_id",))
    'foreign_test_user_id'
    """
    return shorten(f"foreign_{table}_{'_'.join(columns)}")


def rules(declared: Declaration, table: str) -> dict[str, Rule]:
    """Return the rules of a table by their names, no two of them the same."""
    columns = declared.tables[table].values()
    # A flag is_a_in has the name that a rule on is_a would have.
    taken = {flag_rule_name(table, column.name) for column in columns}
    found: dict[str, Rule] = {}
    every = [rule for column in columns for rule in _checks(table, column)]
    every += [_key(table, key) for key in declared.references.get(table, ())]
    every += [_exclusion(table, each) for each in declared.exclusions.get(table, ())]
    for rule in every:
        name = rule.name
        if name in taken or name in found:
            name = shorten(name, f"{table}.{','.join(rule.columns)}.{name}")
        found[name] = rule
    return found


def _checks(table: str, column: Column) -> Iterator[Rule]:
    key = quote(column.name)
    choices = ", ".join(column.choices)
    conditions = {
        "check": (column.check, column.check),
        "regex": (column.regex, f"{key} ~ {quoted(column.regex)}"),
        "in": (choices, f"{key} in ({choices})"),
    }
    for kind, (text, condition) in conditions.items():
        if text:
            name = rule_name(table, column.name, kind)
            sql = f"check ({condition})"
            yield Rule(name, (column.name,), sql, f"{kind}:{text}")


def _key(table: str, reference: Reference) -> Rule:
    mine, theirs = quote_all(reference.columns), quote_all(reference.targets)
    goal = f"references {public(reference.table)} ({theirs})"
    if reference.on_delete:
        goal += f" on delete {reference.on_delete}"
    name = key_name(table, reference.columns)
    sql = f"foreign key ({mine}) {goal}"
    return Rule(name, reference.columns, sql, goal, reference)


def _exclusion(table: str, each: Exclusion) -> Rule:
    pairs = zip(each.columns, each.operators, strict=True)
    keys = ", ".join(f"{quote(column)} with {operator}" for column, operator in pairs)
    where = f" where ({each.where})" if each.where else ""
    sql = f"exclude using {each.method} ({keys}){where}"
    name = shorten(f"exclude_{table}_{'_'.join(each.columns)}")
    return Rule(name, each.columns, sql, sql, exclusion=each)


def drop_undeclared(draft: Draft) -> None:
    """Drop rules of Atom that are no longer declared, before what they depend on."""
    ours: dict[str, list[str]] = {}
    for (table, name), found in draft.live.constraints.items():
        if found.comment.startswith(MARK):
            ours.setdefault(table, []).append(name)
    for table in draft.declared.tables:
        wanted = rules(draft.declared, table) if table in ours else {}
        for name in ours.get(table, ()):
            # A column that is not declared stays, and its rules with it.
            found = draft.live.constraints[table, name]
            if name in wanted:
                # What excludes depends on columns that may change before it does.
                rule, mark = wanted[name], found.comment
                if rule.exclusion is not None and rule.mark != mark:
                    draft.drop_constraint(table, name)
                continue
            if not draft.has_declared(table, found.columns):
                continue
            draft.drop_constraint(table, name)


def flags(draft: Draft) -> None:
    """Let flags be 0, 1 or null."""
    for table, state in draft.existing():  # a new table has them
        datatypes = draft.datatypes(table)
        for column in draft.declared_columns(table):
            if is_flag(column, datatypes[column]):
                _flag(draft, state, column)


def _flag(draft: Draft, state: TableState, column: str) -> None:
    table, name = state.name, flag_rule_name(state.name, column)
    found = draft.live.constraints.get((table, name))
    if (table, name) in draft.unruled:
        found = None
    if found is None:
        late = " not valid" if state.rows else ""
        sql = (
            f"alter table {public(table)} add constraint {quote(name)}"
            f" check ({quote(column)} in (0, 1)){late}"
        )
        draft.add(sql, "constraint", table, name=name, lock=EXCLUSIVE)
    if state.rows if found is None else not found.validated:
        _prove(draft, table, name)


def steps(draft: Draft) -> None:
    """Add rules that are missing or of another text, and prove them for all rows."""
    for table in draft.declared.tables:
        if table not in draft.live.others:
            for name, rule in rules(draft.declared, table).items():
                _rule(draft, table, name, rule)


def _rule(draft: Draft, table: str, name: str, rule: Rule) -> None:
    found = draft.live.constraints.get((table, name))
    gone = (table, name) in draft.unruled
    if found is not None and not gone and found.comment == rule.mark:
        if not found.validated:
            _prove(draft, table, name)
        return
    # One that is not settled is reported as drift of the datatype.
    settled = all(draft.settled(table, column) for column in rule.columns)
    if settled and _possible(draft, table, rule):
        _add(draft, table, name, rule, replaces=found is not None and not gone)


def _add(draft: Draft, table: str, name: str, rule: Rule, *, replaces: bool) -> None:
    """Have a rule hold for new rows at once, and for those that exist once proven."""
    state = draft.state(table)
    # PostgreSQL before 18 proves a foreign key of a partitioned table at once.
    whole = state is not None and state.partitioned and rule.reference is not None
    late = state is not None and not whole and rule.exclusion is None
    whole = whole or rule.exclusion is not None
    target, constraint = f"alter table {public(table)}", quote(name)
    first = f"drop constraint {constraint}, " if replaces else ""
    draft.add(
        f"{target} {first}add constraint {constraint} {rule.sql}"
        f"{' not valid' if late else ''};\n"
        f"comment on constraint {constraint} on {public(table)} is '{rule.mark}'",
        "constraint",
        table,
        name=name,
        lock=EXCLUSIVE if rule.reference is None or replaces else ROW_EXCLUSIVE,
        scan=whole,
        transactional=False,
    )
    if late:
        _prove(draft, table, name)


def _prove(draft: Draft, table: str, name: str) -> None:
    """Have PostgreSQL read every row under a lock that lets others write."""
    draft.add(
        f"alter table {public(table)} validate constraint {quote(name)}",
        "constraint",
        table,
        name=name,
        lock=UPDATE_EXCLUSIVE,
        scan=True,
        transactional=False,
    )


def choose(draft: Draft) -> None:
    """Have the extension that exclusions need."""
    for table, exclusions in draft.declared.exclusions.items():
        if any(_compares_plain(draft, table, each) for each in exclusions):
            extension.use(draft, "btree_gist")


def _compares_plain(draft: Draft, table: str, each: Exclusion) -> bool:
    """Whether gist has to compare plain values, as btree does."""
    datatypes = [draft.chosen[table].get(name, "bigint") for name in each.columns]
    return each.method == "gist" and any(
        fits("btree", datatype) and not datatype.endswith("range")
        for datatype in datatypes
    )


def _excludes(draft: Draft, table: str, each: Exclusion) -> bool:
    if not _compares_plain(draft, table, each):
        return True
    if not extension.usable(draft, "btree_gist"):
        draft.refusals.append(
            f"{table}: 'exclude' needs the extension btree_gist."
            f" {extension.cure(draft, 'btree_gist')}"
        )
        return False
    return True


def _possible(draft: Draft, table: str, rule: Rule) -> bool:
    """Refuse the plan for what PostgreSQL would refuse, in better words."""
    column = draft.declared.column(table, rule.columns[0])
    if rule.text == f"regex:{column.regex}" and column.regex in draft.live.unreadable:
        draft.refusals.append(
            f"{table}.{column.name}: PostgreSQL cannot read the regex {column.regex!r}."
        )
        return False
    if rule.exclusion is not None:
        return _excludes(draft, table, rule.exclusion)
    if rule.reference is None:
        return True
    goal = rule.reference.table
    state = draft.state(goal)
    there = set(state.columns) if state is not None else set()
    if goal in draft.declared.tables:
        there |= {"id", *draft.declared_columns(goal)}
    place = f"{table}.{','.join(rule.columns)} refers to"
    if not there:
        tables = {*draft.declared.tables, *draft.live.tables}
        hint = nearest(goal, tables)
        draft.refusals.append(f"{place} {goal}, which is not a table. {hint}".strip())
    for name in rule.reference.targets if there else ():
        if name not in there:
            hint = nearest(name, there)
            draft.refusals.append(
                f"{place} {goal}.{name}, which is not a column. {hint}".strip()
            )
    return there.issuperset(rule.reference.targets)
