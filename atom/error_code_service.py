"""Error codes of services and of what goes through them, a part of the one table."""

from atom.errors import Code

SERVICE = (
    Code(
        "mongodb.unknown_database",
        400,
        "Not one of the databases that may be written to.",
        "`config_mongodb_database_list`.",
    ),
)
