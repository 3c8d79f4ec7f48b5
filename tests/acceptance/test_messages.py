"""Messages between people: who sees which, what is read, what goes."""

import pytest

from tests.acceptance.people import newcomer

CREATE = "/my/object-create?table=message"


def refused(answer, *statuses):
    """Check that a call was refused in the one shape."""
    assert answer.status_code in statuses, (answer.status_code, answer.text)
    assert 0 == answer.json()["status"]
    return answer.json()


def send(api, sender, receiver, text="hello"):
    """Write to somebody; return the id of the message."""
    body = {"user_id": receiver.id, "description": text}
    return api.message("POST", CREATE, sender, json=body)


def ids(api, who, path):
    """Return the ids that a list shows, in order."""
    return [row["id"] for row in api.message("GET", path, who)]


def is_read(api, message):
    """Return what is stored of a message."""
    (row,) = api.sql("select is_read from message where id = $1", message)
    return row["is_read"]


@pytest.fixture
def pair(api):
    """Two people who never wrote."""
    return newcomer(api), newcomer(api)


def test_received_message_is_shown_and_then_read(api, pair):
    """To its receiver only, who thereby reads it."""
    sender, receiver = pair
    made = send(api, sender, receiver)

    assert [] == ids(api, sender, "/my/message-received")
    assert [made] == ids(api, receiver, "/my/message-received?is_unread=1")
    assert 1 == is_read(api, made)
    assert [] == ids(api, receiver, "/my/message-received?is_unread=1")
    assert [made] == ids(api, receiver, "/my/message-received?is_unread=0")


def test_thread_holds_both_directions_and_marks_only_theirs(api, pair):
    """What I wrote becomes read when the other one looks, not when I do."""
    one, other = pair
    sent, answered = send(api, one, other), send(api, other, one)

    assert [answered, sent] == ids(api, one, f"/my/message-thread?user_id={other.id}")

    assert 1 == is_read(api, answered)
    assert 1 != is_read(api, sent)


def test_thread_shows_nothing_of_a_third_person(api, pair):
    """Neither in a talk that is not theirs, nor under the id of one of the two."""
    one, other = pair
    made = send(api, one, other, "between us")
    third = newcomer(api)

    for user_id in (one.id, other.id, third.id):
        path = f"/my/message-thread?user_id={user_id}"
        assert [] == ids(api, third, path)
    for path in ("/my/message-received", "/my/message-inbox"):
        assert [] == ids(api, third, path)
    assert 1 != is_read(api, made)


def test_inbox_has_one_line_for_each_other_person(api):
    """Neighbours by id are two people, in either order of talking."""
    before, me, after = newcomer(api), newcomer(api), newcomer(api)
    assert (me.id - 1, me.id + 1) == (before.id, after.id)
    send(api, before, me)
    send(api, me, after)
    last_before = send(api, me, before)
    last_after = send(api, after, me)

    assert [last_after, last_before] == ids(api, me, "/my/message-inbox")


def test_unread_is_what_is_not_marked_read(api, pair):
    """0 and nothing alike; the inbox marks nothing."""
    sender, me = pair
    made = send(api, sender, me)
    api.sql("update message set is_read = 0 where id = $1", made)

    assert [made] == ids(api, me, "/my/message-inbox?is_unread=1")
    assert [] == ids(api, me, "/my/message-inbox?is_unread=0")
    assert 0 == is_read(api, made)


@pytest.mark.parametrize(
    "column", ["is_read", "created_by_id", "IS_READ", " is_read", "id", "created_at"]
)
def test_sender_does_not_say_whose_it_is_or_that_it_was_read(api, pair, column):
    """Neither when writing nor afterwards."""
    sender, receiver = pair
    made = send(api, sender, receiver)
    body = {"user_id": receiver.id, "description": "x", column: 1}
    refused(api.call("POST", CREATE, sender, json=body), 400)
    if column == "id":
        return
    update = "/my/object-update?table=message"
    refused(api.call("PUT", update, sender, json={"id": made, column: 1}), 400)
    ids_update = {"table": "message", "ids": [made], "column": column, "value": 1}
    refused(api.call("PUT", "/my/ids-update", sender, json=ids_update), 400)
    assert is_read(api, made) is None


def test_receiver_does_not_change_what_was_written(api, pair):
    """A message received is not a row of one's own."""
    sender, receiver = pair
    made = send(api, sender, receiver, "as it was")
    body = {"id": made, "description": "changed"}
    update = "/my/object-update?table=message"
    refused(api.call("PUT", update, receiver, json=body), 404)
    by_ids = {"table": "message", "ids": [made]}
    assert 0 == api.message("DELETE", "/my/ids-delete", receiver, json=by_ids)
    (row,) = api.sql("select description from message where id = $1", made)
    assert "as it was" == row["description"]


def test_bulk_deletion_takes_only_mine(api, pair):
    """created, received or all; talks of others stay."""
    one, other = pair
    third = newcomer(api)
    send(api, one, other)
    send(api, other, one)
    kept = send(api, other, third)
    path = "/my/message-delete-bulk?mode="

    assert 1 == api.message("DELETE", f"{path}created", one)
    assert 1 == api.message("DELETE", f"{path}received", one)
    send(api, one, other)
    send(api, other, one)
    assert 2 == api.message("DELETE", f"{path}all", one)
    assert [kept] == ids(api, third, "/my/message-received")


@pytest.mark.parametrize("mode", ["zzz", "", "ALL", "all "])
def test_unknown_mode_names_the_choices(api, ada, mode):
    """And deletes nothing."""
    path = "/my/message-delete-bulk"
    message = refused(api.call("DELETE", path, ada, params={"mode": mode}), 400)
    for choice in ("all", "created", "received"):
        assert choice in message["message"]
    refused(api.call("DELETE", path, ada), 422)


def test_single_deletion_is_for_the_two(api, pair):
    """Sender or receiver; to a third person there is none such."""
    sender, receiver = pair
    made, again = send(api, sender, receiver), send(api, sender, receiver)
    path = "/my/message-delete-single?id="

    assert 0 == api.message("DELETE", f"{path}{made}", newcomer(api))
    assert 1 == api.message("DELETE", f"{path}{made}", receiver)
    assert 0 == api.message("DELETE", f"{path}{made}", receiver)
    assert 1 == api.message("DELETE", f"{path}{again}", sender)


ODD = [
    "/my/message-thread",
    "/my/message-thread?user_id=",
    "/my/message-thread?user_id=x",
    "/my/message-thread?user_id=0",
    "/my/message-thread?user_id=-1",
    "/my/message-thread?user_id=99999999999999999999",
    "/my/message-thread?user_id=1%20or%201=1",
    "/my/message-received?limit=0",
    "/my/message-received?limit=x",
    "/my/message-received?limit=1001",
    "/my/message-received?page=0",
    "/my/message-received?page=9999999999999",
    "/my/message-received?is_unread=2",
    "/my/message-received?is_unread=x",
    "/my/message-received?order=nope",
    "/my/message-received?order=id;drop table message",
    "/my/message-received?order=(select 1)",
    "/my/message-received?order=",
    "/my/message-received?created_by_id=1",
    "/my/message-inbox?limt=5",
    "/my/message-inbox?order=is_read desc,nope",
    "/my/message-inbox?user_id=1",
]


@pytest.mark.parametrize("path", ODD)
def test_odd_parameter_is_refused(api, ada, path):
    """Named, and never ignored."""
    refused(api.call("GET", path, ada), 400, 422)


@pytest.mark.parametrize("text", ["", "0", "x", "-1", "1,2", "1.5", "9" * 20])
def test_odd_id_of_a_single_deletion_is_refused(api, ada, text):
    """One message, by one whole number."""
    path = "/my/message-delete-single"
    refused(api.call("DELETE", path, ada, params={"id": text}), 400, 422)


def test_list_is_ordered_and_paged(api, pair):
    """The latest first, unless said otherwise."""
    sender, me = pair
    made = [send(api, sender, me, f"m{n}") for n in range(5)]

    path = "/my/message-received?limit=2"
    assert made[:2:-1] == ids(api, me, path)
    assert made[2:0:-1] == ids(api, me, f"{path}&page=2")
    assert made == ids(api, me, "/my/message-received?order=id")
