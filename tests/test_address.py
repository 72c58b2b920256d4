"""Addresses: which URLs are understood, and what is said of the others."""

import pytest

from forkkv.clients.address import DEFAULT_URL, Address, BadAddress


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        (DEFAULT_URL, Address("127.0.0.1", 6390)),
        ("forkkv://db.example", Address("db.example", 6390)),
        ("forkkv://localhost:7000/3", Address("localhost", 7000, database=3)),
        ("redis://localhost", Address("localhost", 6379)),
        ("redis://[::1]:7000/", Address("::1", 7000)),
        ("unix:///run/f.sock", Address(path="/run/f.sock")),
        ("unix:///run/a%20b.sock?db=9", Address(path="/run/a b.sock", database=9)),
    ],
)
def test_a_url_names_an_address(url: str, expected: Address) -> None:
    assert Address.parse(url) == expected


@pytest.mark.parametrize(
    "url",
    [
        "",
        "localhost:6390",
        "http://localhost",
        "forkkv://",
        "forkkv:///table",
        "forkkv://localhost:99999",
        "forkkv://localhost/first",
        "forkkv://localhost/-1",
        "forkkv://localhost?db=1",
        "redis://user:secret@localhost",
        "unix://relative.sock",
        "unix:///",
        "unix:///f.sock?db=x",
        "unix:///f.sock?database=1",
    ],
)
def test_a_bad_url_is_refused_with_the_forms_to_write(url: str) -> None:
    with pytest.raises(BadAddress, match=r"forkkv://HOST:PORT.*unix:///PATH"):
        Address.parse(url)


def test_a_numeric_host_is_one_target() -> None:
    assert [target for _, target in Address.parse("forkkv://127.0.0.1:7").targets()] == [
        ("127.0.0.1", 7)
    ]


@pytest.mark.parametrize(
    ("url", "text", "command"),
    [
        ("forkkv://127.0.0.1", "127.0.0.1:6390", "forkkv serve"),
        ("forkkv://[::1]:7", "[::1]:7", "forkkv serve --port 7"),
        ("unix:///run/f.sock", "/run/f.sock", "forkkv serve --unix /run/f.sock"),
    ],
)
def test_an_address_says_how_to_serve_it(url: str, text: str, command: str) -> None:
    address = Address.parse(url)
    assert (str(address), address.serve_command()) == (text, command)
