"""The proof of the diagnosis: each situation is produced, and so is one near it, which is not."""
