"""The keys of streams."""

from atom.config.parse import names, whole
from atom.config.resolve import Key

STREAM = (
    Key(
        "config_stream_table_list",
        names,
        (),
        "Tables with rows that may be followed, by those who may read them.",
    ),
    Key(
        "config_stream_keep_sec",
        whole(1, 86_400),
        300,
        "Seconds that changes are kept for readers who come back.",
    ),
    Key("config_stream_max", whole(1, 1_000_000), 5_000, "Most streams of a process."),
    Key(
        "config_stream_caller_max",
        whole(1, 1_000_000),
        50,
        "Most streams of one user, or of one address, in a process.",
    ),
)
