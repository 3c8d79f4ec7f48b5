"""Changes of rows as they happen: to browsers by server-sent events or a WebSocket.

Read in this order; each line needs only the lines above it:

    config      the keys, and the triggers of tables that are followed
    statement   the SQL of one batch, for many callers at once
    request     what a reader asks to follow, fitted to table and rule
    subscriber  what waits for one reader, bounded
    audience    the readers of one table, by what one statement can ask for
    feed        changes on their way from the bus to the readers
    topic       values of drop-ins between workers
    sse         a stream of events over HTTP
    socket      streams over a WebSocket
"""

from atom.realtime.socket import streams
from atom.realtime.sse import endless, stream

__all__ = ["endless", "stream", "streams"]
