"""A report as one HTML page: its parts, its charts, and its look."""
