"""`forkkv top`: a live view of a running server, from shared memory alone."""
