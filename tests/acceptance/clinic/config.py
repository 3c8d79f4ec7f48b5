"""The clinic as its operator declares it: tables, scopes, roles, tenants, rules.

Two clinics share one database (`config_tenant`); a third has nobody. The doctors are a
public catalogue over all of them. Whoever may update or delete a row may also read it,
so that PostgreSQL's policies, which want that, mean the same.
"""

from copy import deepcopy
from typing import Any

SCHEMA = {
    "table": {
        "clinic": ["name-text-1-0", "city-text-0-0", "phone-text-0-0"],
        "staff": [
            "clinic_id-bigint-1-btree",
            "user_id-bigint-1-btree",
            "role-text-1-0",
        ],
        "doctor": [
            "clinic_id-bigint-1-btree",
            "user_id-bigint-0-btree",
            "name-text-1-0",
            "city-text-0-0",
            "fee-bigint-0-0",
            "is_listed-smallint-0-btree",
        ],
        "patient": [
            "clinic_id-bigint-1-btree",
            "user_id-bigint-0-btree",
            "name-text-1-0",
            "phone-text-0-0",
            "created_by_id-bigint-0-0",
            "updated_by_id-bigint-0-0",
        ],
        "slot": [
            "clinic_id-bigint-1-btree",
            "doctor_id-bigint-1-btree",
            "starts_at-timestamptz-1-0",
            "state-text-0-btree",
        ],
        "booking": [
            "clinic_id-bigint-1-btree",
            "slot_id-bigint-1-btree",
            "patient_id-bigint-1-btree",
            "state-text-0-btree",
            "reason-text-0-0",
            "is_deleted-smallint-0-0",
            "created_by_id-bigint-0-0",
        ],
        "invoice": [
            "clinic_id-bigint-1-btree",
            "booking_id-bigint-0-btree",
            "amount-bigint-0-0",
            "created_by_id-bigint-0-btree",
        ],
        "note": [
            "clinic_id-bigint-1-btree",
            "patient_id-bigint-1-btree",
            "doctor_id-bigint-1-btree",
            "body-text-0-0",
            "created_by_id-bigint-0-btree",
        ],
    },
    "query": {
        "slot_once": "alter table slot add constraint slot_once"
        " unique (doctor_id, starts_at)"
    },
}
SCOPE = {
    "my_clinic": "select clinic_id from staff where user_id = :me"
    " union select clinic_id from patient where user_id = :me",
    "my_desk": "select clinic_id from staff where user_id = :me and role = 'reception'",
    "my_patient": "select id from patient where user_id = :me",
    "my_doctor": "select id from doctor where user_id = :me",
    "my_slot": "select id from slot where doctor_id in my_doctor",
    "my_care": "select patient_id from booking where slot_id in my_slot",
}
ROLE = {
    "reception": "select 1 from staff where user_id = :me and role = 'reception'",
    "doctor": "select 1 from staff where user_id = :me and role = 'doctor'",
}
TENANT = {"column": "clinic_id", "of": "my_clinic", "exempt": ["clinic", "doctor"]}
TABLE: dict[str, Any] = {
    "clinic": {
        "public": {"read": {"column": ["id", "name", "city"]}},
        "my": {
            "read": "id in my_clinic",
            "update": {"where": "id in my_desk", "column": ["city", "phone"]},
        },
    },
    "staff": {"my": 0},
    "doctor": {
        "public": {
            "read": {"where": "is_listed = 1", "column": ["id", "name", "city"]}
        },
        "my": {
            "read": {
                "where": "is_listed = 1 or clinic_id in my_clinic",
                "column": ["id", "clinic_id", "name", "city", "is_listed"],
            },
            "update": {
                "where": "user_id = :me and clinic_id in my_clinic",
                "column": ["city", "fee"],
            },
        },
    },
    "patient": {
        "my": {
            "read": "user_id = :me or clinic_id in my_desk or id in my_care",
            "create": {
                "check": "clinic_id in my_desk",
                "column": ["clinic_id", "name", "phone"],
            },
            "update": {
                "where": "user_id = :me or clinic_id in my_desk",
                "check": "user_id = :me or clinic_id in my_desk and phone <> '0'",
                "column": ["clinic_id", "name", "phone"],
            },
        }
    },
    "slot": {
        "my": {
            "read": 1,  # of one's own clinics: the tenant
            "create": {
                "check": "clinic_id in my_desk",
                "preset": {"state": "'open'"},
                "most": 3,
            },
            "update": {
                "where": "clinic_id in my_desk or doctor_id in my_doctor",
                "check": "clinic_id in my_desk or state = 'closed'",
            },
            "delete": {
                "where": "doctor_id in my_doctor or state = 'open'",
                "role": ["reception"],
            },
        }
    },
    "booking": {
        "soft_delete": "is_deleted",
        "my": {
            "read": "patient_id in my_patient or clinic_id in my_desk"
            " or slot_id in my_slot",
            "create": {
                "check": "patient_id in my_patient or clinic_id in my_desk",
                "column": ["clinic_id", "slot_id", "patient_id", "reason"],
                "preset": {"state": "'open'"},
            },
            "update": {
                "where": "clinic_id in my_desk or slot_id in my_slot",
                "check": "state in ('open', 'done') and clinic_id in my_clinic",
                "column": ["state", "reason", "slot_id"],
            },
            "delete": "patient_id in my_patient and state = 'open'",
        },
    },
    "invoice": {"my": "owner"},
    "note": {
        "my": {
            "read": {"where": "doctor_id in my_doctor", "role": ["doctor"]},
            "create": {"check": "doctor_id in my_doctor", "role": ["doctor"]},
            "update": {
                "where": "doctor_id in my_doctor and created_by_id = :me",
                "column": ["body", "patient_id"],
                "role": ["doctor"],
            },
            "delete": {
                "where": "doctor_id in my_doctor and created_by_id = :me",
                "role": ["doctor"],
            },
        }
    },
}


def declared() -> dict[str, Any]:
    """Return the keys of config, to be changed by whoever wants a broken rule."""
    return deepcopy(
        {
            "config_postgres_schema": SCHEMA,
            "config_scope": SCOPE,
            "config_role": ROLE,
            "config_tenant": TENANT,
            "config_table": TABLE,
        }
    )


def text(keys: dict[str, Any]) -> str:
    """Write keys as a config file."""
    return "".join(f"{key} = {value!r}\n" for key, value in keys.items())
