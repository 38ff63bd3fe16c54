"""The store of replicas on several hosts: Redis, or what speaks as it does.

Each operation is a script of Redis's own, so that it is done whole and reads the server's clock. All keys have one
hash tag, for a cluster to keep them together.
"""

import logging
from collections.abc import Mapping, Sequence
from typing import Any, cast

import anyio
from redis.asyncio import Redis
from redis.exceptions import RedisError

from .store import Grant, Record, StoreUnusable

logger = logging.getLogger(__name__)

_ANSWER_SECONDS = 5.0
_PREFIX = "{proofbox-1}"

_NOW = """
local time = redis.call('TIME')
local now = tonumber(time[1]) + tonumber(time[2]) / 1000000
"""

# A lease is a field `<expires> <owner>` in the hash of its group.
_PARSE = """
local function parse(text)
    local expires, owner = string.match(text, '^(%S+) (.*)$')
    return tonumber(expires), owner
end
"""

_ACQUIRE = f"""
{_NOW} {_PARSE}
local name, owner, seconds, most = ARGV[1], ARGV[2], tonumber(ARGV[3]), tonumber(ARGV[4])
local broken, held = '', redis.call('HGET', KEYS[1], name)
if held then
    local expires, holder = parse(held)
    if expires <= now then broken = holder elseif holder ~= owner then return false end
end
if most >= 0 then
    local all, count = redis.call('HGETALL', KEYS[1]), 0
    for i = 1, #all, 2 do
        if all[i] ~= name and parse(all[i + 1]) > now then count = count + 1 end
    end
    if count >= most then return false end
end
redis.call('HSET', KEYS[1], name, string.format('%.6f %s', now + seconds, owner))
return broken
"""

_RENEW = f"""
{_NOW} {_PARSE}
local held = redis.call('HGET', KEYS[1], ARGV[1])
if not held then return 0 end
local expires, holder = parse(held)
if holder ~= ARGV[2] or expires <= now then return 0 end
redis.call('HSET', KEYS[1], ARGV[1], string.format('%.6f %s', now + tonumber(ARGV[3]), holder))
return 1
"""

_RELEASE = f"""
{_PARSE}
local held = redis.call('HGET', KEYS[1], ARGV[1])
if held then
    local _, holder = parse(held)
    if holder == ARGV[2] then redis.call('HDEL', KEYS[1], ARGV[1]) end
end
"""

# Those that ran out a day ago are of no interest any more.
_HOLDERS = f"""
{_NOW} {_PARSE}
local all, found = redis.call('HGETALL', KEYS[1]), {{}}
for i = 1, #all, 2 do
    local expires, holder = parse(all[i + 1])
    if expires > now then
        table.insert(found, all[i])
        table.insert(found, holder)
    elseif expires < now - 86400 then
        redis.call('HDEL', KEYS[1], all[i])
    end
end
return found
"""

# A record is a hash of its own; the set of its kind has its key.
_PUT = f"""
{_NOW}
local head, seconds, wanted = ARGV[2], tonumber(ARGV[3]), tonumber(ARGV[4])
local version = tonumber(redis.call('HGET', KEYS[2], 'version') or '0')
if wanted >= 0 and wanted ~= version then return false end
redis.call('DEL', KEYS[2])
redis.call('HSET', KEYS[2], 'version', version + 1, 'head', head, 'updated', string.format('%.6f', now))
if ARGV[5] then redis.call('HSET', KEYS[2], 'body', ARGV[5]) end
redis.call('PEXPIRE', KEYS[2], math.max(1, math.floor(seconds * 1000)))
redis.call('SADD', KEYS[1], ARGV[1])
return version + 1
"""

_GET = f"""
{_NOW}
local found = redis.call('HMGET', KEYS[1], 'version', 'head', 'updated', 'body')
if not found[1] then return false end
return {{found[1], found[2], string.format('%.6f', now - tonumber(found[3])), found[4]}}
"""

_LIST = f"""
{_NOW}
local found = {{}}
for _, key in ipairs(redis.call('SMEMBERS', KEYS[1])) do
    local record = KEYS[1] .. ':' .. key
    local parts = redis.call('HMGET', record, 'version', 'head', 'updated')
    if parts[1] then
        local age = string.format('%.6f', now - tonumber(parts[3]))
        local size = redis.call('HSTRLEN', record, 'body')
        table.insert(found, {{key, parts[1], parts[2], age, size}})
    else
        redis.call('SREM', KEYS[1], key)
    end
end
return found
"""

_DELETE = """
local version = redis.call('HGET', KEYS[2], 'version')
if not version then return 0 end
if tonumber(ARGV[2]) >= 0 and tonumber(ARGV[2]) ~= tonumber(version) then return 0 end
redis.call('SREM', KEYS[1], ARGV[1])
return redis.call('DEL', KEYS[2])
"""

_ADD = """
for i = 2, #ARGV, 2 do
    redis.call('HINCRBYFLOAT', KEYS[1], ARGV[i], ARGV[i + 1])
    redis.call('PEXPIRE', KEYS[1], math.max(1, math.floor(tonumber(ARGV[1]) * 1000)))
end
return redis.call('HGETALL', KEYS[1])
"""


class RedisStore:
    """Implements `SharedStore`. `url` may hold a password, so it is never shown; `place` is what may be."""

    def __init__(self, url: str, place: str) -> None:
        self._place = place
        # The types of the driver are incomplete.
        self._redis = cast(Any, Redis).from_url(
            url,
            decode_responses=True,
            socket_timeout=_ANSWER_SECONDS,
            socket_connect_timeout=_ANSWER_SECONDS,
        )

    async def acquire(
        self, group: str, name: str, owner: str, seconds: float, *, most: int | None = None
    ) -> Grant | None:
        given = (name, owner, seconds, -1 if most is None else most)
        broken = await self._run(_ACQUIRE, [_leases(group)], *given)
        return None if broken is None else Grant(str(broken))

    async def renew(self, group: str, name: str, owner: str, seconds: float) -> bool:
        return bool(await self._run(_RENEW, [_leases(group)], name, owner, seconds))

    async def release(self, group: str, name: str, owner: str) -> None:
        await self._run(_RELEASE, [_leases(group)], name, owner)

    async def holders(self, group: str) -> Mapping[str, str]:
        return _pairs(await self._run(_HOLDERS, [_leases(group)]))

    async def put(
        self,
        kind: str,
        key: str,
        head: str,
        body: str | None = None,
        *,
        seconds: float,
        version: int | None = None,
    ) -> int | None:
        given = [key, head, seconds, -1 if version is None else version]
        given += [] if body is None else [body]
        made = await self._run(_PUT, _record_keys(kind, key), *given)
        return None if made is None else int(made)

    async def get(self, kind: str, key: str) -> Record | None:
        found = await self._run(_GET, _record_keys(kind, key)[1:])
        if found is None:
            return None
        version, head, age, body = found
        size = len((body or "").encode())
        return Record(key, int(version), str(head), max(0.0, float(age)), size, body)

    async def records(self, kind: str) -> Sequence[Record]:
        found = await self._run(_LIST, _record_keys(kind, "")[:1])
        records = [
            Record(str(key), int(version), str(head), max(0.0, float(age)), int(size))
            for key, version, head, age, size in found
        ]
        return sorted(records, key=lambda record: (-record.age, record.key))

    async def delete(self, kind: str, key: str, *, version: int | None = None) -> bool:
        given = (key, -1 if version is None else version)
        return bool(await self._run(_DELETE, _record_keys(kind, key), *given))

    async def add(
        self, group: str, amounts: Mapping[str, float], *, seconds: float
    ) -> Mapping[str, float]:
        given = [part for pair in amounts.items() for part in pair]
        found = await self._run(_ADD, [f"{_PREFIX}:sums:{group}"], seconds, *given)
        return {name: float(amount) for name, amount in _pairs(found).items()}

    async def close(self) -> None:
        """Close the connections."""
        await self._redis.aclose()

    async def _run(self, script: str, keys: list[str], *given: object) -> Any:
        try:
            with anyio.fail_after(2 * _ANSWER_SECONDS):
                return await self._redis.eval(script, len(keys), *keys, *given)
        except (RedisError, OSError) as error:
            # What the driver says may quote the address, with all that is in it.
            logger.warning("The store at %s cannot be used: %s", self._place, type(error).__name__)
            raise StoreUnusable from error


def _leases(group: str) -> str:
    return f"{_PREFIX}:leases:{group}"


def _record_keys(kind: str, key: str) -> list[str]:
    """That of the kind, and that of the record."""
    records = f"{_PREFIX}:records:{kind}"
    return [records, f"{records}:{key}"]


def _pairs(flat: Sequence[Any]) -> Mapping[str, str]:
    return dict(zip(map(str, flat[::2]), map(str, flat[1::2]), strict=True))
