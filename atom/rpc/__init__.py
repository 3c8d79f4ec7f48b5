"""`config_rpc`: a route that runs a statement of the operator, often a function.

In this order; each module needs only those above it:

    declaration  an entry of config_rpc, parsed
    statement    it as PostgreSQL understands it: checked, its columns, its text
    route        the routes, and what they document
"""

from atom.rpc.declaration import Declared, Rpc, declared
from atom.rpc.statement import Statements

__all__ = ["Declared", "Rpc", "Statements", "declared"]
