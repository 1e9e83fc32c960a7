"""The peers behind one interface, each with the settings that its documentation recommends.

An engine builds an index at a path, opens it again, and answers all queries by its batch call where
it has one. `settings` are the values of its one search knob, from fast to precise.
"""

import json
import os
from concurrent.futures import ThreadPoolExecutor

import numpy as np

from vectors import unit

EFS = [10, 12, 14, 16, 20, 24, 28, 32, 40, 48, 56, 64, 80, 96, 128, 160, 192, 256, 320, 400, 512]


class Engine:
    knob = "ef"
    settings = EFS

    def __init__(self, metric, dimensions, count):
        self.metric, self.dimensions, self.count = metric, dimensions, count
        self.cosine = metric == "cosine"

    def prepared(self, vectors):
        """Unit vectors for engines without a cosine of their own."""
        return unit(vectors).astype(np.float32) if self.cosine else vectors


def each(queries, threads, one):
    """Answers query by query, for engines without a batch call."""
    if threads == 1:
        return np.stack([one(query) for query in queries])
    with ThreadPoolExecutor(threads) as pool:
        return np.stack(list(pool.map(one, queries)))


class Hnswlib(Engine):
    module = "hnswlib"
    title = "hnswlib (float32, M 16, efConstruction 200)"
    ef_construction = 200

    def _make(self):
        import hnswlib

        return hnswlib.Index("cosine" if self.cosine else "l2", self.dimensions)

    def build(self, base, path, threads):
        index = self._make()
        index.init_index(len(base), M=16, ef_construction=self.ef_construction)
        index.add_items(base, num_threads=threads)
        return lambda: index.save_index(path)

    def open(self, path, threads):
        self.index = self._make()
        self.index.load_index(path)

    def search(self, queries, k, ef, threads):
        self.index.set_ef(ef)
        return self.index.knn_query(queries, k, num_threads=threads)[0]


class Hnswlib128(Hnswlib):
    title = "hnswlib (float32, M 16, efConstruction 128, as vecdb's default)"
    ef_construction = 128


class FaissHnsw(Engine):
    module = "faiss"
    title = "faiss HNSW (float32, M 16, efConstruction 200)"
    factory = "HNSW16,Flat"
    refine = 0

    def _hnsw(self, index):
        import faiss

        return faiss.downcast_index(index.base_index) if self.refine else index

    def build(self, base, path, threads):
        import faiss

        faiss.omp_set_num_threads(threads)
        index = faiss.index_factory(self.dimensions, self.factory, faiss.METRIC_L2)
        self._hnsw(index).hnsw.efConstruction = 200
        base = self.prepared(base)
        index.train(base)
        index.add(base)
        return lambda: faiss.write_index(index, path)

    def open(self, path, threads):
        import faiss

        faiss.omp_set_num_threads(threads)
        # The downcast object does not own the index: both must be kept.
        self.owner = faiss.read_index(path)
        self.index = faiss.downcast_index(self.owner)
        if self.refine:
            self.index.k_factor = self.refine

    def search(self, queries, k, ef, threads):
        self._hnsw(self.index).hnsw.efSearch = ef
        return self.index.search(self.prepared(queries), k)[1]


class FaissSQ8(FaissHnsw):
    title = "faiss HNSW + SQ8, best 2k re-ranked with float32"
    factory = "HNSW16_SQ8,RFlat"
    refine = 2


class Usearch(Engine):
    module = "usearch.index"
    title = "usearch (float32, connectivity 16, expansion 200)"

    def _make(self):
        from usearch.index import Index

        return Index(
            ndim=self.dimensions, metric="cos" if self.cosine else "l2sq", dtype="f32",
            connectivity=16, expansion_add=200)

    def build(self, base, path, threads):
        index = self._make()
        index.add(np.arange(len(base)), base, threads=threads)
        return lambda: index.save(path)

    def open(self, path, threads):
        self.index = self._make()
        self.index.load(path)

    def search(self, queries, k, ef, threads):
        self.index.expansion_search = ef
        return self.index.search(queries, k, threads=threads).keys


class Scann(Engine):
    module = "scann.scann_ops.py.scann_ops_pybind"
    title = "ScaNN (tree + anisotropic hashing, re-ranked with float32)"
    knob = "leaves/re-ranked"
    settings = [
        f"{leaves}/{ranked}" for ranked in (20, 40, 100)
        for leaves in (2, 3, 4, 6, 8, 11, 16, 22, 32, 45, 64, 90, 128, 180, 256)]

    def build(self, base, path, threads):
        from scann.scann_ops.py import scann_ops_pybind

        leaves = max(16, round(2 * len(base) ** 0.5))
        builder = scann_ops_pybind.builder(
            self.prepared(base), 10, "dot_product" if self.cosine else "squared_l2")
        builder.set_n_training_threads(threads)
        index = (
            builder.tree(
                num_leaves=leaves, num_leaves_to_search=32,
                training_sample_size=min(len(base), 250_000))
            .score_ah(2, anisotropic_quantization_threshold=0.2)
            .reorder(100)
            .build()
        )

        def save():
            os.makedirs(path)
            index.serialize(path)

        return save

    def open(self, path, threads):
        from scann.scann_ops.py import scann_ops_pybind

        self.index = scann_ops_pybind.load_searcher(path)
        self.index.set_num_threads(threads)

    def search(self, queries, k, setting, threads):
        leaves, ranked = map(int, setting.split("/"))
        call = self.index.search_batched if threads == 1 else self.index.search_batched_parallel
        return call(
            self.prepared(queries), final_num_neighbors=k, pre_reorder_num_neighbors=ranked,
            leaves_to_search=leaves)[0]


class Vsag(Engine):
    module = "pyvsag"
    title = "VSAG HGraph (SQ8, re-ranked with float32; no batch call)"

    def _make(self, threads):
        import pyvsag

        pyvsag.set_logger_off()
        # Degree 32 at the bottom, as M 16 gives the others.
        return pyvsag.Index("hgraph", json.dumps({
            "dtype": "float32", "metric_type": "cosine" if self.cosine else "l2",
            "dim": self.dimensions,
            "index_param": {
                "base_quantization_type": "sq8", "max_degree": 32, "ef_construction": 200,
                "use_reorder": True, "precise_quantization_type": "fp32",
                "build_thread_count": threads,
            },
        }))

    def build(self, base, path, threads):
        index = self._make(threads)
        index.build(base.reshape(-1), np.arange(len(base)), len(base), self.dimensions)
        return lambda: index.save(path)

    def open(self, path, threads):
        self.index = self._make(threads)
        self.index.load(path)

    def search(self, queries, k, ef, threads):
        parameters = json.dumps({"hgraph": {"ef_search": ef}})
        return each(queries, threads, lambda q: self.index.knn_search(q, k, parameters)[0])


class Ngt(Engine):
    module = "ngtpy"
    title = "NGT (ONNG: ANNG of 100 edges, 10 out and 120 in)"
    knob = "epsilon, thousandths"
    settings = [-100, -50, -20, 0, 10, 20, 30, 40, 60, 80, 100, 120, 150, 200, 250, 300]

    def build(self, base, path, threads):
        import ngtpy

        draft = path + ".draft"
        ngtpy.create(
            draft, self.dimensions, edge_size_for_creation=100,
            distance_type="Cosine" if self.cosine else "L2")
        index = ngtpy.Index(draft, log_disabled=True)
        index.batch_insert(base, num_threads=threads)
        index.save()
        index.close()
        optimizer = ngtpy.Optimizer(num_of_outgoings=10, num_of_incomings=120, log_disabled=True)
        optimizer.set_processing_modes(True, False, False, False)
        optimizer.execute(draft, path)
        return lambda: None

    def open(self, path, threads):
        import ngtpy

        self.index = ngtpy.Index(path, read_only=True, log_disabled=True)
        self.results = ngtpy.BatchResults()

    def search(self, queries, k, setting, threads):
        self.index.set(num_of_search_objects=k, epsilon=setting / 1000)
        self.index.batch_search(queries, self.results, k, False)
        return self.results.get_ids().reshape(len(queries), -1)


class Zvec(Engine):
    module = "zvec"
    title = "zvec HNSW (float32, m 16, efConstruction 200; no batch call)"

    def _options(self, threads):
        import zvec

        zvec.init(log_level=zvec.LogLevel.ERROR, query_threads=threads, optimize_threads=threads)
        return zvec

    def build(self, base, path, threads):
        zvec = self._options(threads)
        metric = zvec.MetricType.COSINE if self.cosine else zvec.MetricType.L2
        parameters = zvec.HnswIndexParam(metric_type=metric, m=16, ef_construction=200)
        schema = zvec.CollectionSchema(
            name="bench", vectors=[zvec.VectorSchema(
                "v", zvec.DataType.VECTOR_FP32, self.dimensions, index_param=parameters)])
        collection = zvec.create_and_open(path, schema)
        for start in range(0, len(base), 1000):
            statuses = collection.insert([
                zvec.Doc(id=str(start + row), vectors={"v": vector})
                for row, vector in enumerate(base[start : start + 1000])])
            if not all(status.ok() for status in statuses):
                raise RuntimeError(f"insert failed: {statuses[0]}")
        collection.optimize(zvec.OptimizeOption(concurrency=threads))
        collection.flush()
        collection.close()
        return lambda: None

    def open(self, path, threads):
        zvec = self._options(threads)
        self.zvec = zvec
        self.collection = zvec.open(path, zvec.CollectionOption(read_only=True))

    def search(self, queries, k, ef, threads):
        parameters = self.zvec.HnswQueryParam(ef=ef)
        found = each(queries, threads, lambda q: self.collection.query_internal_ids(
            self.zvec.Query("v", vector=q, param=parameters), topk=k))
        return found

    def rows(self, ids):
        """Row numbers of internal ids; not part of the timed call."""
        keys = self.collection.resolve_internal_ids(ids.reshape(-1))
        return np.array([int(key) for key in keys]).reshape(ids.shape)


ENGINES = {
    "hnswlib": Hnswlib, "hnswlib-128": Hnswlib128, "faiss-hnsw": FaissHnsw, "faiss-sq8": FaissSQ8,
    "usearch": Usearch, "scann": Scann, "vsag": Vsag, "ngt": Ngt, "zvec": Zvec,
}
