"""Converts sets into the files that every engine reads. Started by scripts/bench --levers."""

import argparse
from pathlib import Path

from vectors import prepare

parser = argparse.ArgumentParser()
parser.add_argument("--work", type=Path, required=True)
parser.add_argument("--set", action="append", nargs=2, metavar=("NAME", "DIRECTORY"))
options = parser.parse_args()
for name, source in options.set:
    prepare(name, source, options.work / "data")
