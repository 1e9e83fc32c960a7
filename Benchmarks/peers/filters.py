"""Filtered search: vecdb through its public API against hnswlib's filter callback and faiss's
IDSelector, at several selectivities, with filters that know nothing of the query ("random"), match
records near it ("near") and records far from it ("far"). Markdown. Started by scripts/bench
--filters.
"""

import argparse
import os
import sys
import time
from pathlib import Path

os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
import numpy as np  # noqa: E402

import report
from compare import Failure, run
from vectors import prepare, read_vecs, unit, write_vecs

SELECTIVITIES = [500, 100, 10, 1]
CASES = ["random", "near", "far"]
TARGET = 0.95
EFS = [10, 16, 24, 32, 48, 64, 96, 128, 192, 256, 400, 700, 1200, 2000, 4000]
# A pass over the queries that takes longer ends a sweep: the curve only goes down from there.
PASS_SECONDS = 8


def fields(metric, base, queries, count):
    """The `count` queries nearest to an anchor (the first query), and two fields per record from 0
    to 999: random, and the rank by distance to the anchor."""
    if metric == "cosine":
        base, queries = unit(base), unit(queries)
    anchor = queries[0].astype(np.float64)
    chosen = np.argsort(((queries - anchor) ** 2).sum(1), kind="stable")[:count]
    order = np.argsort(((base.astype(np.float64) - anchor) ** 2).sum(1), kind="stable")
    ranks = np.arange(len(base)) * 1000 // len(base)
    near = np.empty(len(base), np.int32)
    near[order] = ranks
    random = np.random.default_rng(1).permutation(ranks).astype(np.int32)
    return chosen, np.stack([random, near], 1).astype("<i4")


def mask(case, selectivity, values):
    if case == "random":
        return values[:, 0] < selectivity
    return values[:, 1] < selectivity if case == "near" else values[:, 1] >= 1000 - selectivity


class Hnswlib:
    name = "hnswlib, filter callback"

    def __init__(self, base):
        import hnswlib

        self.index = hnswlib.Index("l2", base.shape[1])
        self.index.init_index(len(base), M=16, ef_construction=200)
        self.index.add_items(base, num_threads=2)

    def prepare(self, allowed):
        flags = allowed.tolist()
        self.test = lambda row: flags[row]

    def search(self, queries, k, ef):
        """Rows; -1 where it finds fewer than k, which it reports as an error for the batch."""
        self.index.set_ef(ef)
        try:
            return self.index.knn_query(queries, k, num_threads=1, filter=self.test)[0]
        except RuntimeError:
            found = np.full((len(queries), k), -1)
            for row, query in enumerate(queries):
                for wanted in range(k, 0, -1):
                    try:
                        found[row, :wanted] = self.index.knn_query(
                            query, wanted, num_threads=1, filter=self.test)[0]
                        break
                    except RuntimeError:
                        continue
            return found


class Faiss:
    name = "faiss HNSW, IDSelectorBitmap"

    def __init__(self, base):
        import faiss

        self.faiss = faiss
        faiss.omp_set_num_threads(2)
        self.index = faiss.index_factory(base.shape[1], "HNSW16,Flat", faiss.METRIC_L2)
        self.index.hnsw.efConstruction = 200
        self.index.add(base)
        faiss.omp_set_num_threads(1)

    def prepare(self, allowed):
        # The selector borrows the bits.
        self.bits = np.packbits(allowed, bitorder="little")
        self.selector = self.faiss.IDSelectorBitmap(self.bits)

    def search(self, queries, k, ef):
        parameters = self.faiss.SearchParametersHNSW(efSearch=ef, sel=self.selector)
        return self.index.search(queries, k, params=parameters)[1]


class Numpy:
    name = "numpy, all that match"
    exact = True

    def __init__(self, base):
        self.base = base

    def prepare(self, allowed):
        self.rows = np.flatnonzero(allowed)
        self.matching = np.ascontiguousarray(self.base[self.rows])
        self.norms = (self.matching ** 2).sum(1)

    def search(self, queries, k, ef):
        found = np.empty((len(queries), k), np.int64)
        for row, query in enumerate(queries):
            distances = self.norms - 2 * (self.matching @ query)
            nearest = np.argpartition(distances, k - 1)[:k]
            found[row] = self.rows[nearest[np.argsort(distances[nearest])]]
        return found


def sweep(engine, base, queries, allowed, k, clock):
    """Points of ef, recall, q/s and how many queries got fewer hits than match."""
    rows = np.flatnonzero(allowed)
    matching = base[rows].astype(np.float64)
    norms = (matching**2).sum(1)
    distances = norms[None] - 2 * queries.astype(np.float64) @ matching.T
    distances += (queries.astype(np.float64) ** 2).sum(1)[:, None]
    wanted = min(k, len(rows))
    radii = np.partition(distances, wanted - 1, axis=1)[:, wanted - 1]
    position = np.full(len(base), -1)
    position[rows] = np.arange(len(rows))
    engine.prepare(allowed)
    for ef in EFS:
        seconds, passes = np.inf, 0
        while passes < 2 and (passes == 0 or seconds < PASS_SECONDS / 4):
            start = clock()
            found = engine.search(queries, wanted, ef)
            seconds = min(seconds, clock() - start)
            passes += 1
        hits = short = 0
        for query, ids in enumerate(found.astype(np.int64)):
            ids = ids[ids >= 0]
            short += len(ids) < wanted
            near = distances[query, position[ids]]
            hits += int((near <= radii[query] + 1e-6 * (1 + abs(radii[query]))).sum())
        yield {"setting": ef, "recall": hits / (wanted * len(queries)),
               "qps": len(queries) / seconds, "short": short}
        if getattr(engine, "exact", False) or hits >= 0.995 * wanted * len(queries) or seconds > PASS_SECONDS:
            return


def best(lines):
    """The fastest point that reaches the target, else the most precise one."""
    good = [line for line in lines if line["recall"] >= TARGET]
    if good:
        return max(good, key=lambda line: line["qps"])
    return max(lines, key=lambda line: line["recall"])


def cell(line):
    short = f", {line['short']} short" if line["short"] else ""
    below = f" (only {line['recall']:.3f})" if line["recall"] < TARGET else ""
    return f"{line['qps']:,.0f}{below}{short}"


def measure(name, source, options):
    directory, facts = prepare(name, source, options.work / "data")
    base, queries = (read_vecs(directory / f"{part}.fvecs") for part in ("base", "query"))
    metric = facts["metric"]
    chosen, values = fields(metric, base, queries, options.queries)
    place = options.work / "filters" / name
    place.mkdir(parents=True, exist_ok=True)
    write_vecs(place / "query.fvecs", queries[chosen])
    write_vecs(place / "fields.ivecs", values)
    try:
        lines, _ = run([
            options.benchmarks, "filters", "--base", directory / "base.fvecs",
            "--queries", place / "query.fvecs", "--fields", place / "fields.ivecs",
            "--metric", metric, "--selectivities", *SELECTIVITIES])
    except Failure as error:
        sys.exit(f"{name}: vecdb: {error}")
    clock = time.process_time if options.clock == "cpu" else time.perf_counter
    own = {}
    for line in lines:
        if options.clock == "cpu":
            line["qps"], line["qps_new"] = line["qps_cpu"], line["qps_new_cpu"]
        own.setdefault((line["case"], line["selectivity"]), []).append(line)

    queries = queries[chosen]
    if metric == "cosine":
        base, queries = unit(base).astype(np.float32), unit(queries).astype(np.float32)
    peers = []
    for peer in (Hnswlib, Faiss, Numpy):
        try:
            peers.append(peer(base))
        except ImportError as error:
            print(f"\n{peer.name} left out: {error}")

    print(f"\n### {name}: {facts['count']:,} x {facts['dimensions']}, {metric}, filtered\n")
    print("| filter | matching | vecdb, q/s | new filters, q/s | recall for 0.95 asked | plan | " + " | ".join(
        peer.name for peer in peers) + " | to the best | new to the best |")
    print("| --- | ---: | ---: | ---: | ---: | --- |" + " ---: |" * (len(peers) + 2), flush=True)
    for selectivity in SELECTIVITIES:
        for case in CASES:
            allowed = mask(case, selectivity, values)
            ours = best(own[case, selectivity])
            cells = [f"{case}, {selectivity / 10:g} %", f"{ours['matching']:,}", cell(ours),
                     f"{ours['qps_new']:,.0f}", f"{ours['auto_recall']:.3f}", ours["plan"]]
            fastest = 0
            for peer in peers:
                theirs = best(list(sweep(peer, base, queries, allowed, 10, clock)))
                cells.append(cell(theirs))
                if theirs["recall"] >= TARGET:
                    fastest = max(fastest, theirs["qps"])
            cells += [f"{ours[key] / fastest:.1f}" if fastest else "-" for key in ("qps", "qps_new")]
            print("| " + " | ".join(cells) + " |", flush=True)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--benchmarks", type=Path, required=True)
    parser.add_argument("--work", type=Path, required=True)
    parser.add_argument("--set", action="append", nargs=2, metavar=("NAME", "DIRECTORY"))
    parser.add_argument("--queries", type=int, default=200)
    parser.add_argument("--clock", choices=["wall", "cpu"], default="wall")
    options = parser.parse_args()
    options.work = options.work.resolve()
    report.machine()
    print(f"k=10, one thread, {options.clock} time, the fastest setting that reaches recall {TARGET}; "
          "otherwise the best recall is in brackets, and \"short\" are the queries with fewer hits than match. The "
          "queries lie around a point; \"near\" matches the records nearest to it, \"far\" those "
          "farthest from it. \"vecdb\" repeats one filter, whose answer it remembers; \"new filters\" asks "
          "another one in every search, which it evaluates. The peers are handed theirs ready made before "
          "the clock starts: hnswlib calls back into Python for every candidate, as its package "
          "offers it; faiss reads a bitmap; numpy has the matching vectors copied together.")
    for name, source in options.set:
        measure(name, source, options)


main()
