"""A plan as text: a table for people, a script for whoever runs it by hand."""

from collections.abc import Iterable, Sequence

from atom.schema.plan import Plan, Step

HEAD = ("", "lock", "reads", "rows", "loses", "undo", "SQL")
LONG = 400  # the body of a function is in --sql


def shown(plan: Plan) -> str:
    """Return the steps as a table, and below it what else a person should know."""
    parts = []
    if plan.steps:
        rows = [_row(number, step) for number, step in enumerate(plan.steps, 1)]
        parts.append(_table([HEAD, *rows]))
    else:
        parts.append("Nothing to do.\n")
    for title, lines in (
        ("Differs, and stays", plan.drift),
        ("Note", plan.notes),
        ("Refused", plan.refusals),
    ):
        parts.extend(f"{title}: {line}\n" for line in lines)
    return "".join(parts)


def script(plan: Plan) -> str:
    """Return the SQL of all steps, in their order."""
    return "".join(f"{step.sql};\n" for step in plan.steps)


def _row(number: int, step: Step) -> tuple[str, ...]:
    sql = " ".join(step.sql.split())
    return (
        str(number),
        step.lock or "-",
        "rewrites" if step.rewrite else "scans" if step.scan else "-",
        str(step.rows),
        "yes" if step.destructive else "-",
        "yes" if step.reversible else "no",
        sql if len(sql) <= LONG else f"{sql[:LONG]} …",
    )


def _table(rows: Sequence[Sequence[str]]) -> str:
    """Lay cells out under each other; the last column is as wide as it is."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return "".join(_line(row, widths) for row in rows)


def _line(cells: Sequence[str], widths: Iterable[int]) -> str:
    padded = (cell.ljust(width) for cell, width in zip(cells, widths, strict=True))
    return "  ".join(padded).rstrip() + "\n"
