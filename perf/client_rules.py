"""The rules for clients, whether collect.sh started them or found them: one row each."""

from typing import Final

from forkkv.perf.rule import ENOUGH, Rule, above, below
from forkkv.perf.study_rules import SMALL

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
        next="ss -tan state time-wait | wc -l",
        certainty=0.97,
    ),
    Rule(
        "many-connects",
        CLIENT,
        when=(above("failed_connect_share", 0.2), above("failed_connects", 10)),
        observation="connect {connects}, {failed_connects} failed ({failed_connect_share})",
        meaning="The client connects again and again, and is not let in",
        inference="Is the server up? Wait longer after each failure; ss -lnt shows a full backlog",
        cannot_tell="the error: a non-blocking connect in progress counts as failed too",
        next="ss -lnt",
        certainty=0.95,
    ),
    Rule(
        "small-reads",
        CLIENT,
        when=(
            above("reads_per_write", 4),
            above("client_reads_per_server_write", 2),
            below("bytes_per_client_read", SMALL),
            above("reads", 20 * ENOUGH),  # more than the start of a program needs
        ),
        observation="read {reads}, where the server wrote {server_writes} times",
        meaning="The client takes each reply in many small pieces",
        inference="Ask for more in one read: a larger buffer in the client",
        cannot_tell="clients that were not counted: the server's writes to them are included",
        next="timeout -s INT 2 strace -f -e trace=read,recvfrom -p {pid}",
        certainty=0.9,
    ),
    Rule(
        "small-writes",
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
        next="timeout -s INT 2 strace -f -e trace=write,sendto -p {pid}",
        certainty=0.9,
    ),
    Rule(
        "request-heavy-client",
        CLIENT,
        when=(
            above("clients", 1),
            above("client_write_share", 0.8),
            above("writes_per_second", 200),
            above("writes", ENOUGH),
            below("connects_per_write", 0.3),
        ),
        observation="write {writes} = {writes_per_second}, {client_write_share} of what "
        "{clients} clients sent",
        meaning="One client makes nearly all of the load",
        inference="Limit its rate, or give it a server of its own; the others wait behind it",
        cannot_tell="how many commands each write carried",
        next="ss -tnp state established '( sport = :{port} )'",
        certainty=0.95,
    ),
    Rule(
        "chatty",
        CLIENT,
        when=(
            above("reads_per_write", 0.8),
            below("reads_per_write", 1.3),
            below("connects_per_write", 0.3),
            below("commands_per_client_write", 1.5, lenient=True),
            above("writes", 5 * ENOUGH),
            above("writes_per_second", 300),
        ),
        observation="read {reads}, write {writes}: {reads_per_write} reads per write",
        meaning="Each request waits for its reply before the next one leaves",
        inference="Pipelining, MGET or MSET would save most of the round trips",
        cannot_tell="whether a request depends on the reply before it",
        next="timeout -s INT 2 strace -f -r -e trace=read,write,sendto,recvfrom -p {pid}",
        certainty=0.95,
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
        next="timeout -s INT 2 strace -e trace=network,poll -p {pid}",
        certainty=0.85,
    ),
)
