"""What a call through Python costs, and how long the import takes.

usage: overhead.py [--rows N] [--rounds N]

Prints, as one line of JSON: the milliseconds of `import vecdb` in a new process without NumPy's; the
microseconds of the smallest call, of one search with k 10, and of one query in a batch of 1,000; and
what the same calls of the library take without the work around them in Python. `swift_us` is what
Swift takes for the same search, measured in this process as one of a batch of 1,000 equal ones;
`over_swift_us` is the rest of a search from Python, and `batch_percent` that of a batch. All but the
import are times of the processor, and the best of several rounds counts, in turn, since other
processes disturb.
"""

import argparse
import json
import subprocess
import sys
import tempfile
import time
from ctypes import POINTER, byref, sizeof

import numpy

import vecdb
from vecdb._library import LIBRARY, RowsObject, SearchOptions, call


def microseconds(body, count: int, rounds: int) -> float:
    best = float("inf")
    for _ in range(rounds):
        started = time.process_time()
        for _ in range(count):
            body()
        best = min(best, (time.process_time() - started) / count)
    return best * 1e6


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=20000)
    parser.add_argument("--rounds", type=int, default=9)
    options = parser.parse_args()
    text = ("import time, ctypes, json; t = time.perf_counter(); import vecdb; "
            "print((time.perf_counter() - t) * 1e3)")
    imports = [float(subprocess.run([sys.executable, "-c", text], capture_output=True, text=True,
                                    check=True).stdout) for _ in range(options.rounds)]
    numbers = numpy.random.default_rng(1)
    # A low intrinsic dimension, as embeddings have.
    basis = numbers.normal(size=(16, 128))
    vectors = (numbers.normal(size=(options.rows, 16)) @ basis).astype("f4")
    queries = (numbers.normal(size=(1000, 16)) @ basis).astype("f4")
    with tempfile.TemporaryDirectory() as directory, vecdb.open(directory + "/db") as database:
        c = database.create_collection("c", 128, "l2")
        c.upsert([str(row) for row in range(options.rows)], vectors)
        asked = SearchOptions(sizeof(SearchOptions), 10, 0, 0, None, 0, 0, 0)

        one = queries[0]
        equal = numpy.tile(one, (1000, 1))

        def bare(count: int, rows: numpy.ndarray = queries) -> None:
            pointer = POINTER(RowsObject)()
            call("search", c._handle, count, rows.ctypes.data, 0, 128, byref(asked), byref(pointer))
            LIBRARY.vecdb_rows_free(pointer)

        # Pairs are measured in turn, so that what disturbs one disturbs the other.
        pairs = {"search": [], "swift": [], "batch": [], "bare_batch": []}
        for _ in range(options.rounds):
            pairs["search"].append(microseconds(lambda: c.search(one, k=10), 1000, 1))
            pairs["swift"].append(microseconds(lambda: bare(1000, equal), 1, 1) / 1000)
            pairs["batch"].append(microseconds(lambda: c.search(queries, k=10), 1, 1) / 1000)
            pairs["bare_batch"].append(microseconds(lambda: bare(1000), 1, 1) / 1000)
        best = {name: min(times) for name, times in pairs.items()}
        found = {
            "import_ms": round(min(imports), 1),
            "count_us": round(microseconds(c.count, 2000, options.rounds), 2),
            "search_us": round(best["search"], 2), "swift_us": round(best["swift"], 2),
            "over_swift_us": round(best["search"] - best["swift"], 2),
            "bare_search_us": round(microseconds(lambda: bare(1), 1000, options.rounds), 2),
            "batch_us": round(best["batch"], 2), "bare_batch_us": round(best["bare_batch"], 2),
            "batch_percent": round(100 * (best["batch"] / best["bare_batch"] - 1), 1),
        }
    print(json.dumps(found))


if __name__ == "__main__":
    main()
