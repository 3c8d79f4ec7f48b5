"""Messages on a real PostgreSQL: who sees which, what is marked as read, what goes."""

import orjson
import pytest

from atom.errors import ApiError
from atom.message import inbox
from tests.account_setup import cluster, database_url, ports, template

__all__ = ["cluster", "database_url", "ports", "template"]

ME = 10


@pytest.fixture
def send(ports):
    """Store a message as the row routes do. Return its id."""

    async def sent(sender, receiver, is_read=None):
        return await ports.database.value(
            "insert into message (created_by_id, user_id, description, is_read)"
            " values ($1, $2, 'hello', $3) returning id",
            sender,
            receiver,
            is_read,
        )

    return sent


@pytest.fixture
def shown(ports):
    """Return the ids a read shows."""

    async def ids(read, *others, is_unread=None, **page):
        body = await read(ports, ME, *others, page, is_unread=is_unread)
        return [row["id"] for row in orjson.loads(body)]

    return ids


async def unread(ports):
    """Return the ids of all messages that are not marked as read."""
    rows = await ports.database.rows(
        "select id from message where is_read is distinct from 1 order by id"
    )
    return [row["id"] for row in rows]


class TestReceived:
    async def test_is_what_others_wrote_to_me(self, shown, send):
        """The latest first; not what I wrote, not what others wrote to each other."""
        first, second = await send(1, ME), await send(2, ME)
        await send(ME, 1)
        await send(1, 2)

        assert await shown(inbox.read_received) == [second, first]

    async def test_marks_what_it_shows(self, ports, shown, send):
        """Shown messages are read afterwards; those of other pages and people not."""
        hidden, seen = await send(1, ME), await send(1, ME)
        mine = await send(ME, 1)

        assert await shown(inbox.read_received, limit=1) == [seen]
        assert await unread(ports) == [hidden, mine]

    async def test_shows_rows_as_they_were(self, ports, send):
        """The answer still tells which messages are new."""
        await send(1, ME, 0)
        body = await inbox.read_received(ports, ME, {})

        assert [row["is_read"] for row in orjson.loads(body)] == [0]

    async def test_unread_is_null_and_zero(self, shown, send):
        """is_unread=1 shows both, is_unread=0 shows the rest."""
        null, zero = await send(1, ME), await send(1, ME, 0)
        one = await send(1, ME, 1)

        assert await shown(inbox.read_received, is_unread=0) == [one]
        assert await shown(inbox.read_received, is_unread=1) == [zero, null]

    async def test_pages_follow_the_order(self, shown, send):
        """order, limit and page cut the list as asked."""
        ids = [await send(1, ME) for _ in range(5)]

        assert (
            await shown(inbox.read_received, order="id asc", limit=2, page=2)
            == ids[2:4]
        )

    async def test_caches_hear_of_marks_alone(self, ports, shown, send):
        """Answers made from messages are dropped when something was marked."""
        heard = []
        ports.database.written = heard.append
        await send(1, ME)

        for _ in range(2):
            await shown(inbox.read_received)
        assert heard == ["message"]

    @pytest.mark.parametrize(
        "page",
        [
            {"limit": 0},
            {"limit": "abc"},
            {"limit": 1001},
            {"page": 0},
            {"order": "nope"},
            {"order": "id; drop table message"},
            {"order": "(select 1)"},
        ],
        ids=str,
    )
    async def test_refuses_what_it_cannot_read(self, ports, page):
        """Parameters out of range and orders by anything but columns are 400."""
        with pytest.raises(ApiError) as caught:
            await inbox.read_received(ports, ME, page)

        assert caught.value.status == 400


class TestInbox:
    async def test_has_one_last_message_for_each_other_person(self, shown, send):
        """Whoever wrote last; talks with my neighbours by number stay apart."""
        await send(ME, ME - 1)
        below = await send(ME - 1, ME)
        await send(ME + 1, ME)
        above = await send(ME, ME + 1)

        assert await shown(inbox.read_inbox) == [above, below]

    async def test_keeps_talks_apart_when_they_interleave(self, shown, send):
        """Messages that come in turns from several people mix nothing up."""
        last = {}
        for _ in range(3):
            for other in (1, 2, 3):
                last[other] = await send(other, ME)
                last[other] = await send(ME, other)
        await send(1, 2)

        assert await shown(inbox.read_inbox) == sorted(last.values(), reverse=True)

    async def test_marks_nothing(self, ports, shown, send):
        """Looking at the list is not reading."""
        sent = await send(1, ME)
        await shown(inbox.read_inbox)

        assert await unread(ports) == [sent]

    async def test_unread_is_asked_of_the_last_message(self, shown, send):
        """is_unread=1: null and 0. is_unread=0: read. Never an older one instead."""
        await send(1, ME)
        read = await send(1, ME, 1)
        null, zero = await send(2, ME), await send(3, ME, 0)

        assert await shown(inbox.read_inbox, is_unread=1) == [zero, null]
        assert await shown(inbox.read_inbox, is_unread=0) == [read]

    async def test_pages_count_talks(self, shown, send):
        """limit and page cut the list of talks."""
        ids = [await send(other, ME) for other in (1, 2, 3)]

        assert await shown(inbox.read_inbox, order="id", limit=2, page=2) == ids[2:]

    async def test_knows_notes_to_oneself(self, shown, send):
        """A message to oneself is a talk of its own."""
        note = await send(ME, ME)

        assert await shown(inbox.read_inbox) == [note]


class TestThread:
    async def test_has_both_directions_and_nobody_else(self, shown, send):
        """What we wrote to each other; not notes to ourselves, not other talks."""
        mine, theirs = await send(ME, 1), await send(1, ME)
        for pair in ((1, 1), (ME, ME), (1, 2), (2, ME), (ME, 2)):
            await send(*pair)

        assert await shown(inbox.read_thread, 1) == [theirs, mine]

    async def test_marks_theirs_and_not_mine(self, ports, shown, send):
        """Whether they have read mine is for them to say."""
        mine, _ = await send(ME, 1), await send(1, ME)
        elsewhere = await send(2, ME)
        await shown(inbox.read_thread, 1)

        assert await unread(ports) == [mine, elsewhere]

    async def test_takes_order_page_and_unread(self, shown, send):
        """The list parameters work here as well."""
        first = await send(1, ME)
        await send(1, ME, 1)
        third = await send(ME, 1)

        assert await shown(inbox.read_thread, 1, order="id", limit=1) == [first]
        assert await shown(inbox.read_thread, 1, is_unread=1, order="id") == [third]


class TestDelete:
    @pytest.mark.parametrize(
        ("mode", "number"), [("all", 3), ("created", 2), ("received", 1)]
    )
    async def test_takes_mine_alone(self, ports, send, mode, number):
        """Each mode deletes what it says, and never a message of others."""
        for pair in ((ME, 1), (ME, 2), (1, ME), (1, 2)):
            await send(*pair)

        assert await inbox.delete_messages(ports, ME, mode) == number
        assert await ports.database.value("select count(*) from message") == 4 - number

    async def test_other_mode_names_the_modes(self, ports):
        """A mode that does not exist is answered with those that do."""
        with pytest.raises(ApiError) as caught:
            await inbox.delete_messages(ports, ME, "zzz")

        assert caught.value.message == "mode must be one of all, created, received"

    async def test_one_is_mine_from_either_side(self, ports, send):
        """I may delete what I wrote and what I received."""
        for pair in ((ME, 1), (1, ME)):
            assert await inbox.delete_message(ports, ME, await send(*pair)) == 1

    async def test_one_of_others_stays(self, ports, send):
        """A message between others, or none at all, counts 0."""
        other = await send(1, 2)

        assert await inbox.delete_message(ports, ME, other) == 0
        assert await inbox.delete_message(ports, ME, 999) == 0
        assert await ports.database.value("select count(*) from message") == 1


async def test_secret_columns_are_not_shown(ports, send):
    """A column that config calls secret never leaves, here neither."""
    ports.config = {**ports.config, "config_column_secret_list": ("description",)}
    await send(1, ME)
    rows = orjson.loads(await inbox.read_received(ports, ME, {}))

    assert "description" not in rows[0] and "user_id" in rows[0]
