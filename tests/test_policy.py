"""What a full table does is a policy: chosen when it is made, and changed while it is used."""

import pytest
import redis
from conftest import RunningServer, StartServer

import forkkv
from forkkv import _core, objects


def fill(table: _core.Table, megabytes: int) -> int:
    """Stores that much in values of 1,000 bytes. Returns how many there are then."""
    for number in range(megabytes << 10):
        table.set(b"k%d" % number, bytes(1000))
    return len(table)


def test_a_full_table_refuses_or_evicts_as_it_was_made_to(table_name: str) -> None:
    with forkkv.attach(table_name, create=True, memory="4mb") as table:
        assert table.facts()["policy"] == "noeviction"
        with pytest.raises(forkkv.TableFull):
            fill(table, 8)
    objects.unlink(table_name)
    with forkkv.attach(table_name, create=True, memory="4mb", policy="s3fifo") as table:
        assert table.facts()["policy"] == "s3fifo"
        assert 2000 < fill(table, 8) < 4000
        assert table.get(b"k8191") == bytes(1000)


def test_the_policy_of_a_table_that_is_there_stays(table_name: str) -> None:
    forkkv.attach(table_name, create=True, memory="4mb").close()
    with forkkv.attach(table_name, create=True, policy="s3fifo") as table:
        assert table.facts()["policy"] == "noeviction"
        table.set_policy("s3fifo")
    with forkkv.attach(table_name) as table:
        assert table.facts()["policy"] == table.policy == "s3fifo"


def test_a_policy_that_does_not_exist_is_named(table_name: str) -> None:
    with pytest.raises(ValueError, match="'lru' is unknown; give one of noeviction, s3fifo"):
        forkkv.attach(table_name, create=True, policy="lru")
    with forkkv.attach(table_name, create=True, memory="4mb") as table:
        for bad in ("", "S3FIFO", None, 1):
            with pytest.raises(ValueError, match="POLICIES"):
                table.set_policy(bad)  # type: ignore[arg-type]
        assert table.facts()["policy"] == "noeviction"


def test_frequency_counts_what_is_read_and_overwritten(table_name: str) -> None:
    with forkkv.attach(table_name, create=True, memory="4mb", policy="s3fifo") as table:
        table.set(b"k", b"v")
        assert table.frequency(b"k") == 0
        table.get(b"k")
        assert table.frequency(b"k") == 1
        table.get_many([b"k", b"none"])
        assert table.frequency(b"k") == 2
        table.set(b"k", b"w")
        assert table.frequency(b"k") == _core.ACCESS_MAX == 3
        table.incr(b"n")
        assert table.frequency(b"n") == 0
        assert table.frequency(b"none") is None


def test_a_server_changes_it_for_all_its_processes(start_server: StartServer) -> None:
    server = start_server("--workers", "2", "--memory", "4mb")
    with server.connect() as client, server.connect() as other:
        with pytest.raises(redis.ResponseError, match="used memory"):
            for number in range(8000):
                client.set(f"k{number}", bytes(1000))
        assert client.config_set("maxmemory-policy", "s3fifo")
        assert other.config_get("maxmemory-policy") == {"maxmemory-policy": "s3fifo"}
        for number in range(8000):
            other.set(f"k{number}", bytes(1000))
        assert other.info("stats")["evicted_keys"] > 4000
        assert other.info("memory")["maxmemory_policy"] == "s3fifo"
        assert client.object("freq", "k7999") == 0


def test_a_server_is_started_with_it(start_server: StartServer) -> None:
    server = start_server("--workers", "1", "--memory", "4mb", "--policy", "s3fifo")
    with server.connect() as client:
        assert client.config_get("maxmemory-policy") == {"maxmemory-policy": "s3fifo"}


def test_config_set_refuses_what_is_no_policy(server: RunningServer) -> None:
    with server.connect() as client:
        with pytest.raises(redis.ResponseError, match="one of the following: noeviction, s3fifo"):
            client.config_set("maxmemory-policy", "allkeys-lru")
        with pytest.raises(redis.ResponseError, match="can't set immutable config"):
            client.config_set("maxmemory", "1gb")
        with pytest.raises(redis.ResponseError, match="Unknown option"):
            client.config_set("nonsense", "1")
