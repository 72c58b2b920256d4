"""Scenarios of any server: each makes its situation, or (`near`) one that only looks like it.

The first paragraph of each says what is done, the second what is done for the neighbour.
"""

from forkkv.perf.bench_process import free_port
from forkkv.perf.proof.stage import Stage, driver


def idle(stage: Stage, near: bool) -> None:
    """A server without clients.

    One client asks fifty times a second.
    """
    stage.serve()
    stage.collect(*[stage.client("mixed", "--rate", "50")] if near else [])


def connection_churn(stage: Stage, near: bool) -> None:
    """A connection for each command.

    The same commands over one connection, 500 a second.
    """
    stage.serve()
    client = stage.client("mixed", "--rate", "500") if near else stage.client("churn")
    stage.collect(client)


def many_connects(stage: Stage, near: bool) -> None:
    """A client that tries to connect 200 times a second where nobody listens.

    A client that asks 200 times a second over one connection.
    """
    stage.serve()
    client = stage.client("mixed", "--rate", "200")
    stage.collect(client if near else driver("knock", free_port()))


def descriptor_churn(stage: Stage, near: bool) -> None:
    """A server that opens and closes a file for each request.

    The same server without that flaw, asked alike.
    """
    stage.collect_flawed("none" if near else "files")


def eagain_storm(stage: Stage, near: bool) -> None:
    """A server that reads until there is nothing left to read.

    The same server without that flaw, asked alike.
    """
    stage.collect_flawed("none" if near else "drain")


def small_reads(stage: Stage, near: bool) -> None:
    """A client that sends each request byte by byte.

    The same requests, 500 a second, each in one piece.
    """
    stage.serve()
    client = stage.client("mixed", "--rate", "500") if near else stage.client("tiny-writes")
    stage.collect(client)


def small_writes(stage: Stage, near: bool) -> None:
    """A server that sends each reply in five pieces.

    The same server without that flaw, asked alike.
    """
    stage.collect_flawed("none" if near else "pieces")


def frequent_fsync(stage: Stage, near: bool) -> None:
    """redis-server with appendfsync always, written to 200 times a second.

    redis-server with appendfsync everysec, written to alike.
    """
    stage.redis("--appendonly", "yes", "--appendfsync", "everysec" if near else "always")
    stage.work("write-heavy", "--rate", "200")
    stage.collect()


def request_heavy_client(stage: Stage, near: bool) -> None:
    """Two clients: one sends batches as fast as it can, the other asks 20 times a second.

    Two clients that both send batches as fast as they can.
    """
    stage.serve()
    heavy = stage.client("mixed", "--pipeline", "16")
    other = heavy if near else stage.client("mixed", "--rate", "20")
    stage.collect(heavy, other)


def chatty(stage: Stage, near: bool) -> None:
    """A client that sends each command when the one before is answered.

    The same commands, sixteen at a time.
    """
    stage.serve()
    stage.collect(stage.client("mixed", *(["--pipeline", "16"] if near else [])))


def cpu_bound(stage: Stage, near: bool) -> None:
    """One worker, and clients that have it search all keys, as fast as it can.

    The same searches, twenty times a second.
    """
    stage.serve(workers=1)
    fill(stage, keys=20_000)
    for _ in range(1 if near else 2):
        stage.load("crunch_gently" if near else "crunch", stage.port)
    stage.collect()


def healthy(stage: Stage, near: bool) -> None:
    """Two clients that ask 200 times a second over connections that they keep.

    One of them opens a connection for each command instead.
    """
    stage.serve()
    clients = [stage.client("mixed", "--rate", "200"), stage.client("read-heavy", "--rate", "200")]
    if near:
        clients[1] = stage.client("churn", "--rate", "200")
    stage.collect(*clients)


def fill(stage: Stage, keys: int, size: int = 32) -> None:
    """Stores keys before the window opens."""
    child = stage.work("mixed", "--fill", "--keys", str(keys), "--size", str(size), "--ops", "1")
    child.wait(60)
