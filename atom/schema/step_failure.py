"""Why a step of a plan failed, in words without SQL and without a stored value."""

from atom.schema.plan import Step

# Source: PostgreSQL manual, appendix A, Error Codes.
REASONS = {
    "23502": "rows that exist have no value there",
    "23503": "rows that exist refer to rows that do not",
    "23505": "rows that exist are not unique there",
    "23514": "rows that exist break the rule",
    "42501": "the database role may not do it; let the owner of the tables do it",
    "42601": "it is not SQL that PostgreSQL can read",
    "42P10": "what it refers to is not unique there",
    "42830": "what it refers to is not unique there",
    "42883": "PostgreSQL has no such function or comparison",
    "42701": "a column it adds exists already",
    "42703": "it names a column that does not exist",
    "42704": "it names something that does not exist",
    "42710": "what it makes exists already",
    "42804": "the values that exist cannot become the new datatype",
    "42846": "the values that exist cannot become the new datatype",
    "42P01": "it names a table that does not exist",
    "42P07": "what it makes exists already",
    "2BP01": "other objects depend on what it changes",
    "54000": "a value that exists is too long for it",
    "55P03": "the table is in use; try again",
    "40P01": "the table is in use; try again",
}


def reason(step: Step, state: str) -> str:
    """Return what failed and why, given PostgreSQL's five-character error code."""
    why = REASONS.get(state, "")
    if state == "42804" and step.kind == "constraint":
        why = "what it compares is of different datatypes"
    if not why and state.startswith("22"):
        why = "a value that exists does not fit"
    why = why or f"PostgreSQL refuses it ({state}); the reason is in the log"
    return f"{step.kind.capitalize()} {step.name or step.table}: {why}."
