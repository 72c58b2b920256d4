"""When to start a process again after one in its place has died, and when to give up."""

from dataclasses import dataclass

YOUNG_SECONDS = 2.0  # who dies younger than this has not done its job
FREE_RESTARTS = 2  # young deaths in a row that cost no delay
FIRST_DELAY = 0.1
DELAY_MAX = 2.0
YOUNG_DEATHS_MAX = 10


@dataclass
class Backoff:
    """One place for a process, such as worker 2, and the deaths in it. Times are monotonic."""

    young_deaths: int = 0  # in a row
    not_before: float = 0.0

    def note_death(self, lived_seconds: float, now: float) -> None:
        """Sets the earliest time for the next start."""
        self.young_deaths = self.young_deaths + 1 if lived_seconds < YOUNG_SECONDS else 0
        beyond = self.young_deaths - FREE_RESTARTS
        self.not_before = now + min(FIRST_DELAY * 2 ** (beyond - 1), DELAY_MAX) * (beyond > 0)

    @property
    def hopeless(self) -> bool:
        """Whether starting again has failed too often to go on."""
        return self.young_deaths >= YOUNG_DEATHS_MAX
