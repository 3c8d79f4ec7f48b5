"""Twenty-four kinds of requests, each expensive in a way of its own."""

from urllib.parse import quote

FILL = """
insert into test (title, description, tag, metadata, created_by_id, type, rating)
select 'row ' || n, repeat(md5(n::text), 20), array['a', 'b' || n % 9],
       jsonb_build_object('n', n), {owner}, n % 7, n % 5
from generate_series(1, 20000) n;
insert into test (title, description, created_by_id)
values ('letters', repeat('a', 30000), {owner});
analyze test;
"""
READ = "/my/object-read?table=test&"
ORS = ";".join(f"description=ilike,%{n}x{n}%" for n in range(50))
MANY = [{"title": f"many {n}", "description": "x" * 500} for n in range(500)]


def reads():
    """Return twenty kinds of reads, each expensive in a way of its own."""
    ids = "|".join(str(n) for n in range(1, 1000))
    return [
        READ + query
        for query in (
            "description=~," + quote("(a*)*b|(.+)+z$"),
            "description=~*," + quote("^(.{1,90}){1,9}Q$"),
            "description=ilike,%25zz%25zz%25",
            f"or=({ORS})",
            "order=description&limit=1000",
            "order=title,description desc&limit=1000&page=15",
            "group_by=description&aggregate=count&limit=1000",
            "group_by=type,rating&aggregate=count,avg(id),max(description)",
            "is_count=1&description=like,%25f%25",
            "limit=1000&page=19",
            "limit=1000&cursor=",
            f"id=in,{ids}&limit=1000",
            "id=not in,1|2|3&order=title desc&limit=1000",
            "tag=overlap,a|b1&limit=1000&order=rating",
            "description=fts,a|b&limit=1000",
            "creator_key=username&limit=1000",
            "relation=created_by_id(*)&limit=1000",
            "description=is distinct from,x&order=description desc&is_count=1",
            "location_filter=0,0,0,20000000&limit=1000",
            "metadata=exists,n&order=remark&limit=1000",
        )
    ]


def writes(number):
    """Return writes of many rows: created, changed, changed by ids, deleted."""
    some = [{**row, "title": f"{number}"} for row in MANY]
    ids = ",".join(str(n) for n in range(1, 2000))
    return [
        ("POST", "/my/object-create?table=test", some),
        ("PUT", "/my/object-update?table=test", [{"id": n, "type": number % 9}
                                                for n in range(1, 900)]),
        ("PUT", "/my/ids-update", {"table": "test", "ids": ids, "column": "type",
                                   "value": number % 9}),
        ("DELETE", f"/my/object-delete-any?table=test&title==,{number}", None),
    ]  # fmt: skip
