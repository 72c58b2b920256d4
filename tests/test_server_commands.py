"""CONFIG, INFO, ROLE and TIME."""

import time

import pytest
import redis
from conftest import RunningServer, StartServer


def test_config_get_answers_what_tools_ask(server: RunningServer) -> None:
    with server.connect() as client:
        everything = client.config_get("*")
        assert everything["databases"] == "16"
        assert everything["maxmemory"] == str(32 << 20)
        assert everything["maxmemory-policy"] == "noeviction"
        assert everything["port"] == str(server.port)
        assert client.config_get("MAXC*", "save") == {"maxclients": "10000", "save": ""}
        assert client.config_get("nothing") == {}


@pytest.mark.parametrize(
    ("words", "error"),
    [
        (("CONFIG", "SET", "port", "1"), "can't set immutable config"),
        (("CONFIG", "SET", "foo", "1"), "Unknown option or number of arguments"),
        (("CONFIG", "SET", "port", "1", "save"), "wrong number of arguments"),
        (("CONFIG", "RESETSTAT"), "counters start again with their process"),
        (("CONFIG", "REWRITE"), "The server is running without a config file"),
    ],
)
def test_nothing_can_be_changed_at_run_time(
    server: RunningServer, words: tuple[str, ...], error: str
) -> None:
    assert error in str(server.ask(*words))


def test_time_and_role(server: RunningServer) -> None:
    before = int(time.time())
    with server.connect() as client:
        seconds, microseconds = client.time()
        assert before <= seconds <= time.time()
        assert 0 <= microseconds < 1_000_000
        assert client.role() == [b"master", 0, []]


def test_limits_show_what_the_server_was_started_with(start_server: StartServer) -> None:
    server = start_server("--workers", "1", "--maxclients", "77", "--bulk-length", "2mb")
    with server.connect() as client:
        assert client.config_get("maxclients") == {"maxclients": "77"}
        assert client.config_get("proto-max-bulk-len") == {"proto-max-bulk-len": str(2 << 20)}
        with pytest.raises(redis.RedisError):
            client.set("k", b"x" * (3 << 20))
