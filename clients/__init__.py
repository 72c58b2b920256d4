"""What programs use a table with: the local door (local), and the server's client (command)."""
