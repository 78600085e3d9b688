"""How many of our functions one request calls: benchmarks/count_request_calls.py."""

import json
import subprocess
import sys
from pathlib import Path

SCRIPT = Path(__file__).parents[1] / "benchmarks" / "count_request_calls.py"
LIMITS = {"calls": 80, "file_changes": 30, "levels": 9}


def test_a_request_of_four_seeds_stays_short() -> None:
    done = subprocess.run([sys.executable, str(SCRIPT)], capture_output=True, text=True, check=True)
    totals = json.loads(done.stdout.splitlines()[-1])
    assert totals.keys() == LIMITS.keys()
    assert all(0 < totals[name] < limit for name, limit in LIMITS.items()), done.stdout
