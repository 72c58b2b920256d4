"""HELLO, AUTH, RESET and CLIENT."""

import socket

import pytest
import redis
from conftest import RunningServer, StartServer

from forkkv import __version__
from forkkv.config import WORKERS_MAX


@pytest.mark.parametrize("protocol", [2, 3])
def test_hello_greets_in_the_protocol_asked_for(server: RunningServer, protocol: int) -> None:
    reply = server.ask("HELLO", str(protocol), "SETNAME", "me", protocol=5 - protocol)
    facts = reply if protocol == 3 else dict(zip(reply[::2], reply[1::2], strict=True))
    assert facts[b"proto"] == protocol
    assert facts[b"server"] == b"forkkv"
    assert facts[b"version"] == __version__.encode()
    assert facts[b"mode"] == b"standalone"
    assert facts[b"role"] == b"master"
    assert facts[b"modules"] == []


@pytest.mark.parametrize(
    ("words", "error"),
    [
        (("HELLO", "4"), "NOPROTO unsupported protocol version"),
        (("HELLO", "x"), "Protocol version is not an integer or out of range"),
        (("HELLO", "2", "FOO"), "Syntax error in HELLO option 'FOO'"),
        (("HELLO", "3", "SETNAME", "a b"), "Client names cannot contain spaces"),
        (("HELLO", "3", "AUTH", "bob", "x"), "WRONGPASS"),
        (("AUTH", "x"), "AUTH <password> called without any password configured"),
        (("AUTH", "bob", "x"), "WRONGPASS"),
        (("CLIENT", "SETNAME", "a b"), "Client names cannot contain spaces"),
        (("CLIENT", "SETINFO", "foo", "x"), "Unrecognized option 'foo'"),
        (("CLIENT", "SETINFO", "LIB-NAME", "a b"), "lib-name cannot contain spaces"),
        (("CLIENT", "LIST", "TYPE", "x"), "Unknown client type 'x'"),
        (("CLIENT", "LIST", "ID", "x"), "Invalid client ID"),
        (("CLIENT", "LIST", "FOO"), "syntax error"),
        (("CLIENT", "NO-EVICT", "maybe"), "syntax error"),
    ],
)
def test_wrong_words_get_the_error_of_redis(
    server: RunningServer, words: tuple[str, ...], error: str
) -> None:
    assert error in str(server.ask(*words))


def test_a_hello_that_fails_changes_nothing(server: RunningServer) -> None:
    with server.open_socket() as connection:
        connection.sendall(b"HELLO 3 SETNAME a FOO\r\nCLIENT GETNAME\r\n")
        assert read_lines(connection, 2)[1] == b"$-1"


def test_a_password_for_the_default_user_is_accepted_as_it_has_none(server: RunningServer) -> None:
    with server.connect() as client:
        assert client.execute_command("AUTH", "default", "anything")


def test_names_are_kept_and_removed(server: RunningServer) -> None:
    with server.connect() as client:
        assert client.client_getname() is None
        client.client_setname("client-1")
        assert client.client_getname() == "client-1"
        client.client_setname("")
        assert client.client_getname() is None


def test_ids_differ_over_all_workers(start_server: StartServer) -> None:
    server = start_server("--workers", "3")
    clients = [server.connect() for _ in range(30)]
    ids = [client.client_id() for client in clients]
    assert len(set(ids)) == 30
    assert {number % WORKERS_MAX for number in ids} == {0, 1, 2}
    for client in clients:
        client.close()


def test_client_list_tells_who_is_connected_to_this_worker(start_server: StartServer) -> None:
    server = start_server("--workers", "1")
    with server.connect(3) as first, server.connect() as second:
        first.client_setname("one")
        second.client_setname("two")
        second.execute_command("SELECT", 5)
        second.ping()
        rows = {row["name"]: row for row in first.client_list()}
        assert rows.keys() == {"one", "two"}
        assert (rows["one"]["resp"], rows["two"]["resp"]) == ("3", "2")
        assert rows["two"]["db"] == "5"
        assert rows["two"]["laddr"] == f"127.0.0.1:{server.port}"
        assert rows["two"]["lib-name"] == "redis-py"
        assert rows["two"]["worker"] == "0"
        assert rows["one"]["id"] == str(first.client_id())
        chosen = first.client_list(client_id=[rows["two"]["id"]])
        assert [row["name"] for row in chosen] == ["two"]
        assert first.client_list(_type="pubsub") == []
        assert first.client_info()["name"] == "one"


def test_a_unix_connection_shows_its_path(server: RunningServer) -> None:
    with redis.Redis(unix_socket_path=str(server.unix)) as client:
        assert client.client_info()["addr"] == f"{server.unix}:0"


def test_reset_makes_a_connection_new(server: RunningServer) -> None:
    with server.open_socket() as connection:
        connection.sendall(b"HELLO 3 SETNAME me\r\nSELECT 3\r\nSET k v\r\nRESET\r\n")
        connection.sendall(b"CLIENT GETNAME\r\nEXISTS k\r\n")
        assert read_lines(connection, 3, after=b"+RESET") == [b"+RESET", b"$-1", b":0"]


def read_lines(connection: socket.socket, count: int, after: bytes = b"") -> list[bytes]:
    """The next lines from the server, from the one that begins with `after`."""
    data = b""
    while True:
        lines = data.split(b"\r\n")[:-1]
        start = next((i for i, line in enumerate(lines) if line.startswith(after)), len(lines))
        if len(lines) - start >= count:
            return lines[start : start + count]
        received = connection.recv(65536)
        assert received, data
        data += received
