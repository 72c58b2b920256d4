"""What a worker knows of its connections."""

import socket

from forkkv.config import WORKERS_MAX, Config
from forkkv.session import Context, Identity, addresses


def make_context(index: int) -> Context:
    identity = Identity(1, "0" * 40, 0.0)
    return Context(Config(), identity, None, None, index, [])  # type: ignore[arg-type]


def test_ids_of_different_workers_never_meet() -> None:
    contexts = [make_context(index) for index in (0, 1, WORKERS_MAX - 1)]
    ids = [context.welcome(7).id for context in contexts for _ in range(100)]
    assert len(set(ids)) == 300


def test_an_id_is_not_used_again_when_the_connection_number_is() -> None:
    context = make_context(0)
    first = context.welcome(7)
    del context.clients[7]
    assert context.welcome(7).id != first.id


def test_addresses_are_written_as_in_redis() -> None:
    for family, host, shown in (
        (socket.AF_INET, "127.0.0.1", "127.0.0.1"),
        (socket.AF_INET6, "::1", "[::1]"),
    ):
        with socket.socket(family) as listener:
            listener.bind((host, 0))
            listener.listen()
            port = listener.getsockname()[1]
            with socket.create_connection((host, port)) as client:
                far, near = addresses(client.fileno())
                assert far == f"{shown}:{port}"
                assert near.startswith(f"{shown}:")
                assert client.getpeername()[1] == port  # the descriptor is still open


def test_a_connection_that_is_gone_has_no_address() -> None:
    with socket.socket() as unconnected:
        assert addresses(unconnected.fileno())[0] == "?:0"
