"""What Redis is asked to do: Lua scripts, each done wholly or not at all."""

import asyncio
from hashlib import sha1
from typing import Any

SECONDS = 0.3  # the longest one request waits for Redis

# A count beyond `times` is answered but not stored. A key that lost its end gets one.
HIT = """
local hits = tonumber(redis.call('GET', KEYS[1]) or '0')
local left = redis.call('PTTL', KEYS[1])
local times = tonumber(ARGV[2])
if times > 0 and hits >= times then
  hits = hits + 1
else
  hits = redis.call('INCR', KEYS[1])
end
if left < 0 then
  redis.call('PEXPIRE', KEYS[1], ARGV[1])
  left = tonumber(ARGV[1])
end
return {hits, left}
"""
PEEK = "return {redis.call('GET', KEYS[1]) or '0', redis.call('PTTL', KEYS[1])}"
FORGET = "return redis.call('DEL', KEYS[1])"

# KEYS[1] holds the sequence, the floor below which every mark is stale, and for each
# tag the sequence at its last drop. It begins at the server's clock in microseconds:
# should it ever be lost, everything kept before is stale.
STATE = """
local function begin()
  local sequence = redis.call('HGET', KEYS[1], 'sequence')
  if not sequence then
    local now = redis.call('TIME')
    sequence = string.format('%.0f', tonumber(now[1]) * 1000000 + tonumber(now[2]))
    redis.call('HSET', KEYS[1], 'sequence', sequence, 'floor', sequence)
  end
  return sequence
end
local function clear()
  local sequence = string.format('%.0f', tonumber(begin()) + 1)
  redis.call('DEL', KEYS[1])
  redis.call('HSET', KEYS[1], 'sequence', sequence, 'floor', sequence)
  return sequence
end
local function fresh(mark, tags)
  begin()
  mark = tonumber(mark)
  if mark < tonumber(redis.call('HGET', KEYS[1], 'floor')) then return false end
  for tag in string.gmatch(tags, '[^%z]+') do
    local dropped = redis.call('HGET', KEYS[1], 'tag:' .. tag)
    if dropped and tonumber(dropped) > mark then return false end
  end
  return true
end
"""
BEGIN = STATE + "return begin()"
CLEAR = STATE + "return clear()"
DROP = (
    STATE
    + """
local sequence = string.format('%.0f', tonumber(begin()) + 1)
if redis.call('HLEN', KEYS[1]) > tonumber(ARGV[2]) then sequence = clear() end
redis.call('HSET', KEYS[1], 'sequence', sequence, 'tag:' .. ARGV[1], sequence)
return sequence
"""
)
SET = (
    STATE
    + """
if not fresh(ARGV[1], ARGV[2]) then return 0 end
redis.call('DEL', KEYS[2])
redis.call('HSET', KEYS[2], 'mark', ARGV[1], 'tags', ARGV[2], 'value', ARGV[4])
redis.call('PEXPIRE', KEYS[2], ARGV[3])
return 1
"""
)
GET = (
    STATE
    + """
local kept = redis.call('HMGET', KEYS[2], 'mark', 'tags', 'value')
if not kept[3] then return false end
if fresh(kept[1], kept[2]) then return kept[3] end
redis.call('UNLINK', KEYS[2])
return false
"""
)
LOCK = "return redis.call('SET', KEYS[1], ARGV[1], 'NX', 'PX', ARGV[2]) and 1 or 0"
UNLOCK = """
if redis.call('GET', KEYS[1]) ~= ARGV[1] then return 0 end
return redis.call('DEL', KEYS[1])
"""

HASHES = {
    script: sha1(script.encode(), usedforsecurity=False).hexdigest()
    for script in (HIT, PEEK, FORGET, BEGIN, CLEAR, DROP, SET, GET, LOCK, UNLOCK)
}


async def ask(client: Any, script: str, keys: tuple[str, ...], *values: Any) -> Any:
    """Run a script, sending its text only when the server does not know it yet."""
    from redis.exceptions import NoScriptError

    async with asyncio.timeout(SECONDS):
        try:
            return await client.evalsha(HASHES[script], len(keys), *keys, *values)
        except NoScriptError:
            return await client.eval(script, len(keys), *keys, *values)
