"""Layer 0: the tables and policies that Atom needs, under everything of a project.

Config files may add columns and indexes to these tables, and keys to these entries.
"""

from collections.abc import Mapping
from typing import Any

# What holds for the shipped routes. The api ids 1 to 8 are Atom's.
LOGIN: Mapping[str, Any] = {"ratelimiter_times_sec": (300, 60)}  # right ones count too
PERSON = {"is_api_key": 0}  # the user themself, and not a program by a key
LATER = {"is_background": 1}  # an answer that its caller can do without
API: Mapping[str, Mapping[str, Any]] = {
    "/admin/object-create": {"id": 1, **LATER},
    "/admin/object-update": {"id": 2, **LATER},
    "/admin/ids-update": {"id": 3, **LATER},
    "/admin/ids-delete": {"id": 4, **LATER},
    "/admin/object-read": {"id": 5, "cache_sec": ["inmemory", 100]},
    "/admin/db-runner": {"id": 6, "concurrency_max": 4},
    "/admin/user-rights-update": {"id": 8, **PERSON},
    **dict.fromkeys(
        (
            "/my/account-delete",
            "/my/api-key-create",
            "/my/api-key-delete",
            "/my/api-key-read",
            "/my/mfa-read",
            "/my/passkey-confirm",
            "/my/passkey-create",
            "/my/passkey-delete",
            "/my/passkey-read",
            "/my/recovery-code-create",
            "/my/session-delete",
            "/my/session-read",
            "/my/token-refresh",
            "/my/totp-confirm",
            "/my/totp-create",
            "/my/totp-delete",
        ),
        PERSON,
    ),
    "/auth/logout": {"is_token": 1, **PERSON},
    "/auth/signup": {"ratelimiter_times_sec": [120, 60]},
    "/auth/signup-bigint": {"ratelimiter_times_sec": [120, 60]},
    "/auth/signup-email": {"ratelimiter_times_sec": [120, 60]},
    "/auth/signup-mobile": {"ratelimiter_times_sec": [120, 60]},
    **dict.fromkeys(
        (
            "/auth/email-verify",
            "/auth/invitation-accept",
            "/auth/login-google",
            "/auth/login-mfa",
            "/auth/login-oidc",
            "/auth/login-otp-email",
            "/auth/login-otp-mobile",
            "/auth/login-password",
            "/auth/login-password-bigint",
            "/auth/login-password-email",
            "/auth/login-password-mobile",
            "/auth/login-passkey",
            "/auth/oidc-begin",
            "/auth/passkey-begin",
            "/auth/passkey-confirm",
            "/auth/passkey-create",
            "/auth/password-reset",
            "/auth/token-refresh",
            "/auth/totp-confirm",
            "/auth/totp-create",
        ),
        LOGIN,
    ),
    **dict.fromkeys(
        (
            "/my/object-create",
            "/my/object-create-many",
            "/my/object-update",
            "/my/object-delete-any",
            "/my/ids-update",
            "/my/ids-delete",
            "/public/object-create",
            "/root/postgres-export",
        ),
        LATER,
    ),
    "/private/file-upload": {"body_max_kb": 102_400, "concurrency_max": 16},
    "/private/file-upload-s3-direct": {
        "body_max_kb": 102_400,
        "concurrency_max": 16,
    },
    "/public/file": {"ratelimiter_times_sec": (1200, 60)},
    "/public/file-receive": {
        "body_max_kb": 102_400,
        "concurrency_max": 16,
        "ratelimiter_times_sec": (120, 60),
    },
    "/root/postgres-import": {"body_max_kb": 1_048_576, **LATER},
}

# Of users, an admin changes those who hold no more than the admin does: a new e-mail or
# name would be a way into their account. User 1 holds everything.
NO_MORE_ROLES = """
  and string_to_array(translate(coalesce(role::text, ''), '{}" ', ''), ',') <@ (
    select string_to_array(translate(coalesce(one.role::text, ''), '{}" ', ''), ',')
    from public.users as one where one.id = :me)
"""  # left out where users have no column `role`
NO_MORE = f"""(:me = 1 or id <> 1
  and (coalesce(api_access, '') = ''
    or string_to_array(replace(api_access, ' ', ''), ',') <@ (
      select string_to_array(replace(one.api_access, ' ', ''), ',')
      from public.users as one where one.id = :me)){NO_MORE_ROLES})"""  # noqa: S608 - constants alone
# Who reaches which rows. The two short keys open `test` to the public. Of users, one's
# own row is read; /my/object-update writes it, and others see three columns.
TABLE: Mapping[str, Mapping[str, Any]] = {
    "test": {"my": "owner"},
    "users": {
        "audit": 1,
        "my": {"read": "id = :me"},
        "admin": {
            "read": 1,
            "create": 1,
            "update": {"where": NO_MORE},
            "delete": {"where": f"id <> :me and {NO_MORE}"},
        },
    },
    "message": {"my": "owner"},
    "report_user": {"my": "owner"},
}

# One text a column: name-datatype-mandatory-index. Every table has an id as well.
SCHEMA: Mapping[str, Mapping[str, Any]] = {
    "table": {
        "test": [
            "created_at-timestamptz-0-brin",
            "updated_at-timestamptz-0-0",
            "created_by_id-bigint-0-btree",
            "updated_by_id-bigint-0-0",
            "is_active-smallint-0-0",
            "is_verified-smallint-0-0",
            "is_deleted-smallint-0-0",
            "is_protected-smallint-0-0",
            "type-smallint-0-btree",
            "title-text-0-btree,gin",
            "description-text-0-0",
            "file_url-text-0-0",
            "link_url-text-0-0",
            "tag-text[]-0-gin",
            "rating-numeric(10,3)-0-btree",
            "remark-text-0-0",
            "location-geography(POINT)-0-gist",
            "metadata-jsonb-0-gin",
        ],
        "users": [
            "created_at-timestamptz-0-brin",
            "updated_at-timestamptz-0-0",
            "created_by_id-bigint-0-0",
            "updated_by_id-bigint-0-0",
            "is_active-smallint-0-0",
            "is_verified-smallint-0-0",
            "is_deleted-smallint-0-0",
            "is_protected-smallint-0-0",
            "type-smallint-1-btree",
            "username-text-0-btree",
            "username_bigint-bigint-0-btree",
            "password-text-0-0",
            "password_bigint-text-0-0",
            "email-text-0-btree",
            "mobile-text-0-btree",
            "api_access-text-0-0",
            "google_id-text-0-btree",
            "google_data-jsonb-0-0",
            "last_active_at-timestamptz-0-0",
            "name-text-0-gin",
            "country-text-0-btree",
            "metadata-jsonb-0-0",
            "location-geography(POINT)-0-gist",
        ],
        "otp": [
            "created_at-timestamptz-1-brin",
            "otp-text-1-0",
            "purpose-text-0-0",
            "email-text-0-btree",
            "mobile-text-0-btree",
            "tries-smallint-0-0",
            "used_at-timestamptz-0-0",
        ],
        "log_password": [
            "created_at-timestamptz-1-0",
            "created_by_id-bigint-0-0",
            "user_id-bigint-0-btree",
        ],
        "message": [
            "created_at-timestamptz-1-brin",
            "updated_at-timestamptz-0-0",
            "created_by_id-bigint-1-btree",
            "updated_by_id-bigint-0-0",
            "is_deleted-smallint-0-0",
            "user_id-bigint-1-btree",
            "description-text-1-0",
            "is_read-smallint-0-btree",
        ],
        "report_user": [
            "created_at-timestamptz-1-0",
            "created_by_id-bigint-1-btree",
            "user_id-bigint-1-btree",
        ],
        "log_api": [
            "created_at-timestamptz-1-brin",
            "created_by_id-bigint-0-btree",
            "ip_address-text-0-0",
            "type-smallint-0-0",
            "api-text-0-0",
            "method-text-0-0",
            "query_param-text-0-0",
            "status_code-integer-0-0",
            "response_time_ms-numeric(12,3)-0-0",
            "description-text-0-0",
        ],
    },
    # Run once each, and again when the text changes. A text that starts with 0 is off.
    "query": {
        "unique_users_username": (
            "alter table users add constraint constraint_unique_users_type_username"
            " unique (type, username)"
        ),
        "unique_users_username_bigint": (
            "alter table users"
            " add constraint constraint_unique_users_type_username_bigint"
            " unique (type, username_bigint)"
        ),
        "unique_users_email": (
            "alter table users add constraint constraint_unique_users_type_email"
            " unique (type, email)"
        ),
        "unique_users_mobile": (
            "alter table users add constraint constraint_unique_users_type_mobile"
            " unique (type, mobile)"
        ),
        "unique_users_google_id": (
            "alter table users add constraint constraint_unique_users_type_google_id"
            " unique (type, google_id)"
        ),
        "unique_report_user": (
            "alter table report_user"
            " add constraint constraint_unique_report_user"
            " unique (created_by_id, user_id)"
        ),
    },
}
