"""A Celery worker as one writes it: a task is an insert, settled once it is done.

celery -A bench.consume_celery worker -c 1
"""

import asyncio
import json
import os

import asyncpg
import celery

INSERT = "insert into bench_note (text) values ($1)"
app = celery.Celery("byhand", broker=os.environ.get("config_celery_broker_url"))
app.conf.update(
    task_default_queue=os.environ.get("config_channel"),
    task_acks_late=True,
    task_ignore_result=True,
)
opened = {}  # the loop of this process, and its connection


@app.task(name="atom.message")
def handle(body, key=None, headers=None):
    """Insert a row."""
    if not opened:
        opened["loop"] = asyncio.new_event_loop()
        opened["connection"] = opened["loop"].run_until_complete(
            asyncpg.connect(os.environ["BENCH_DATABASE"])
        )
    work = opened["connection"].execute(INSERT, json.loads(body)["text"])
    opened["loop"].run_until_complete(work)
