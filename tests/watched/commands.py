"""Runs commands of facegan one after the other in this process, and says how each ended."""

import json
import os
import sys

from facegan.cache_folder import set_torch_cache
from facegan.cli.__main__ import facegan, run_safely

if __name__ == "__main__":  # not in the processes that commands start
    set_torch_cache(os.environ)
    for name, words in json.load(sys.stdin):
        os.environ["WATCHED_COMMAND"] = name
        code = run_safely(facegan, words)
        sys.stdout.flush()
        sys.stderr.write(f"\n[{name}] ended with {code}\n")
    os.environ["WATCHED_COMMAND"] = "the end of the process"
