"""How many files a process may have open, which bounds its connections."""

import resource

RESERVED = 64  # descriptors of a worker that are not connections


def raise_descriptor_limit(connections: int) -> int:
    """Runs in the master, for all: makes room for so many connections in each worker.

    Returns how many there is room for; fewer than asked when the hard limit is lower.
    """
    wanted = connections + RESERVED
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    unlimited = resource.RLIM_INFINITY
    if soft != unlimited and soft < wanted:
        soft = wanted if hard == unlimited else min(wanted, hard)
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    return connections if soft == unlimited else min(connections, soft - RESERVED)
