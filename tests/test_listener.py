"""Listeners are bound whole or not at all, and leave nothing behind."""

import os
import socket
import stat
from pathlib import Path

import pytest
from conftest import free_port

from forkkv.config import Config
from forkkv.errors import ServeError
from forkkv.listener import close_listeners, open_listeners


def test_a_connection_inherits_the_options_of_its_listener() -> None:
    listeners = open_listeners(Config(port=free_port()))
    with socket.create_connection(listeners[0].getsockname()):
        accepted = listeners[0].accept()[0]
        with accepted:
            assert accepted.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)
            assert accepted.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE)
    close_listeners(listeners)


def test_a_port_in_use_says_how_to_choose_another(tmp_path: Path) -> None:
    path = tmp_path / "sock"
    port = free_port()
    listeners = open_listeners(Config(port=port))
    with pytest.raises(ServeError, match=f"port {port}.*--port"):
        open_listeners(Config(port=port, unix=str(path)))
    assert not path.exists()
    close_listeners(listeners)


def test_an_address_that_others_can_reach_is_worth_a_warning(
    caplog: pytest.LogCaptureFixture,
) -> None:
    close_listeners(open_listeners(Config(port=free_port())))
    assert caplog.text == ""
    close_listeners(open_listeners(Config(bind="0.0.0.0", port=free_port())))
    assert "no password" in caplog.text


def test_an_address_of_another_host_is_refused() -> None:
    with pytest.raises(ServeError, match="--bind an address of this host"):
        open_listeners(Config(bind="192.0.2.1", port=free_port()))


def test_nothing_stays_bound_when_the_second_listener_fails(tmp_path: Path) -> None:
    port = free_port()
    with pytest.raises(ServeError, match="--unix"):
        open_listeners(Config(port=port, unix=str(tmp_path / "missing" / "sock")))
    close_listeners(open_listeners(Config(port=port)))


def test_a_unix_socket_is_its_owners_alone(tmp_path: Path) -> None:
    path = tmp_path / "sock"
    listeners = open_listeners(Config(port=0, unix=str(path)))
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    close_listeners(listeners)
    assert not path.exists()


def test_a_unix_socket_can_be_opened_to_the_group(tmp_path: Path) -> None:
    path = tmp_path / "sock"
    listeners = open_listeners(Config(port=0, unix=str(path), unix_mode=0o660))
    assert stat.S_IMODE(path.stat().st_mode) == 0o660
    close_listeners(listeners)


def test_a_socket_that_nobody_listens_on_is_replaced(tmp_path: Path) -> None:
    path = tmp_path / "sock"
    with socket.socket(socket.AF_UNIX) as dead:
        dead.bind(str(path))
    close_listeners(open_listeners(Config(port=0, unix=str(path))))


def test_a_socket_in_use_is_left_alone(tmp_path: Path) -> None:
    path = str(tmp_path / "sock")
    listeners = open_listeners(Config(port=0, unix=path))
    with pytest.raises(ServeError, match="another process listens"):
        open_listeners(Config(port=0, unix=path))
    with socket.socket(socket.AF_UNIX) as client:
        client.connect(path)
    close_listeners(listeners)


def test_a_file_in_the_way_is_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "notes"
    path.write_text("precious")
    with pytest.raises(ServeError, match="not a socket"):
        open_listeners(Config(port=0, unix=str(path)))
    assert path.read_text() == "precious"


def test_the_umask_is_as_before(tmp_path: Path) -> None:
    before = os.umask(0o027)
    try:
        close_listeners(open_listeners(Config(port=0, unix=str(tmp_path / "sock"))))
        assert os.umask(0o027) == 0o027
    finally:
        os.umask(before)
