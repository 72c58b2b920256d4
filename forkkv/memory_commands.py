"""The commands about memory and about single keys as objects: MEMORY and OBJECT."""

from forkkv._core import DATABASES
from forkkv.capacity import shared_memory_room
from forkkv.doctor import examine
from forkkv.keyspace_commands import whole_number
from forkkv.memory import EXPIRY_BYTES, Memory, read_memory
from forkkv.reply import NOT_AN_INTEGER, OK, SYNTAX_ERROR, Error, Reply, Verbatim
from forkkv.session import Client, Context


def memory_usage(context: Context, client: Client, args: list[bytes]) -> Reply:
    """MEMORY USAGE key [SAMPLES n]: exact whatever n is, for a string has no parts to sample."""
    key, *options = args
    if options:
        if len(options) != 2 or options[0].upper() != b"SAMPLES":
            return SYNTAX_ERROR
        samples = whole_number(options[1])
        if samples is None:
            return NOT_AN_INTEGER
        if samples < 0:
            return SYNTAX_ERROR
    return context.table_of(client).memory_usage(key)


def memory_doctor(context: Context, client: Client, args: list[bytes]) -> Reply:
    """MEMORY DOCTOR."""
    return Verbatim(examine(read_memory(context.table), shared_memory_room()))


def memory_purge(context: Context, client: Client, args: list[bytes]) -> Reply:
    """MEMORY PURGE: the keeper does it, so that no client waits."""
    context.table.purge()
    return OK


def memory_stats(context: Context, client: Client, args: list[bytes]) -> Reply:
    """MEMORY STATS: the figures under the names of Redis, then those that only a table has."""
    memory = read_memory(context.table)
    facts, used = memory.facts, memory.used_bytes
    live, dead, keys = facts["live_bytes"], facts["dead_bytes"], facts["keys"]
    ours: dict[str, Reply] = {
        name.replace("_per_", ".per-").replace("_", "."): figure or 0
        for name, figure in memory.figures().items()
    }
    return {
        "total.allocated": used,
        "startup.allocated": facts["fixed_bytes"],
        **_databases(context, memory),
        "overhead.total": memory.upkeep_bytes,
        "keys.count": keys,
        "keys.bytes-per-key": (live + facts["index_bytes"]) // keys if keys else 0,
        "dataset.bytes": live,
        "dataset.percentage": 100 * live / used,
        "fragmentation": (live + dead) / live if live else 1.0,
        "fragmentation.bytes": dead,
        **ours,
    }


def _databases(context: Context, memory: Memory) -> dict[str, Reply]:
    """Each database's share of the one index, by its keys, and what its expiries take."""
    found: dict[str, Reply] = {}
    for database in range(DATABASES):
        keys, expiring = context.table.count(database)
        if keys:
            share = memory.facts["index_bytes"] * keys // max(memory.facts["keys"], keys)
            found[f"db.{database}"] = {
                "overhead.hashtable.main": share,
                "overhead.hashtable.expires": EXPIRY_BYTES * expiring,
            }
    return found


def object_encoding(context: Context, client: Client, args: list[bytes]) -> Reply:
    """OBJECT ENCODING key: bytes as they are, whatever they mean."""
    return "raw" if _exists(context, client, args[0]) else None


def object_freq(context: Context, client: Client, args: list[bytes]) -> Reply:
    """OBJECT FREQ key: how often it was used lately, 0 to ACCESS_MAX, while the policy evicts."""
    count = context.table_of(client).frequency(args[0])
    if count is not None and context.table.policy == "noeviction":
        return Error(
            "ERR access frequency is not tracked under the maxmemory policy noeviction. "
            "CONFIG SET maxmemory-policy s3fifo starts it; then it takes some time to adjust."
        )
    return count


def object_idletime(context: Context, client: Client, args: list[bytes]) -> Reply:
    """OBJECT IDLETIME key: no read leaves a time behind."""
    if not _exists(context, client, args[0]):
        return None
    return Error("ERR idle time is not tracked. OBJECT FREQ tells how often a key is used.")


def object_refcount(context: Context, client: Client, args: list[bytes]) -> Reply:
    """OBJECT REFCOUNT key: no two keys share a value."""
    return 1 if _exists(context, client, args[0]) else None


def _exists(context: Context, client: Client, key: bytes) -> bool:
    return context.table_of(client).memory_usage(key) is not None
