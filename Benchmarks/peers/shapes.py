"""Judges what vecdb-shapes found, beside hnswlib on the same vectors in the same states.

usage: shapes.py DIRECTORY [--json FILE]

DIRECTORY holds a folder for each shape and metric. For each state: recall@10 at ef 64 of both,
recall@10 of vecdb with the target 0.95, and searches per second of both, one thread.
"""

import argparse
import json
import pathlib
import sys
import time

import hnswlib
import numpy as np

SPACE = {"l2": "l2", "cosine": "cosine", "dot": "ip"}


def read(path, dimensions):
    return np.fromfile(path, dtype="<f4").reshape(-1, dimensions)


def exact(metric, base, queries, k):
    """Distances of all records in float64, and the k-th nearest for each query."""
    base, queries = base.astype(np.float64), queries.astype(np.float64)
    if metric == "cosine":
        base = base / np.linalg.norm(base, axis=1, keepdims=True)
        queries = queries / np.linalg.norm(queries, axis=1, keepdims=True)
    if metric == "l2":
        rows = []
        for query in queries:
            rows.append(((base - query) ** 2).sum(axis=1))
        distances = np.array(rows)
    else:
        distances = -(queries @ base.T)
    worst = np.partition(distances, k - 1, axis=1)[:, k - 1]
    return distances, worst


def recall(distances, worst, hits, k):
    """A hit counts if it is as near as the k-th true one, within the rounding of float32."""
    found = 0
    for row, limit, ids in zip(distances, worst, hits):
        size = max(abs(limit), np.abs(row).max() * 1e-7 if np.isfinite(row).all() else 0)
        slack = max(abs(limit) * 1e-5, size * 1e-6)
        found += min(k, sum(1 for i in set(ids) if i >= 0 and row[i] <= limit + slack))
    return found / (k * len(worst))


def peer(metric, vectors, order, gone, queries, k, rounds):
    index = hnswlib.Index(space=SPACE[metric], dim=vectors.shape[1])
    index.init_index(max_elements=len(order) + len(gone), M=16, ef_construction=200)
    index.set_num_threads(1)
    began = time.process_time()
    index.add_items(vectors[order], np.array(order))
    seconds = time.process_time() - began
    for number in gone:
        index.mark_deleted(number)
    index.set_ef(64)
    best = float("inf")
    for _ in range(rounds):
        began = time.process_time()
        labels, _ = index.knn_query(queries, k=k, num_threads=1)
        best = min(best, (time.process_time() - began) / len(queries))
    return labels, best * 1e6, len(order) / seconds


def judge(folder):
    name, metric = folder.name.rsplit("-", 1)
    found = json.loads((folder / "found.json").read_text())
    late = np.fromfile(folder / "late.f32", dtype="<f4")
    count = len(found[0]["live"])
    base = np.fromfile(folder / "base.f32", dtype="<f4").reshape(count, -1)
    dimensions = base.shape[1]
    vectors = np.concatenate(
        [base, read(folder / "fresh.f32", dimensions), late.reshape(-1, dimensions)])
    early, later = (read(folder / f, dimensions) for f in ("queries.f32", "late-queries.f32"))
    peers = {}
    for state in found:
        queries = np.concatenate([early, later]) if state["asksLate"] else early
        live = state["live"]
        places = {number: place for place, number in enumerate(live)}
        distances, worst = exact(metric, vectors[live], queries, 10)
        kind = {"restored": "drifted", "rebuilt": "drifted"}.get(state["state"], state["state"])
        if kind not in peers:
            gone, order = [], live
            if kind == "churned":
                gone = sorted(set(range(count)) - set(live))
                order = list(range(count)) + [n for n in live if n >= count]
            peers[kind] = peer(metric, vectors, order, gone, queries, 10, 3)
        labels, microseconds, rate = peers[kind]

        def mine(hits):
            return [[places.get(n, -1) for n in ids] for ids in hits]

        theirs = [[places.get(int(n), -1) for n in ids] for ids in labels]
        yield {
            "shape": name, "metric": metric, "state": state["state"],
            "recall": round(recall(distances, worst, mine(state["hits"]), 10), 4),
            "hnswlib": round(recall(distances, worst, theirs, 10), 4),
            "target": round(recall(distances, worst, mine(state["targetHits"]), 10), 4),
            "speed": round(microseconds / state["microseconds"], 2),
            "targetSpeed": round(microseconds / state["targetMicroseconds"], 2),
            "codes": state["codes"], "health": state["health"],
            "build": round(state["insertsPerSecond"] / rate, 2),
        }


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("directory", type=pathlib.Path)
    parser.add_argument("--json", type=pathlib.Path, help="also write the rows to a file")
    options = parser.parse_args()
    rows, failures = [], 0
    print("| shape | metric | state | recall@10 | hnswlib | `recall: 0.95` | speed | codes |")
    print("| --- | --- | --- | ---: | ---: | ---: | ---: | --- |")
    for folder in sorted(options.directory.iterdir()):
        if not (folder / "found.json").exists():
            continue
        for row in judge(folder):
            rows.append(row)
            marks = []
            if row["recall"] < row["hnswlib"] - 0.01:
                marks.append("recall")
            if row["target"] < 0.94:
                marks.append("target")
            if row["speed"] < 1:
                marks.append("speed")
            failures += len(marks)
            print(
                f"| {row['shape']} | {row['metric']} | {row['state']} | {row['recall']:.4f} "
                f"| {row['hnswlib']:.4f} | {row['target']:.4f} | {row['speed']:.2f}x "
                f"| {row['codes']} {' '.join(marks)} |", flush=True)
    print(f"\n{len(rows)} states, {failures} short of their mark")
    if options.json:
        options.json.write_text("".join(json.dumps(row) + "\n" for row in rows))
    sys.exit(4 if failures else 0)


if __name__ == "__main__":
    main()
