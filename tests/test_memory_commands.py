"""MEMORY and OBJECT: what a key and a table take, over the network."""

import pytest
import redis
from conftest import RunningServer, StartServer

FIGURES = "limit.bytes used.bytes live.bytes dead.bytes free.bytes reserve.bytes index.bytes"


def test_memory_usage_grows_with_key_value_and_expiry(server: RunningServer) -> None:
    with server.connect() as client:
        client.set("k", b"x")
        small = client.memory_usage("k")
        client.set("k", b"x" * 801)
        assert client.memory_usage("k") == small + 800
        client.expire("k", 100)
        assert client.memory_usage("k", samples=0) == small + 808
        assert client.memory_usage("nothing") is None
        client.select(1)
        assert client.memory_usage("k") is None


def test_memory_stats_is_a_map_of_numbers(server: RunningServer) -> None:
    with server.connect() as client:
        client.mset({f"k{number}": b"x" * 1000 for number in range(2000)})
        client.expire("k0", 100)
        stats = client.memory_stats()
        info = client.info("memory")
    assert stats["keys.count"] == 2000
    assert stats["dataset.bytes"] >= 2000 * 1000
    assert stats["total.allocated"] == stats["used.bytes"] == info["used_memory"]
    assert stats["db.0"]["overhead.hashtable.expires"] == 8
    assert stats["db.0"]["overhead.hashtable.main"] == stats["index.bytes"]
    assert all(isinstance(stats[name], int) for name in FIGURES.split())
    assert float(stats["overhead.per-key"]) == pytest.approx(info["overhead_per_key"], abs=0.1)
    assert isinstance(server.ask("MEMORY", "STATS", protocol=3), dict)


def test_info_shows_what_the_limit_is_used_for(server: RunningServer) -> None:
    with server.connect() as client:
        client.mset({f"k{number}": b"x" * 1000 for number in range(2000)})
        client.mset({f"k{number}": b"y" * 500 for number in range(1000)})
        memory, stats = client.info("memory"), client.info("stats")
    used = memory["used_memory"]
    assert memory["used_memory_dead"] > 1000 * 1000
    assert used > memory["used_memory_dataset"] + memory["used_memory_overhead"]
    assert memory["free_memory"] > memory["free_memory_reserve"] > 0
    assert used <= memory["maxmemory"]
    for name in ("evicted_keys", "ghost_hits", "refused_writes", "reclaim_copied_per_freed"):
        assert stats[name] == 0


def test_the_doctor_finds_a_full_table_and_names_the_way_out(start_server: StartServer) -> None:
    server = start_server("--workers", "1", "--memory", "4mb")
    assert server.ask("MEMORY", "DOCTOR").startswith(b"All is well: ")
    with server.connect() as client:
        with pytest.raises(redis.exceptions.OutOfMemoryError):
            for number in range(10_000):
                client.set(f"k{number}", b"x" * 2000)
        assert b"The table is full: 9" in server.ask("MEMORY", "DOCTOR")
        assert b"refused so far: 1" in server.ask("MEMORY", "DOCTOR")
        client.flushall()
    assert b"The table is full" not in server.ask("MEMORY", "DOCTOR")


def test_frequency_is_told_once_the_policy_counts_it(server: RunningServer) -> None:
    with server.connect() as client:
        client.set("k", "v")
        assert client.object("freq", "nothing") is None
        with pytest.raises(redis.ResponseError, match="CONFIG SET maxmemory-policy s3fifo"):
            client.object("freq", "k")
        client.config_set("maxmemory-policy", "s3fifo")
        before = client.object("freq", "k")
        for _ in range(10):
            client.get("k")
        assert before < client.object("freq", "k") <= 3
        assert client.object("freq", "k") == client.object("freq", "k")


def test_an_object_is_raw_bytes_of_its_own(server: RunningServer) -> None:
    with server.connect() as client:
        client.set("k", "v")
        assert client.object("encoding", "k") == b"raw"
        assert client.object("refcount", "k") == 1
        with pytest.raises(redis.ResponseError, match="idle time is not tracked"):
            client.object("idletime", "k")
        for word in ("encoding", "refcount", "idletime"):
            assert client.object(word, "nothing") is None


WRONG = {
    "MEMORY": "wrong number of arguments for 'memory' command",
    "MEMORY USAGE": "wrong number of arguments for 'memory|usage' command",
    "MEMORY DOCTOR now": "wrong number of arguments for 'memory|doctor' command",
    "MEMORY FOO": "unknown subcommand 'FOO'. Try MEMORY HELP.",
    "MEMORY USAGE k SAMPLES": "syntax error",
    "MEMORY USAGE k SAMPLES -1": "syntax error",
    "MEMORY USAGE k SAMPLES x": "value is not an integer or out of range",
    "MEMORY USAGE k SIZES 1": "syntax error",
    "MEMORY USAGE k SAMPLES 1 2": "syntax error",
    "OBJECT": "wrong number of arguments for 'object' command",
    "OBJECT FREQ": "wrong number of arguments for 'object|freq' command",
    "OBJECT FREQ a b": "wrong number of arguments for 'object|freq' command",
    "OBJECT FOO k": "unknown subcommand 'FOO'. Try OBJECT HELP.",
}


def test_wrong_words_are_answered_with_what_is_wrong(server: RunningServer) -> None:
    for words, error in WRONG.items():
        assert str(server.ask(*words.split())) == f"ERR {error}"


def test_help_lists_the_subcommands(server: RunningServer) -> None:
    for name in ("MEMORY", "OBJECT"):
        lines = server.ask(name, "HELP")
        assert lines[0].startswith(name.encode())
        assert b"HELP" in lines
