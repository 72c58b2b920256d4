"""DBSIZE, KEYS, SCAN, FLUSHDB and FLUSHALL."""

import pytest
import redis
from conftest import RunningServer


def fill(client: redis.Redis, count: int) -> set[bytes]:
    keys = {b"key:%d" % number for number in range(count)}
    client.mset(dict.fromkeys(keys, b"v"))
    return keys


def test_scan_visits_every_key(server: RunningServer) -> None:
    with server.connect() as client:
        keys = fill(client, 3000)
        assert set(client.scan_iter(count=100)) == keys
        assert set(client.scan_iter(match="key:1*", count=7)) == {
            key for key in keys if key.startswith(b"key:1")
        }
        assert set(client.scan_iter(_type="STRING")) == keys
        assert list(client.scan_iter(_type="hash")) == []


def test_keys_are_those_that_match_once_each(server: RunningServer) -> None:
    with server.connect() as client:
        keys = fill(client, 3000)
        assert sorted(client.keys()) == sorted(keys)
        assert set(client.keys("key:1[0-2]")) == {b"key:10", b"key:11", b"key:12"}
        assert client.keys("nothing*") == []


def test_databases_are_apart(server: RunningServer) -> None:
    with server.connect() as client:
        fill(client, 10)
        client.select(3)
        fill(client, 4)
        assert client.dbsize() == 4
        assert len(client.keys()) == 4
        assert len(set(client.scan_iter())) == 4
        client.flushdb()
        assert client.dbsize() == 0
        client.select(0)
        assert client.dbsize() == 10
        client.flushall(asynchronous=True)
        assert client.dbsize() == 0


@pytest.mark.parametrize(
    ("words", "error"),
    [
        (("SCAN", "x"), "invalid cursor"),
        (("SCAN", "0", "COUNT", "x"), "value is not an integer or out of range"),
        (("SCAN", "0", "COUNT", "0"), "syntax error"),
        (("SCAN", "0", "MATCH"), "syntax error"),
        (("SCAN", "0", "FOO", "x"), "syntax error"),
        (("SCAN", "99999999999999999999999"), "invalid cursor"),
        (("FLUSHDB", "NOW"), "syntax error"),
        (("FLUSHALL", "SYNC", "SYNC"), "syntax error"),
    ],
)
def test_wrong_words_get_the_error_of_redis(
    server: RunningServer, words: tuple[str, ...], error: str
) -> None:
    assert str(server.ask(*words)) == "ERR " + error
