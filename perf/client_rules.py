"""The rules for the clients that collect.sh started: one row each, as in perf/rules.py."""

from typing import Final

from forkkv.perf.rule import ENOUGH, Rule, above, below

CLIENT: Final = ("client",)

RULES: Final = (
    Rule(
        "many-connects",
        CLIENT,
        when=(above("connects_per_write", 0.3), above("connects", 20)),
        observation="connect {connects} for {writes} writes: {connects_per_write} per write",
        meaning="The client opens a connection for almost every request",
        inference="Keep the connection and use it again",
        cannot_tell="whether the server closed the connections or the client did",
    ),
    Rule(
        "many-connects",
        CLIENT,
        when=(above("failed_connect_share", 0.2), above("failed_connects", 10)),
        observation="connect {connects}, {failed_connects} failed ({failed_connect_share})",
        meaning="The client connects again and again, and is not let in",
        inference="Is the server up? Wait longer after each failure; ss -lnt shows a full backlog",
        cannot_tell="the error: a non-blocking connect in progress counts as failed too",
    ),
    Rule(
        "small-requests",
        CLIENT,
        when=(
            below("commands_per_client_write", 0.5),
            below("reads_per_write", 0.7),
            above("writes", ENOUGH),
        ),
        observation="write {writes}, but {commands_per_client_write} commands per write",
        meaning="A request leaves in many small pieces",
        inference="Build the whole request, then write it once",
        cannot_tell="clients that were not counted: their commands are in the ratio too",
    ),
    Rule(
        "request-heavy-client",
        CLIENT,
        when=(above("writes_per_second", 1000), above("writes", 10 * ENOUGH)),
        observation="write {writes} = {writes_per_second}",
        meaning="The client sends requests without a pause",
        inference="It can keep a worker busy alone: send more per write, or limit its rate",
        cannot_tell="how many commands each write carried",
    ),
    Rule(
        "chatty",
        CLIENT,
        when=(
            above("reads_per_write", 0.8),
            below("reads_per_write", 1.3),
            below("connects_per_write", 0.3),
            below("commands_per_client_write", 1.5),
            above("writes", 10 * ENOUGH),
        ),
        observation="read {reads}, write {writes}: {reads_per_write} reads per write",
        meaning="Each request waits for its reply before the next one leaves",
        inference="Pipelining, MGET or MSET would save most of the round trips",
        cannot_tell="whether a request depends on the reply before it",
    ),
    Rule(
        "double-calls",
        CLIENT,
        when=(
            above("polls_per_write", 1.8),
            below("polls_per_write", 2.2),
            above("writes", ENOUGH),
        ),
        observation="poll {polls} for {writes} writes: {polls_per_write} per write",
        meaning="Each send and each receive is preceded by a poll",
        inference="In Python a socket timeout does this: block instead if none is needed",
        cannot_tell="whether it is the timeout: asyncio polls twice as well",
    ),
)
