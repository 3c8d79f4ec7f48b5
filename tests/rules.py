"""What `config_table` holds in tests: tables of one's own, on top of layer 0."""

from atom.own import declaration


def owned(*names: str) -> dict[str, dict[str, object]]:
    """Return `config_table` with these tables open to the users who own the rows."""
    return {**declaration.TABLE, **{name: {"my": "owner"} for name in names}}


def config_file(*names: str) -> str:
    """Return a config file that opens these tables, which tests make by hand."""
    return f"config_table = {{name: {{'my': 'owner'}} for name in {names!r}}}\n"
