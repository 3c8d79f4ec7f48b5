"""The parts of a plan: its steps, and its notes."""

from dataclasses import asdict, dataclass
from typing import Any

# Source: PostgreSQL manual, section 13.3.1, Table-Level Locks.
EXCLUSIVE = "ACCESS EXCLUSIVE"
ROW_EXCLUSIVE = "SHARE ROW EXCLUSIVE"
UPDATE_EXCLUSIVE = "SHARE UPDATE EXCLUSIVE"
INNER = ("undo", "mark")


@dataclass(frozen=True)
class Step:
    """One change: what runs, what it costs, and whether it can be taken back."""

    sql: str
    kind: str
    table: str = ""
    name: str = ""
    lock: str = ""
    rewrite: bool = False
    scan: bool = False
    rows: int = 0
    destructive: bool = False
    reversible: bool = True
    transactional: bool = True
    undo: str = ""  # what clears up when the step fails halfway
    mark: str = ""  # which text of a query of the user's this is


@dataclass(frozen=True)
class Plan:
    """Steps in their order, and everything else a person should know.

    `drift` is where declaration and database differ and nothing will be done about it;
    `notes` is what this server or role cannot do and what is done instead; `refusals`
    is why the plan may not run at all.
    """

    steps: tuple[Step, ...] = ()
    drift: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    refusals: tuple[str, ...] = ()

    @property
    def destructive(self) -> bool:
        """Whether any step loses what is stored."""
        return any(step.destructive for step in self.steps)


def described(plan: Plan) -> list[dict[str, Any]]:
    """Return the steps as plain dicts, for `mode=plan`."""
    return [
        {key: value for key, value in asdict(step).items() if key not in INNER}
        for step in plan.steps
    ]
