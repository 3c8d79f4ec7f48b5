"""Each condition is taken out of the rules in turn: the clinic notices every time."""

from collections.abc import Iterator
from copy import deepcopy
from functools import partial
from random import Random
from typing import Any

import pytest

from tests.acceptance.clinic import ask, config
from tests.acceptance.clinic.conftest import served, served_with_queue
from tests.soak import IS_SOAK, size

EVERY = 1 if IS_SOAK else 6  # in the usual run only each sixth
TRIES = 1_500
VERBS = {
    "read": ask.READS,
    "create": (*(set(ask.CREATES) - {"queue"}), *ask.UPSERTS),
    "update": (*ask.UPDATES, *ask.UPSERTS),
    "delete": ask.DELETES,
}


def without(*path: str, by: Any = None) -> dict[str, Any]:
    """Return the declaration with what is at a path left out, or replaced."""
    keys = config.declared()
    found: Any = keys
    for name in path[:-1]:
        found = found[name]
    if by is None:
        del found[path[-1]]
        if not found:  # an empty dict opens nothing
            return without(*path[:-1], by=1)
    else:
        found[path[-1]] = by
    return keys


def mutations() -> Iterator[tuple[str, str, tuple[str, ...], dict[str, Any]]]:
    """Yield a name, a table, ways, and the declaration with one condition less."""
    yield "tenant", "slot", ask.READS, without("config_tenant", by={})
    for table, entry in deepcopy(config.TABLE).items():
        at = ("config_table", table)
        if "soft_delete" in entry:
            yield "soft", table, ask.READS, without(*at, "soft_delete")
        for tier, verbs in entry.items():
            if verbs == "owner":
                for verb in ("read", "update", "delete"):
                    opened = dict.fromkeys(VERBS, "owner") | {verb: 1}
                    name = f"{table} {tier} {verb}"
                    yield name, table, VERBS[verb], without(*at, tier, by=opened)
            if not isinstance(verbs, dict):
                continue
            for verb, rule in verbs.items():
                name = f"{table} {tier} {verb}"
                if isinstance(rule, str):
                    yield name, table, VERBS[verb], without(*at, tier, verb, by=1)
                if not isinstance(rule, dict):
                    continue
                for word in rule:
                    # Alone, `check` stays what `where` was.
                    by = "true" if word in {"where", "check"} else None
                    keys = without(*at, tier, verb, word, by=by)
                    if word == "where" and verb == "update" and "check" not in rule:
                        keys["config_table"][table][tier][verb]["check"] = rule[word]
                    yield f"{name} {word}", table, VERBS[verb], keys


ALL = list(mutations())


@pytest.mark.soak
@pytest.mark.parametrize(
    ("table", "ways", "keys"),
    [each[1:] for each in ALL[::EVERY]],
    ids=[each[0].replace(" ", "-") for each in ALL[::EVERY]],
)
def test_a_rule_with_a_condition_less_is_noticed(
    tmp_path, cluster, with_clinic, table, ways, keys
):
    """The same random requests, those of its table and verb."""
    with served(tmp_path, cluster, keys) as api:
        assert with_clinic(api, partial(noticed, table=table, ways=ways))


async def noticed(clinic, table, ways):
    """Whether a request of these ways to a table shows that a condition is missing."""
    random, tried = Random(1), 0
    while tried < TRIES:
        drawn = ask.draw(random)
        if drawn.table == table and drawn.way in ways:
            tried += 1
            if await clinic.differs(drawn):
                return True
    return False


CREATED = [each for each in ALL if " my create" in each[0]]


@pytest.mark.soak
@pytest.mark.parametrize(
    ("name", "table", "keys"),
    [(each[0], each[1], each[3]) for each in CREATED[:: size(6, 1)]],
    ids=[each[0].replace(" ", "-") for each in CREATED[:: size(6, 1)]],
)
def test_so_does_each_statement_that_rows_wait_for(
    tmp_path, cluster, with_clinic, name, table, keys
):
    """Those of a consumer, and those written with rows of others (one at a time)."""
    with served_with_queue(tmp_path, cluster, keys) as api:
        for way in ("queue", "batch"):
            if (way, name) != ("batch", "slot my create most"):
                assert with_clinic(api, partial(noticed, table=table, ways=(way,))), way
