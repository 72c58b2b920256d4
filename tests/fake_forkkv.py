"""A forkkv whose only command is `stats --json`: prints what the test put into FAKE_STATS."""

import json
import os
import sys
import time
from pathlib import Path
from typing import Any

from mini_server import read_counters


def main(stats_file: Path) -> int:
    if not stats_file.exists():
        print("Error: there is no table default; start a server", file=sys.stderr)
        return 1
    stats: dict[str, Any] = {
        "schema": 1,
        "time": time.time(),
        "source": "forkkv",
        "table": {"name": "default"},
    }
    stats |= json.loads(stats_file.read_text())
    for process in stats["processes"]:
        if file := process.pop("counters_file", None):
            process["syscalls"] = read_counters(Path(file))
            process["commands"] = process["syscalls"]["write"]
    print(json.dumps(stats))
    return 0


if __name__ == "__main__":
    sys.exit(main(Path(os.environ["FAKE_STATS"])))
