"""What can keep a server from starting or going on, said to its operator."""


class ServeError(Exception):
    """The server cannot start or go on; the text says why and what to do next."""
