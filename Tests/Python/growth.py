"""Whether a long life of a process costs memory, descriptors or threads.

usage: growth.py [--cycles N] [--searches N]

Opens and closes a database again and again, then searches one by one and in batches, and prints what
the process had after a tenth and at the end, as one line of JSON for each. Exits with 1 at growth:
more than 8 MiB of memory, or more than a few descriptors or threads, which are kept for the next
call. The memory is what no file backs.
"""

import argparse
import gc
import json
import os
import sys
import tempfile
import time

import numpy

import vecdb


def state() -> dict:
    gc.collect()
    with open("/proc/self/status") as file:
        found = dict(line.split(":", 1) for line in file)
    return {
        "mib": round(int(found["RssAnon"].split()[0]) / 1024, 1), "threads": int(found["Threads"]),
        "descriptors": len(os.listdir("/proc/self/fd"))}


def watched(name: str, count: int, body) -> bool:
    """Runs the body so often; whether nothing grew after the first tenth."""
    started, early = time.monotonic(), {}
    for place in range(count):
        body(place)
        if place == count // 10:
            early = state()
    late = state()
    grew = (late["mib"] > early["mib"] + 8 or late["threads"] > early["threads"] + 4
            or late["descriptors"] > early["descriptors"] + 4)
    print(json.dumps({"what": name, "count": count, "early": early, "late": late, "grew": grew,
                      "seconds": round(time.monotonic() - started, 1)}), flush=True)
    return not grew


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--cycles", type=int, default=10_000)
    parser.add_argument("--searches", type=int, default=1_000_000)
    options = parser.parse_args()
    numbers = numpy.random.default_rng(1)
    vectors = numbers.random((2000, 32), dtype=numpy.float32)
    fields = [{"n": row} for row in range(2000)]
    with tempfile.TemporaryDirectory() as directory:

        def cycle(place: int) -> None:
            with vecdb.open(directory + "/db", scrub_bytes_per_second=0) as database:
                c = database.create_collection("c", 32, "l2", exist_ok=True)
                if place == 0:
                    c.upsert([str(row) for row in range(2000)], vectors, fields)
                c.search(vectors[place % 2000], k=10, metadata=True)

        fine = watched("open, search and close", options.cycles, cycle)
        with vecdb.open(directory + "/db") as database:
            c = database.collection("c")

            def single(place: int) -> None:
                c.search(vectors[place % 2000], k=10, metadata=place % 2 == 0)

            def failing(place: int) -> None:
                try:
                    c.search(vectors[0], filter="n <")
                except vecdb.InvalidArgument:
                    pass

            fine &= watched("searches", options.searches // 2, single)
            fine &= watched(
                "batches of 1,000", options.searches // 2000,
                lambda place: c.search(vectors[:1000], k=10, vectors=True))
            fine &= watched("refused searches", options.searches // 50, failing)
    sys.exit(0 if fine else 1)


if __name__ == "__main__":
    main()
