"""Messages between users.

Everything is in one module:

    inbox  received messages, threads, and deletion
"""

from atom.message.inbox import (
    delete_message,
    delete_messages,
    read_inbox,
    read_received,
    read_thread,
)

__all__ = [
    "delete_message",
    "delete_messages",
    "read_inbox",
    "read_received",
    "read_thread",
]
