"""Who is who in the clinic, and the rows that every request starts from."""

from collections.abc import Mapping

CLINICS = (1, 2, 3)
STAFF = {  # by person: (clinic, role) of each of their places
    "desk_1": [(1, "reception")],
    "desk_2": [(2, "reception")],
    "desk_both": [(1, "reception"), (2, "reception")],
    "doctor_1": [(1, "doctor")],
    "doctor_2": [(2, "doctor")],
    "doctor_desk": [(1, "doctor"), (1, "reception")],
    "admin_1": [(1, "admin")],
    "admin_2": [(2, "admin")],
}
PATIENTS = {  # by person: the clinics that know them
    "patient_1": [1, 1],
    "patient_2": [2],
    "patient_both": [1, 2],
    "desk_2": [1],  # works in one and is ill in the other
    "doctor_retired": [1],  # in no role any more
}
DOCTORS = {
    "doctor_1": [1, 2],
    "doctor_2": [2],
    "doctor_desk": [1],
    "doctor_retired": [1],
}
ADMINS = ("admin_1", "admin_2", "admin_nowhere")
PEOPLE = (*dict.fromkeys([*STAFF, *PATIENTS, *DOCTORS, *ADMINS, "outsider"]),)
TABLES = (
    "clinic",
    "staff",
    "doctor",
    "patient",
    "slot",
    "booking",
    "invoice",
    "note",
)
TIMES = tuple(f"2027-01-{day:02d}T09:00:00+00:00" for day in range(1, 7))


def rows(ids: Mapping[str, int]) -> dict[str, list[dict[str, object]]]:
    """Return the rows of every table, for people with these ids."""
    made: dict[str, list[dict[str, object]]] = {name: [] for name in TABLES}

    def add(table: str, **row: object) -> int:
        made[table].append({"id": len(made[table]) + 1, **row})
        return len(made[table])

    for clinic in CLINICS:
        add("clinic", name=f"clinic {clinic}", city="xyz"[clinic - 1], phone="1")
    for person, places in STAFF.items():
        for clinic, role in places:
            add("staff", clinic_id=clinic, user_id=ids[person], role=role)
    doctors = [(who, clinic) for who, found in DOCTORS.items() for clinic in found]
    for number, (who, clinic) in enumerate([*doctors, (None, 1), (None, 3)]):
        add(
            "doctor",
            clinic_id=clinic,
            user_id=ids[who] if who else None,
            name=f"doctor {number}",
            city="xy"[number % 2],
            fee=number,
            is_listed=[1, 0, 1, None][number % 4],
        )
    patients = [(who, clinic) for who, found in PATIENTS.items() for clinic in found]
    for number, (who, clinic) in enumerate([*patients, (None, 1), (None, 2)]):
        add(
            "patient",
            clinic_id=clinic,
            user_id=ids[who] if who else None,
            name=f"patient {number}",
            phone=str(number % 3),
            created_by_id=ids[PEOPLE[number % len(PEOPLE)]],
        )
    for number in range(18):
        doctor = made["doctor"][number % len(made["doctor"])]
        add(
            "slot",
            clinic_id=doctor["clinic_id"] if number % 5 else CLINICS[number % 3],
            doctor_id=doctor["id"],
            starts_at=TIMES[number // len(made["doctor"])],
            state=["open", "closed", None][number % 3],
        )
    for number in range(24):
        slot = made["slot"][number % len(made["slot"])]
        patient = made["patient"][number * 5 % len(made["patient"])]
        add(
            "booking",
            clinic_id=slot["clinic_id"] if number % 3 else patient["clinic_id"],
            slot_id=slot["id"],
            patient_id=patient["id"],
            state=["open", "done", "lost", "open"][number % 4],
            reason="ab"[number % 2],
            is_deleted=[0, None, 1][number % 3] if number % 2 else None,
            created_by_id=ids[PEOPLE[number % len(PEOPLE)]],
        )
    for number in range(24):
        add(
            "invoice",
            clinic_id=CLINICS[number % 2] if number % 7 else 3,
            booking_id=number + 1,
            amount=number % 4,
            created_by_id=ids[PEOPLE[number % len(PEOPLE)]],
        )
    writers = [*DOCTORS, "desk_1"]
    for number in range(16):
        doctor = made["doctor"][number % len(doctors)]
        patient = made["patient"][number % len(made["patient"])]
        add(
            "note",
            clinic_id=doctor["clinic_id"] if number % 4 else patient["clinic_id"],
            patient_id=patient["id"],
            doctor_id=doctor["id"],
            body="ab"[number % 2],
            created_by_id=ids[writers[number % len(writers)]],
        )
    return made
