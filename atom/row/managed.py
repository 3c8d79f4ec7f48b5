"""Columns and tables that no rule opens: the server writes them, or other routes."""

# What the server itself keeps, in any table; only an admin writes some of it.
MANAGED = frozenset(
    {
        "id",
        "created_by_id",
        "updated_by_id",
        "created_at",
        "updated_at",
        "is_protected",
        "password",
        "password_bigint",
    }
)
MANAGED_PREFIX = "google_"
# is_read belongs to who received a message, and object-update to who sent it.
MANAGED_OF = {"message": frozenset({"is_read"}), "users": frozenset({"type"})}
# Not even an admin: who made a row and when stays true.
FIXED_CREATE = frozenset(
    {"id", "created_at", "updated_at", "created_by_id", "updated_by_id"}
)
FIXED_UPDATE = frozenset({"id", "created_at", "updated_at", "updated_by_id"})
# Rights and status of users, written by /admin/user-rights-update and nothing else.
RIGHTS = (
    "is_active",
    "is_verified",
    "is_deleted",
    "is_protected",
    "api_access",
    "role",
    "type",
    "status",
)
# Of users, refused to an admin: these rights, and what a user proves to be themself by.
RIGHTS_CREATE = frozenset(RIGHTS) - {"type"}
RIGHTS_UPDATE = frozenset({*RIGHTS, "password", "password_bigint"})
# An admin reads them and writes none: traces of what was done, keys to accounts.
TRACES = frozenset({"otp", "log_password", "log_api"})
# Written by routes of their own. A user's row of otp would be a key to any account.
CLOSED = frozenset({"users", "otp", "log_password", "log_api"})
