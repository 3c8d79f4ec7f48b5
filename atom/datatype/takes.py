"""What columns take, in the words a caller reads when a value does not fit."""

TAKES = {
    "integer": "a whole number",
    "number": "a number such as 4.5",
    "float": "a number such as 4.5",
    "text": "text",
    "boolean": "true or false",
    "moment": "an ISO 8601 time such as 2026-01-31T12:00:00Z",
    "date": "a date such as 2026-01-31",
    "time": "a time such as 12:00:00",
    "uuid": "a UUID",
    "json": "a JSON value",
    "bytes": r"bytes in hexadecimal such as \x00ff",
    "point": "POINT(longitude latitude) or a GeoJSON point",
    "geography": "POINT(longitude latitude) or a GeoJSON point",
    "other": "text that PostgreSQL reads as its datatype",
}
HINTS = {
    "text": "A text holds no NUL character.",
    "json": (
        "It holds no NUL character, no number of more than 400 digits, and is at most"
        " 254 levels deep."
    ),
}
# Of datatypes that travel as text: what is written about them.
WRITTEN = {
    "inet": "an address such as 192.0.2.1",
    "cidr": "a network such as 192.0.2.0/24",
    "macaddr": "an address such as 08:00:2b:01:02:03",
    "interval": "a span of time such as 2 days or P2D",
    **dict.fromkeys(("bit", "bit varying"), "zeros and ones such as 1010"),
    "money": "an amount such as 12.50",
    **dict.fromkeys(("int4range", "int8range", "numrange"), "a range such as [1,5)"),
    **dict.fromkeys(
        ("daterange", "tsrange", "tstzrange"), "a range such as [2026-01-31,2026-02-28)"
    ),
}
