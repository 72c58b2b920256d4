"""The clients people have: redis-py in both protocols, redis-cli, redis-benchmark."""

import subprocess
import time
from typing import Any

import pytest
from conftest import RunningServer
from programs import needs

BENCHMARK = ["redis-benchmark", "-t", "ping,set,get,incr,mset", "-c", "50", "-P", "16"]
BOTH = pytest.mark.parametrize("protocol", [2, 3])


@BOTH
def test_redis_py_round_trip_of_the_string_commands(server: RunningServer, protocol: int) -> None:
    with server.connect(protocol) as r:
        r.flushall()
        assert r.set("a", "1") is True and r.get("a") == b"1"
        assert r.set("a", "2", get=True) == b"1" and r.getset("a", "3") == b"2"
        assert r.set("a", "4", nx=True) is None and r.set("b", "4", xx=True) is None
        assert r.setnx("a", "5") is False and r.setnx("n", "5") is True
        assert r.getdel("n") == b"5" and r.get("n") is None
        assert r.append("a", "bc") == 3 and r.strlen("a") == 3
        assert [r.incr("i"), r.incrby("i", 4), r.decr("i"), r.decrby("i", 3)] == [1, 5, 4, 1]
        assert r.mset({"x": "1", "y": "2"}) is True and r.mget("x", "none", "y") == [
            b"1",
            None,
            b"2",
        ]
        assert r.type("x") == b"string" and r.type("none") == b"none"
        assert r.exists("x", "y", "none") == 2 and r.delete("x", "none") == 1 and r.unlink("y") == 1


@BOTH
def test_redis_py_round_trip_of_the_expiry_commands(server: RunningServer, protocol: int) -> None:
    now = int(time.time())
    with server.connect(protocol) as r:
        r.set("k", "v")
        assert r.ttl("k") == -1 and r.pttl("none") == -2 and r.expiretime("k") == -1
        assert r.expire("k", 100) is True and 98 <= r.ttl("k") <= 100
        assert r.pexpire("k", 50_000) is True and 48_000 <= r.pttl("k") <= 50_000
        assert r.expireat("k", now + 200) is True and r.expiretime("k") == now + 200
        assert r.pexpireat("k", (now + 300) * 1000) is True
        assert r.pexpiretime("k") == (now + 300) * 1000
        assert r.expire("k", 10, gt=True) is False and r.expire("k", 10, lt=True) is True
        assert r.persist("k") is True and r.persist("k") is False
        assert r.execute_command("SETEX", "e", 100, "v") and r.execute_command(
            "PSETEX", "p", 9, "v"
        )
        assert r.set("s", "v", ex=100) is True and r.set("s", "w", keepttl=True) is True
        assert 98 <= r.ttl("s") <= 100 and r.getex("s", persist=True) == b"w" and r.ttl("s") == -1
        assert r.set("s", "v", exat=now + 100) is True and r.set("s", "v", pxat=1) is True
        assert r.get("s") is None


@BOTH
def test_redis_py_round_trip_of_the_other_commands(server: RunningServer, protocol: int) -> None:
    with server.connect(protocol) as r:
        r.flushall()
        assert r.ping() is True and r.echo("hi") == b"hi"
        assert r.client_setname("me") is True and r.client_getname() in ("me", b"me")
        assert r.client_id() > 0 and any(c["name"] == "me" for c in r.client_list())
        assert r.command_count() == len(r.command()) and "maxmemory" in r.config_get("maxmemory")
        info: dict[str, Any] = r.info("everything") | r.info()
        assert info["connected_clients"] >= 1 and info["maxmemory"] == 32 << 20
        r.mset({f"key:{i}": "v" for i in range(50)})
        assert r.dbsize() == 50 and len(r.keys("key:1*")) == 11
        assert len(set(r.scan_iter(match="key:*", count=7))) == 50
        assert "db0" in r.info("keyspace") and "cmdstat_mset" in r.info("commandstats")
        assert r.flushdb() is True and r.dbsize() == 0


def test_redis_py_pipelines_without_transactions(server: RunningServer) -> None:
    with server.connect() as r, r.pipeline(transaction=False) as pipeline:
        for i in range(1000):
            pipeline.set(f"k{i}", i).get(f"k{i}")
        assert pipeline.execute()[1::2] == [str(i).encode() for i in range(1000)]


def test_redis_cli_as_a_person_uses_it(server: RunningServer) -> None:
    needs("redis-cli")
    lines = (
        "SET greeting 'hello world'\nGET greeting\nTTL greeting\nSELECT 3\nDBSIZE\nNOSUCH\nQUIT\n"
    )
    done = subprocess.run(
        ["redis-cli", "-p", str(server.port)], input=lines, capture_output=True, text=True
    )
    assert done.stdout.split("\n")[:5] == ["OK", "hello world", "-1", "OK", "0"]
    assert "unknown command 'NOSUCH'" in done.stdout


def test_redis_benchmark_ends_without_an_error(server: RunningServer) -> None:
    needs("redis-benchmark")
    done = subprocess.run(
        [*BENCHMARK, "-p", str(server.port), "-n", "20000", "-r", "10000", "-q"],
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0 and "rror" not in done.stdout + done.stderr
    assert done.stdout.count("requests per second") == 6
