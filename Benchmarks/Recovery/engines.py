"""The stores that are compared, each behind the same few calls.

Each class takes the settings that the store's own documentation recommends for keeping what was
written; `settings` says which. `insert` returns when the store says that the records are safe. Records
have the numbers 0, 1, 2 and so on as identifiers.
"""

from __future__ import annotations

import os

import numpy
from engine import Engine


class VecDB(Engine):
    name, package = "vecdb", "vecdb"
    modules = "vecdb"
    settings = "defaults"
    backup_method = "backup and restore of the library"

    def open(self) -> None:
        import vecdb

        self.database = vecdb.open(self.path)
        names = [one["name"] for one in self.database.collections()]
        self.collection = (
            self.database.collection("c") if "c" in names
            else self.database.create_collection("c", self.dimensions, "l2"))

    def insert(self, first: int, rows: numpy.ndarray) -> None:
        self.collection.upsert([str(first + place) for place in range(len(rows))], rows)

    def rows(self, numbers: list[int]) -> dict[int, numpy.ndarray]:
        found = self.collection.get([str(one) for one in numbers], metadata=False)
        return {int(one.key): one.vector for one in found if one is not None}

    def search(self, vector: numpy.ndarray, k: int) -> list[int]:
        return [int(key) for key in self.collection.search(vector, k).keys]

    def backup(self, target: str) -> None:
        self.database.backup(target)

    @staticmethod
    def restore(source: str, target: str) -> None:
        import vecdb

        vecdb.restore(source, target)

    def close(self) -> None:
        self.database.close()


class Chroma(Engine):
    name, package = "Chroma", "chromadb"
    modules = "chromadb"
    settings = "PersistentClient"

    def open(self) -> None:
        import chromadb

        self.client = chromadb.PersistentClient(
            self.path, settings=chromadb.Settings(anonymized_telemetry=False))
        self.collection = self.client.get_or_create_collection(
            "vectors", embedding_function=None)

    def insert(self, first: int, rows: numpy.ndarray) -> None:
        self.collection.add([str(first + place) for place in range(len(rows))], rows)

    def rows(self, numbers: list[int]) -> dict[int, numpy.ndarray]:
        found = self.collection.get([str(one) for one in numbers], include=["embeddings"])
        return {int(key): row for key, row in zip(found["ids"], found["embeddings"])}

    def search(self, vector: numpy.ndarray, k: int) -> list[int]:
        return [int(key) for key in self.collection.query(vector, n_results=k, include=[])["ids"][0]]


class LanceDB(Engine):
    name, package = "LanceDB", "lancedb"
    modules = "lancedb"
    settings = "no index, as its guide has it below 100,000 rows; optimize() after each 20 writes"

    def open(self) -> None:
        import lancedb
        import pyarrow

        self.schema = pyarrow.schema([
            ("id", pyarrow.int64()), ("vector", pyarrow.list_(pyarrow.float32(), self.dimensions))])
        self.table = lancedb.connect(self.path).create_table("c", schema=self.schema, exist_ok=True)
        self.writes = 0

    def insert(self, first: int, rows: numpy.ndarray) -> None:
        import pyarrow

        vectors = pyarrow.FixedSizeListArray.from_arrays(rows.ravel(), self.dimensions)
        numbers = pyarrow.array(range(first, first + len(rows)), pyarrow.int64())
        self.table.add(pyarrow.Table.from_arrays([numbers, vectors], schema=self.schema))
        self.writes += 1
        if self.writes % 20 == 0:
            self.table.optimize()

    def rows(self, numbers: list[int]) -> dict[int, numpy.ndarray]:
        wanted = set(numbers)
        found = self.table.to_arrow()
        vectors = found["vector"].combine_chunks().flatten().to_numpy(False).reshape(
            -1, self.dimensions)
        keys = found["id"].to_pylist()
        return {key: row for key, row in zip(keys, vectors) if key in wanted}

    def search(self, vector: numpy.ndarray, k: int) -> list[int]:
        return self.table.search(vector).limit(k).to_arrow()["id"].to_pylist()


class QdrantLocal(Engine):
    name, package = "Qdrant local", "qdrant-client"
    modules = "qdrant_client"
    settings = "QdrantClient(path=…)"

    def open(self) -> None:
        from qdrant_client import QdrantClient, models

        self.models, self.client = models, QdrantClient(path=self.path)
        if not self.client.collection_exists("c"):
            self.client.create_collection("c", vectors_config=models.VectorParams(
                size=self.dimensions, distance=models.Distance.EUCLID))

    def insert(self, first: int, rows: numpy.ndarray) -> None:
        self.client.upsert("c", [
            self.models.PointStruct(id=first + place, vector=row.tolist())
            for place, row in enumerate(rows)], wait=True)

    def rows(self, numbers: list[int]) -> dict[int, numpy.ndarray]:
        found = self.client.retrieve("c", numbers, with_vectors=True)
        return {one.id: numpy.asarray(one.vector, numpy.float32) for one in found}

    def search(self, vector: numpy.ndarray, k: int) -> list[int]:
        return [one.id for one in self.client.query_points("c", vector.tolist(), limit=k).points]

    def close(self) -> None:
        self.client.close()


class QdrantEdge(Engine):
    name, package = "Qdrant Edge", "qdrant-edge-py"
    modules = "qdrant_edge"
    settings = "a write-ahead log, and flush() after each write"

    def open(self) -> None:
        import qdrant_edge

        self.module = qdrant_edge
        if os.path.isdir(self.path) and os.listdir(self.path):
            self.shard = qdrant_edge.EdgeShard.load(self.path)
        else:
            os.makedirs(self.path, exist_ok=True)
            self.shard = qdrant_edge.EdgeShard.create(self.path, qdrant_edge.EdgeConfig(
                vectors=qdrant_edge.EdgeVectorParams(
                    size=self.dimensions, distance=qdrant_edge.Distance.Euclid), wal_enabled=True))

    def insert(self, first: int, rows: numpy.ndarray) -> None:
        self.shard.update(self.module.UpdateOperation.upsert_points([
            self.module.Point(first + place, row.tolist()) for place, row in enumerate(rows)]))
        self.shard.flush()

    def rows(self, numbers: list[int]) -> dict[int, numpy.ndarray]:
        found = self.shard.retrieve(numbers, False, True)
        return {one.id: numpy.asarray(one.vector, numpy.float32) for one in found}

    def search(self, vector: numpy.ndarray, k: int) -> list[int]:
        return [one.id for one in self.shard.search(
            self.module.SearchRequest(self.module.Query.Nearest(vector.tolist()), k))]

    def settle(self) -> None:
        self.shard.optimize()

    def close(self) -> None:
        self.shard.close()


class MilvusLite(Engine):
    name, package = "Milvus Lite", "milvus-lite"
    modules = "pymilvus milvus_lite"
    settings = "MilvusClient(file), flush() after each write"

    def open(self) -> None:
        from pymilvus import DataType, MilvusClient

        os.makedirs(self.path, exist_ok=True)
        self.client = MilvusClient(os.path.join(self.path, "milvus.db"))
        if not self.client.has_collection("c"):
            schema = self.client.create_schema(auto_id=False)
            schema.add_field("id", DataType.INT64, is_primary=True)
            schema.add_field("vector", DataType.FLOAT_VECTOR, dim=self.dimensions)
            index = self.client.prepare_index_params()
            index.add_index("vector", index_type="HNSW", metric_type="L2",
                            params={"M": 16, "efConstruction": 128})
            self.client.create_collection("c", schema=schema, index_params=index)
        self.client.load_collection("c")

    def insert(self, first: int, rows: numpy.ndarray) -> None:
        self.client.insert("c", [
            {"id": first + place, "vector": row.tolist()} for place, row in enumerate(rows)])
        self.client.flush("c")

    def rows(self, numbers: list[int]) -> dict[int, numpy.ndarray]:
        found = {}
        for first in range(0, len(numbers), 1000):
            for one in self.client.get("c", numbers[first:first + 1000]):
                found[one["id"]] = numpy.asarray(one["vector"], numpy.float32)
        return found

    def search(self, vector: numpy.ndarray, k: int) -> list[int]:
        return [one["id"] for one in self.client.search("c", [vector.tolist()], limit=k)[0]]

    def close(self) -> None:
        self.client.close()


class SQLiteVec(Engine):
    name, package = "sqlite-vec", "sqlite-vec"
    modules = "apsw sqlite_vec"
    settings = "journal_mode WAL, synchronous FULL"
    backup_method = "the online backup of SQLite"

    def open(self) -> None:
        import apsw
        import sqlite_vec

        os.makedirs(self.path, exist_ok=True)
        self.connection = apsw.Connection(os.path.join(self.path, "vec.db"))
        self.connection.enable_load_extension(True)
        self.connection.load_extension(sqlite_vec.loadable_path())
        self.connection.execute("pragma journal_mode = wal; pragma synchronous = full")
        self.connection.execute(
            f"create virtual table if not exists c using vec0(vector float[{self.dimensions}])")

    def insert(self, first: int, rows: numpy.ndarray) -> None:
        with self.connection:
            self.connection.executemany(
                "insert into c(rowid, vector) values (?, ?)",
                [(first + place + 1, row.tobytes()) for place, row in enumerate(rows)])

    def rows(self, numbers: list[int]) -> dict[int, numpy.ndarray]:
        wanted = set(numbers)
        return {
            number - 1: numpy.frombuffer(row, numpy.float32)
            for number, row in self.connection.execute("select rowid, vector from c")
            if number - 1 in wanted}

    def search(self, vector: numpy.ndarray, k: int) -> list[int]:
        return [number - 1 for number, in self.connection.execute(
            "select rowid from c where vector match ? and k = ? order by distance",
            (vector.tobytes(), k))]

    def backup(self, target: str) -> None:
        import apsw

        os.makedirs(target)
        # A connection of its own, so that the writer's is free.
        source = apsw.Connection(os.path.join(self.path, "vec.db"))
        copy = apsw.Connection(os.path.join(target, "vec.db"))
        with copy.backup("main", source, "main") as work:
            work.step()
        copy.close()
        source.close()

    def close(self) -> None:
        self.connection.close()


class Zvec(Engine):
    name, package = "zvec", "zvec"
    modules = "zvec"
    settings = "HNSW, flush() after each write"

    def open(self) -> None:
        import zvec

        self.module = zvec
        if os.path.exists(self.path):
            self.collection = zvec.open(self.path)
        else:
            schema = zvec.CollectionSchema(name="vectors", vectors=zvec.VectorSchema(
                "vector", zvec.DataType.VECTOR_FP32, self.dimensions,
                index_param=zvec.HnswIndexParam(metric_type=zvec.MetricType.L2)))
            self.collection = zvec.create_and_open(path=self.path, schema=schema)

    def insert(self, first: int, rows: numpy.ndarray) -> None:
        for status in self.collection.insert([
                self.module.Doc(id=str(first + place), vectors={"vector": row.tolist()})
                for place, row in enumerate(rows)]):
            if not status.ok():
                raise OSError(str(status))
        self.collection.flush()

    def rows(self, numbers: list[int]) -> dict[int, numpy.ndarray]:
        found = {}
        for first in range(0, len(numbers), 500):
            for key, one in self.collection.fetch(
                    [str(number) for number in numbers[first:first + 500]]).items():
                found[int(key)] = numpy.asarray(one.vector("vector"), numpy.float32)
        return found

    def search(self, vector: numpy.ndarray, k: int) -> list[int]:
        return [int(one.id) for one in self.collection.query(
            self.module.Query(field_name="vector", vector=vector.tolist()), topk=k)]

    def settle(self) -> None:
        self.collection.optimize()

    def close(self) -> None:
        self.collection.close()


class Saved(Engine):
    """An index in memory that is saved whole after each write: to a new file, synced, renamed."""

    settings = "HNSW in memory; saved to a new file, synced and renamed after each write"

    def save(self, path: str) -> None:
        raise NotImplementedError

    @property
    def file(self) -> str:
        return os.path.join(self.path, "index")

    def store(self) -> None:
        self.save(self.file + ".new")
        descriptor = os.open(self.file + ".new", os.O_RDONLY)
        os.fsync(descriptor)
        os.close(descriptor)
        os.rename(self.file + ".new", self.file)
        descriptor = os.open(self.path, os.O_RDONLY)
        os.fsync(descriptor)
        os.close(descriptor)


class Faiss(Saved):
    name, package = "Faiss", "faiss-cpu"
    modules = "faiss"

    def open(self) -> None:
        import faiss

        self.module = faiss
        os.makedirs(self.path, exist_ok=True)
        if os.path.exists(self.file):
            self.index = faiss.read_index(self.file)
        else:
            self.index = faiss.IndexHNSWFlat(self.dimensions, 16)
            self.index.hnsw.efConstruction = 128

    def save(self, path: str) -> None:
        self.module.write_index(self.index, path)

    def insert(self, first: int, rows: numpy.ndarray) -> None:
        # Numbers are places here.
        if first != self.index.ntotal:
            raise OSError(f"record {first} is to follow {self.index.ntotal} records")
        self.index.add(rows)
        self.store()

    def rows(self, numbers: list[int]) -> dict[int, numpy.ndarray]:
        return {one: self.index.reconstruct(one) for one in numbers if one < self.index.ntotal}

    def search(self, vector: numpy.ndarray, k: int) -> list[int]:
        self.index.hnsw.efSearch = 64
        return [int(one) for one in self.index.search(vector[None], k)[1][0] if one >= 0]


class Hnswlib(Saved):
    name, package = "hnswlib", "hnswlib"
    modules = "hnswlib"

    def open(self) -> None:
        import hnswlib

        os.makedirs(self.path, exist_ok=True)
        self.index = hnswlib.Index("l2", self.dimensions)
        if os.path.exists(self.file):
            self.index.load_index(self.file)
        else:
            self.index.init_index(1000, ef_construction=128, M=16)
        self.index.set_ef(64)

    def save(self, path: str) -> None:
        self.index.save_index(path)

    def insert(self, first: int, rows: numpy.ndarray) -> None:
        needed = self.index.element_count + len(rows)
        if needed > self.index.max_elements:
            self.index.resize_index(2 * needed)
        self.index.add_items(rows, range(first, first + len(rows)))
        self.store()

    def rows(self, numbers: list[int]) -> dict[int, numpy.ndarray]:
        there = set(self.index.get_ids_list())
        found = [one for one in numbers if one in there]
        return dict(zip(found, self.index.get_items(found))) if found else {}

    def search(self, vector: numpy.ndarray, k: int) -> list[int]:
        return [int(one) for one in self.index.knn_query(vector, k)[0][0]]


ENGINES: dict[str, type[Engine]] = {kind.name: kind for kind in (
    VecDB, Chroma, LanceDB, QdrantLocal, QdrantEdge, MilvusLite, SQLiteVec, Zvec, Faiss, Hnswlib)}
