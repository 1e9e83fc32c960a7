"""How fast distances are computed by vecdb's kernels and by the peers', in gigabytes of vectors read
a second, on one thread; Markdown. Started by scripts/bench --kernels.

A peer's kernel is measured by what calls it with the least around it: one query against all rows of
a matrix, in order.
"""

import argparse
import json
import sys
import time
from pathlib import Path

import numpy as np

import report
from compare import Failure, run

SIZES = [32, 1024]
DIMENSIONS = [128, 384, 784]


def rate(count, action):
    """Bytes a second of processor time: the best of some rounds."""
    best, action_time = 0, 0
    action()
    for _ in range(5):
        passes, start = 0, time.process_time()
        while True:
            action()
            passes += 1
            action_time = time.process_time() - start
            if action_time > 0.1:
                break
        best = max(best, count * passes / action_time)
    return best / 1e9


def faiss_f32(rows, query):
    import faiss

    faiss.omp_set_num_threads(1)
    out = np.empty(len(rows), np.float32)
    pointers = [faiss.swig_ptr(array) for array in (out, query, rows)]
    return lambda: faiss.fvec_L2sqr_ny(*pointers, rows.shape[1], len(rows))


def faiss_sq8(rows, query):
    import faiss

    faiss.omp_set_num_threads(1)
    index = faiss.IndexScalarQuantizer(rows.shape[1], faiss.ScalarQuantizer.QT_8bit)
    index.train(rows[:1000].astype(np.float32))
    for start in range(0, len(rows), 10_000):
        index.add(rows[start : start + 10_000].astype(np.float32))
    wanted = query[None].astype(np.float32)
    return lambda: index.search(wanted, 1)


def hnswlib_f32(rows, query):
    import hnswlib

    index = hnswlib.BFIndex(space="l2", dim=rows.shape[1])
    index.init_index(max_elements=len(rows))
    index.add_items(rows)
    return lambda: index.knn_query(query[None], k=1, num_threads=1)


def simsimd(rows, query):
    import simsimd

    return lambda: simsimd.cdist(query[None], rows, metric="sqeuclidean", threads=1)


PEERS = [
    ("faiss fvec_L2sqr_ny, f32", np.float32, faiss_f32),
    ("hnswlib brute force, f32", np.float32, hnswlib_f32),
    ("SimSIMD (usearch's) squared l2, f32", np.float32, simsimd),
    ("SimSIMD (usearch's) squared l2, i8", np.int8, simsimd),
    ("faiss SQ8 scan", np.uint8, faiss_sq8),
]


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--kernels", type=Path, required=True)
    options = parser.parse_args()
    report.machine()
    lines, _ = run([options.kernels])
    table = {}
    for line in lines:
        name = line["kernel"] if line["set"] == "-" else f"vecdb {line['set']}: {line['kernel']}"
        table.setdefault(name, {})[line["dimensions"], line["megabytes"]] = line["gb_per_s"]
    failures = []
    generator = np.random.default_rng(1)
    for name, kind, make in PEERS:
        try:
            for dimensions in DIMENSIONS:
                for megabytes in SIZES:
                    count = (megabytes << 20) // (dimensions * np.dtype(kind).itemsize)
                    rows = generator.integers(0, 60, (count, dimensions), np.int8).astype(kind)
                    action = make(rows, np.ascontiguousarray(rows[0]))
                    table.setdefault(name, {})[dimensions, megabytes] = rate(rows.nbytes, action)
        except (ImportError, AttributeError, TypeError, ValueError, Failure) as error:
            failures.append(f"{name} left out: {error}")
            table.pop(name, None)
    print("### Kernels: gigabytes of vectors read a second, one thread\n")
    print("vecdb's \"rows by number\" reads rows in random order, 32 a call, as a hop of a search "
          "does; all others read consecutive rows.\n")
    memory = {name: values for name, values in table.items() if name.startswith("memory")}
    for name, values in memory.items():
        print(f"- {name}: " + ", ".join(
            f"{values[0, size]:.1f} GB/s over {size} MB" for size in SIZES))
    print("\n| kernel | " + " | ".join(
        f"{dimensions}d, {size} MB" for dimensions in DIMENSIONS for size in SIZES) + " |")
    print("| --- |" + " ---: |" * (len(DIMENSIONS) * len(SIZES)))
    for name, values in table.items():
        if name not in memory:
            cells = [f"{values[dimensions, size]:.1f}" for dimensions in DIMENSIONS
                     for size in SIZES]
            print(f"| {name} | " + " | ".join(cells) + " |")
    for failure in failures:
        print(f"\n{failure}")
    sys.stdout.flush()


main()
