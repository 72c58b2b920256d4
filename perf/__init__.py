"""The lab: counts the system calls of a running server, and explains the counts."""

from pathlib import Path
from typing import Final

COLLECT: Final = Path(__file__).with_name("collect.sh")  # the script that a person runs
