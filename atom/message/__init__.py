"""Messages between users, and what users are notified of.

In reading order:

    inbox         received messages, threads, and deletion
    notification  notifications, which code writes
"""

from atom.message.inbox import (
    delete_message,
    delete_messages,
    read_inbox,
    read_received,
    read_thread,
)
from atom.message.notification import (
    delete_notifications,
    mark_notifications,
    notify,
    read_notifications,
)

__all__ = [
    "delete_message",
    "delete_messages",
    "delete_notifications",
    "mark_notifications",
    "notify",
    "read_inbox",
    "read_notifications",
    "read_received",
    "read_thread",
]
