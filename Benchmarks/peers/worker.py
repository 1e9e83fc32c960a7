"""Builds or loads the index of one peer and measures it: a JSON line per setting, as vecdb bench
prints them. Run by compare.py; a process of its own, so that engines do not share caches and heaps.

usage: worker.py ENGINE SET_DIRECTORY INDEX_FILE BUILD_THREADS THREADS K EF,EF,...
"""

import json
import os
import sys
import time
from pathlib import Path

import numpy as np

from vectors import distances, read_vecs, unit


class Hnswlib:
    """hnswlib, float32."""

    def __init__(self, metric, dimensions):
        import hnswlib

        self.index = hnswlib.Index("cosine" if metric == "cosine" else "l2", dimensions)

    def build(self, base, threads):
        self.index.init_index(len(base), M=16, ef_construction=200)
        self.index.add_items(base, num_threads=threads)

    def save(self, path):
        self.index.save_index(path)

    def load(self, path):
        self.index.load_index(path)

    def search(self, queries, k, ef, threads):
        self.index.set_ef(ef)
        return self.index.knn_query(queries, k, num_threads=threads)[0]


class Faiss:
    """faiss, HNSW on 8-bit scalar codes, the best 4k re-ranked with float32."""

    def __init__(self, metric, dimensions):
        import faiss

        self.faiss = faiss
        self.normalise = metric == "cosine"
        self.index = faiss.index_factory(dimensions, "HNSW16_SQ8,RFlat", faiss.METRIC_L2)
        self._base().hnsw.efConstruction = 200

    def _base(self):
        return self.faiss.downcast_index(self.index.base_index)

    def build(self, base, threads):
        self.faiss.omp_set_num_threads(threads)
        base = unit(base).astype(np.float32) if self.normalise else base
        self.index.train(base)
        self.index.add(base)

    def save(self, path):
        self.faiss.write_index(self.index, path)

    def load(self, path):
        # The downcast object does not own the index: both must be kept.
        self.owner = self.faiss.read_index(path)
        self.index = self.faiss.downcast_index(self.owner)

    def search(self, queries, k, ef, threads):
        self.faiss.omp_set_num_threads(threads)
        self._base().hnsw.efSearch = ef
        self.index.k_factor = 4
        queries = unit(queries).astype(np.float32) if self.normalise else queries
        return self.index.search(queries, k)[1]


class Usearch:
    """usearch, float32."""

    def __init__(self, metric, dimensions):
        from usearch.index import Index

        self.index = Index(
            ndim=dimensions, metric="cos" if metric == "cosine" else "l2sq", dtype="f32",
            connectivity=16, expansion_add=200)

    def build(self, base, threads):
        self.index.add(np.arange(len(base)), base, threads=threads)

    def save(self, path):
        self.index.save(path)

    def load(self, path):
        self.index.load(path)

    def search(self, queries, k, ef, threads):
        self.index.expansion_search = ef
        return self.index.search(queries, k, threads=threads).keys


ENGINES = {"hnswlib": Hnswlib, "faiss": Faiss, "usearch": Usearch}


def resident_bytes():
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGESIZE")


def main():
    name, directory, path, build_threads, threads, k, efs = sys.argv[1:]
    build_threads, threads, k = int(build_threads), int(threads), int(k)
    directory = Path(directory)
    facts = json.loads((directory / "set.json").read_text())
    metric = facts["metric"]
    base = read_vecs(directory / "base.fvecs")
    queries = read_vecs(directory / "query.fvecs")
    truth = read_vecs(directory / "truth.ivecs", np.int32)

    engine = ENGINES[name](metric, facts["dimensions"])
    build_seconds = None
    if os.path.exists(path):
        engine.load(path)
    else:
        start = time.perf_counter()
        engine.build(base, build_threads)
        build_seconds = time.perf_counter() - start
        engine.save(path)
    # By distance, so that equally near records count.
    radii = [distances(metric, q, base[t[k - 1 : k]])[0] for q, t in zip(queries, truth)]
    slack = 1e-6
    for ef in map(int, efs.split(",")):
        if ef < k:
            continue
        ids = engine.search(queries, k, ef, threads)
        hits = sum(
            (distances(metric, q, base[found]) <= r + slack * (1 + abs(r))).sum()
            for q, found, r in zip(queries, ids.astype(np.int64), radii))
        # One call for all queries: what the library does best.
        seconds = []
        while len(seconds) < 3:
            start = time.perf_counter()
            engine.search(queries, k, ef, threads)
            seconds.append(time.perf_counter() - start)
        line = {
            "ef": ef, "recall": hits / (k * len(queries)),
            "qps": len(queries) / sorted(seconds)[1], "rss_bytes": resident_bytes(),
        }
        if build_seconds is not None:
            line["build_s"] = build_seconds
        print(json.dumps(line), flush=True)


main()
