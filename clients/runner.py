"""Runs a workload step by step, and waits a little when the server goes away."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import islice

from .connection import Connection
from .kernel import KernelCalls
from .pace import Pace, clock_ns
from .result import Growth, Result
from .workloads import Keyspace, Workload, together

RECONNECT_SECONDS = 3.0
FIRST_DELAY_SECONDS = 0.01
LONGEST_DELAY_SECONDS = 0.5
PROGRESS_NS = 100_000_000
FILL_PIPELINE = 100

Progress = Callable[[Result, float], None]


@dataclass(frozen=True)
class Extent:
    """How much to run: until `operations` were sent or `seconds` have passed; None is no limit.

    `rate` is in operations a second, None for as fast as they are answered; `pipeline` operations
    make a step and share a write; `fill` sets every key beforehand.
    """

    operations: int | None = None
    seconds: float | None = None
    rate: float | None = None
    pipeline: int = 1
    fill: bool = False


class Runner:
    """One run of `workload` over `connection`, within `extent`, told as that of `client`.

    `on_progress` is called some ten times a second with the result so far and the seconds run.
    """

    def __init__(
        self,
        client: str,
        workload: Workload,
        connection: Connection,
        keyspace: Keyspace,
        extent: Extent,
        on_progress: Progress | None = None,
    ) -> None:
        self.workload = workload
        self.connection = connection
        self.keyspace = keyspace
        self.extent = extent
        self.on_progress = on_progress
        self.result = Result(client, workload.name, calls=connection.calls)

    def run(self) -> Result:
        """Run to the end, to Ctrl-C or to a server that stays away, and return what was met.

        Raises ConnectionError when the server never answered.
        """
        kernel = KernelCalls()
        try:
            before = self._prepare()
            self._run_steps()
            self._compare_counter(before)
        except KeyboardInterrupt:
            self.result.interrupted = True
        except ConnectionError as error:
            if not self.result.operations:
                raise
            self.result.failure = str(error)
        finally:
            self.connection.close()
        self.result.kernel = kernel.since()
        self.result.commands += self.connection.setup_commands
        return self.result

    def _prepare(self) -> int | None:
        """Open a connection that is to be kept, fill the keys, and return the counter's value."""
        fresh = self.workload.fresh_connection
        if self.extent.fill or not fresh:
            self.connection.open()
        if self.extent.fill:
            self._fill()
        if fresh:
            self.connection.close()
        return self._read_counter()

    def _fill(self) -> None:
        requests = self.keyspace.fill()
        while batch := list(islice(requests, FILL_PIPELINE)):
            self.result.count_replies(together(self.connection, batch))

    def _run_steps(self) -> None:
        pace = Pace(self.extent.rate, self.extent.seconds)
        sent = 0
        next_progress_ns = 0
        try:
            for operations, requests in self._batches():
                start_ns = pace.start(sent)
                if start_ns is None:
                    break
                self._step(operations, requests, start_ns)
                sent += operations
                if self.on_progress and start_ns >= next_progress_ns:
                    next_progress_ns = start_ns + PROGRESS_NS
                    self.on_progress(self.result, pace.elapsed_ns() / 1e9)
        finally:
            self.result.elapsed_ns = pace.elapsed_ns()
            self.result.unsent = pace.unsent(sent)

    def _batches(self) -> Iterator[tuple[int, list[bytes]]]:
        """Yield (operations, requests) of each step, until all operations are in one."""
        commands = self.workload.commands(self.keyspace)
        per_operation = self.workload.commands_per_operation
        left = self.extent.operations or sys.maxsize
        while left > 0:
            operations = min(left, self.extent.pipeline)
            left -= operations
            yield operations, list(islice(commands, operations * per_operation))

    def _step(self, operations: int, requests: list[bytes], start_ns: int) -> None:
        try:
            if not self.connection.is_open:
                self.connection.open()
            replies = self.workload.exchange(self.connection, requests)
        except ConnectionError as error:
            self.result.unanswered += operations
            self._open_again(error)
            return
        self.result.record(replies, operations, clock_ns() - start_ns)
        if self.workload.fresh_connection:
            self.connection.close()

    def _open_again(self, error: ConnectionError) -> None:
        """Try to connect, less and less often, for RECONNECT_SECONDS. Raises ConnectionError."""
        if not self.result.operations:
            raise error  # a server that never answered is not waited for
        give_up_ns = clock_ns() + int(RECONNECT_SECONDS * 1e9)
        delay_seconds = FIRST_DELAY_SECONDS
        while True:
            try:
                self.connection.open()
            except ConnectionError:
                if clock_ns() > give_up_ns:
                    raise
                time.sleep(delay_seconds)
                delay_seconds = min(2 * delay_seconds, LONGEST_DELAY_SECONDS)
            else:
                self.result.reconnects += 1
                return

    def _read_counter(self) -> int | None:
        """Return the value of the workload's counter, None when it has none or no number."""
        if self.workload.counter is None:
            return None
        reply = self.connection.command("GET", self.workload.counter)
        self.result.commands += 1
        try:
            return int(reply or 0) if isinstance(reply, bytes | None) else None
        except ValueError:
            return None

    def _compare_counter(self, before: int | None) -> None:
        after = self._read_counter()
        if before is not None and after is not None:
            acknowledged = self.result.operations - self.result.errors.total()
            self.result.growth = Growth(before, after, acknowledged)
