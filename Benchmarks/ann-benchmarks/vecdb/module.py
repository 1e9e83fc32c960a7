"""vecdb in ann-benchmarks: copy this folder to ann_benchmarks/algorithms/vecdb, with the wheel in it."""

import os
import shutil
import tempfile

import numpy
import vecdb

from ..base.module import BaseANN


class VecDB(BaseANN):
    """The public interface, with a durable database on disk."""

    def __init__(self, metric, parameters):
        self._metric = {"angular": "cosine", "euclidean": "l2", "hamming": "hamming"}[metric]
        self._m, self._ef_construction = parameters["M"], parameters["efConstruction"]
        self._directory = tempfile.mkdtemp()
        self._ef, self._found = None, None
        self.name = str(self)

    def __str__(self):
        return f"vecdb(M={self._m}, efConstruction={self._ef_construction}, ef={self._ef})"

    def _rows(self, rows):
        return numpy.packbits(rows, axis=-1) if self._metric == "hamming" else numpy.ascontiguousarray(
            rows, numpy.float32)

    def fit(self, X):
        self._database = vecdb.open(self._directory + "/db", scrub_bytes_per_second=0)
        self._collection = self._database.create_collection(
            "c", X.shape[1], self._metric, m=self._m, ef_construction=self._ef_construction)
        for first in range(0, len(X), 10_000):
            rows = self._rows(X[first:first + 10_000])
            self._collection.upsert([str(first + place) for place in range(len(rows))], rows)

    def set_query_arguments(self, ef):
        self._ef = ef

    def query(self, v, n):
        return [int(key) for key in self._collection.search(self._rows(v), n, ef=max(self._ef, n)).keys]

    def batch_query(self, X, n):
        # ann-benchmarks measures the batch on all cores.
        self._found = self._collection.search(
            self._rows(X), n, ef=max(self._ef, n), threads=os.cpu_count() or 1)

    def get_batch_results(self):
        return [[int(key) for key in keys] for keys in self._found.keys]

    def done(self):
        self._database.close()
        shutil.rmtree(self._directory, ignore_errors=True)
