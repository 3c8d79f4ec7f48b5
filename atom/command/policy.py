"""`python main.py policy`: who reaches which rows, as `config_table` declares it."""

import json
import sys
from collections.abc import Iterator, Mapping
from typing import Annotated, Any

import typer

from atom.command.project import Project
from atom.command.serve import refuse
from atom.config.resolve import Config
from atom.config.table import TIERS, VERBS, Declared
from atom.row.rule import Policy
from atom.schema.declaration import Declaration


def policy_command(
    context: typer.Context,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print one JSON document.")
    ] = False,
) -> None:
    """List every table, tier and verb with its rule. Needs no database."""
    project: Project = context.obj
    refuse(project.problems, project.runtime.config.remarks)
    config = project.runtime.config
    policy = Policy(config)
    if as_json:
        found = document(policy, tables(config, policy))
        sys.stdout.write(json.dumps(found, indent=2, ensure_ascii=False) + "\n")
        return
    for line in lines(policy, tables(config, policy)):
        sys.stdout.write(f"{line}\n")


def tables(config: Config, policy: Policy) -> list[str]:
    """Return the tables that are declared, or have an entry in `config_table`."""
    declared = Declaration.parse(config["config_postgres_schema"]).tables
    return sorted({*declared, *policy.declared.tables})


def document(policy: Policy, names: list[str]) -> dict[str, Any]:
    """Return the whole matrix: table, tier, verb, and the rule or null."""
    tenant = policy.declared.tenant
    return {
        "table": {
            name: {
                tier: {
                    verb: _rule(policy.verb(name, tier, verb), verb) for verb in VERBS
                }
                for tier in TIERS
            }
            for name in names
        },
        "soft_delete": dict(policy.declared.soft_delete),
        "tenant": None
        if tenant is None
        else {
            "column": tenant.column,
            "of": tenant.scope,
            "exempt": sorted(tenant.exempt),
        },
        "scope": dict(policy.declared.scopes),
        "role": dict(policy.declared.roles),
    }


def _rule(declared: Declared | None, verb: str) -> dict[str, Any] | None:
    """Return a verb as plain data, null where it is closed."""
    if declared is None:
        return None
    return {
        "where": declared.where,
        "check": declared.where if declared.check is None else declared.check,
        "column": declared.columns and list(declared.columns),
        "preset": dict(declared.preset),
        "role": list(declared.roles),
        "most": declared.most,
    } | ({} if verb in {"create", "update"} else {"check": None})


def lines(policy: Policy, names: list[str]) -> Iterator[str]:
    """Yield the matrix for people."""
    soft = policy.declared.soft_delete
    for name in names:
        marked = f"  (deleted rows are marked: {soft[name]})" if name in soft else ""
        yield f"{name}{marked}"
        for tier in TIERS:
            rules = {verb: policy.verb(name, tier, verb) for verb in VERBS}
            yield from _tier(tier, rules)
        yield ""
    tenant = policy.declared.tenant
    if tenant is not None:
        yield f"tenant: every table with {tenant.column}, on every tier, only where"
        yield f"  {tenant.column} in {tenant.scope}"
        yield f"  except: {', '.join(sorted(tenant.exempt)) or 'no table'}"
    for title, texts in (
        ("scope", policy.declared.scopes),
        ("role", policy.declared.roles),
    ):
        for name, text in texts.items():
            yield f"{title} {name}: {text}"


def _tier(tier: str, rules: Mapping[str, Declared | None]) -> Iterator[str]:
    shown = {verb: _words(rule) for verb, rule in rules.items()}
    if len({*shown.values()}) == 1:  # all alike: one line
        yield f"  {tier:8}{shown['read']}"
        return
    for number, (verb, words) in enumerate(shown.items()):
        yield f"  {'' if number else tier:8}{verb:8}{words}"


def _words(rule: Declared | None) -> str:
    if rule is None:
        return "closed"
    parts = []
    if rule.where is not None:
        parts.append(f"where {rule.where}")
    if rule.check is not None:
        parts.append(f"check {rule.check}")
    if rule.columns is not None:
        parts.append(f"column {', '.join(rule.columns)}")
    parts += [f"preset {name} = {text}" for name, text in rule.preset]
    if rule.roles:
        parts.append(f"role {' or '.join(rule.roles)}")
    if rule.most is not None:
        parts.append(f"most {rule.most}")
    return " · ".join(parts) or "any row"
