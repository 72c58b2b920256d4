"""The command table: found, checked, documented; and the error texts that Redis 7 gives."""

import pytest
from conftest import RunningServer

from forkkv import commands
from forkkv._core import HOT_COMMANDS
from forkkv.catalog import Command

ROWS_MAX = 96  # FKV_COMMANDS in shm/fkv.h


@pytest.mark.parametrize(
    ("request_words", "text"),
    [
        (["foo"], "ERR unknown command 'foo', with args beginning with: "),
        (["foo", "a", "b"], "ERR unknown command 'foo', with args beginning with: 'a' 'b' "),
        (["client|list"], "ERR unknown command 'client|list', with args beginning with: "),
        (["get"], "ERR wrong number of arguments for 'get' command"),
        (["GET", "a", "b"], "ERR wrong number of arguments for 'get' command"),
        (["client"], "ERR wrong number of arguments for 'client' command"),
        (["client", "setname"], "ERR wrong number of arguments for 'client|setname' command"),
        (["CLIENT", "Foo"], "ERR unknown subcommand 'Foo'. Try CLIENT HELP."),
        (["config", "set", "a"], "ERR wrong number of arguments for 'config|set' command"),
        (["select", "99"], "ERR DB index is out of range"),
        (["select", "x"], "ERR value is not an integer or out of range"),
    ],
)
def test_error_texts_are_those_of_redis(
    server: RunningServer, request_words: list[str], text: str
) -> None:
    assert str(server.ask(*request_words)) == text


def test_an_error_repeats_at_most_128_bytes() -> None:
    error = commands.find([b"x" * 500, b"y" * 100, b"z" * 100, b"never"])
    text = str(error)
    assert "'" + "x" * 128 + "'" in text
    assert "'" + "y" * 100 + "'" in text
    assert "'" + "z" * (128 - 103) + "'" in text
    assert "never" not in text


def test_what_python_answers_fits_the_rows_of_the_counters() -> None:
    assert len(commands.COUNTED) == len(set(commands.COUNTED)) <= ROWS_MAX


def test_every_row_belongs_to_c_or_has_a_function_or_has_subcommands() -> None:
    hot = {row[0].lower() for row in HOT_COMMANDS}
    for row in commands.TOP:
        assert (row.name in hot) != bool(row.run or row.subcommands)
        assert row.summary


@pytest.mark.parametrize("protocol", [2, 3])
def test_command_describes_every_command(server: RunningServer, protocol: int) -> None:
    with server.connect(protocol) as client:
        described = client.command()
        assert client.command_count() == len(described) == len(commands.TOP)
        assert described["get"]["arity"] == 2
        assert described["get"]["first_key_pos"] == 1
        assert sorted(described) == sorted(row.name for row in commands.TOP)


def test_command_info_has_a_nil_for_what_is_no_command(server: RunningServer) -> None:
    get, nothing, client_list = server.ask("COMMAND", "INFO", "get", "nosuch", "client|list")
    assert get[:2] == [b"get", 2]
    assert nothing is None
    assert client_list[0] == b"client|list"


def test_command_docs_and_list(server: RunningServer) -> None:
    docs = server.ask("COMMAND", "DOCS", "get", "nosuch", protocol=3)
    assert list(docs) == [b"get"]
    assert docs[b"get"][b"summary"]
    names = server.ask("COMMAND", "LIST", "FILTERBY", "PATTERN", "*set")
    assert b"mset" in names
    assert b"get" not in names
    assert b"set" in server.ask("COMMAND", "LIST", "FILTERBY", "ACLCAT", "write")
    assert server.ask("COMMAND", "LIST", "FILTERBY", "MODULE", "x") == []


def test_help_lists_the_subcommands(server: RunningServer) -> None:
    for container in ("CLIENT", "COMMAND", "CONFIG"):
        lines = server.ask(container, "HELP")
        assert b"HELP" in lines
        assert container.encode() in lines[0]


def test_commands_that_python_answers_keep_their_place_in_a_pipeline(
    server: RunningServer,
) -> None:
    with server.connect() as client:
        pipeline = client.pipeline(transaction=False)
        for number in range(200):
            pipeline.set("k", number).dbsize().get("k").execute_command("client", "id")
        replies = pipeline.execute()
    assert replies[0::4] == [True] * 200
    assert replies[1::4] == [1] * 200
    assert replies[2::4] == [b"%d" % number for number in range(200)]
    assert len(set(replies[3::4])) == 1


def test_a_fault_of_ours_costs_one_command_and_a_line_in_the_log(
    caplog: pytest.LogCaptureFixture,
) -> None:
    broken = Command("broken", 1, lambda *_: 1 // 0)
    steps = commands._run(broken, None, None, [b"broken"])  # type: ignore[arg-type]
    with pytest.raises(StopIteration) as end:
        next(steps)
    assert "internal error" in str(end.value.value)
    assert "ZeroDivisionError" in caplog.text
