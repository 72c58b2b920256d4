"""When so little is written to a table that memory can be given back to the kernel."""

from typing import Final

from forkkv._core import Table

LOOK_SECONDS: Final = 1.0
LOOKS: Final = 5  # in a row: memory that was free was not wanted again for so long
BUSY_PARTS: Final = 256  # writers that take more than 1/256 of the segments per look are busy


class Quiet:
    """Looks at the table now and then, for the keeper."""

    def __init__(self, table: Table) -> None:
        facts = table.facts()
        self.table = table
        self.taken = facts["segments_taken"]
        self.busy_from = max(2, facts["segments"] // BUSY_PARTS)
        self.next_look = 0.0
        self.looks = 0

    def is_due(self, now: float) -> bool:
        """True once per look, while next to nothing is written. `now`: monotonic seconds."""
        if now < self.next_look:
            return False
        self.next_look = now + LOOK_SECONDS
        taken = self.taken
        self.restart()
        self.looks = self.looks + 1 if self.taken - taken < self.busy_from else 0
        return self.looks >= LOOKS

    def restart(self) -> None:
        """What was written until now does not count for the next look."""
        self.taken = self.table.facts()["segments_taken"]
