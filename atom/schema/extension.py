"""Extensions: what a declaration needs of them, and what this server lets it have."""

from atom.postgres.identifier import quote
from atom.schema.draft import Draft
from atom.schema.plan import Step


def usable(draft: Draft, name: str) -> bool:
    """Whether an extension is installed or this role may install it."""
    state = draft.live.extensions.get(name)
    return state is not None and (state.schema is not None or state.creatable)


def use(draft: Draft, name: str) -> bool:
    """Have an extension installed. Return whether it can be."""
    if not usable(draft, name):
        return False
    if draft.live.extensions[name].schema is None and name not in draft.extensions:
        draft.extensions.append(name)
    return True


def within(draft: Draft, extension: str, name: str) -> str:
    """Qualify a name of an extension by the schema it is installed in."""
    return f"{quote(draft.live.extensions[extension].schema or 'public')}.{name}"


def cure(draft: Draft, name: str) -> str:
    """Return how to make a missing extension available."""
    if name not in draft.live.extensions:
        return f"Install {name} on the database server."
    return f"Let a superuser run: create extension {name}"


def steps(draft: Draft) -> None:
    """Install what columns and indexes need, before everything else."""
    draft.steps[:0] = [
        Step(f"create extension if not exists {quote(name)}", "extension")
        for name in draft.extensions
    ]
