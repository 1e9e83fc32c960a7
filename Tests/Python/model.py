"""Random operations on a collection beside a dictionary and NumPy, which say what must come out.

usage: model.py [--operations N] [--seed N]

Prints its seed. The database is closed and opened, backed up and restored, and rebuilt on the way.
"""

import argparse
import math
import os
import random
import sys
import tempfile
import time

import numpy

import vecdb
from vecdb import F

DIMENSIONS = 12


class Model:
    def __init__(self, seed: int, directory: str) -> None:
        self.random = random.Random(seed)
        self.numbers = numpy.random.default_rng(seed)
        self.directory = directory
        self.metric = self.random.choice(["l2", "cosine", "dot"])
        self.records: dict[str, tuple[numpy.ndarray, dict]] = {}
        self.restores = 0
        self.counts: dict[str, int] = {}
        self.place = os.path.join(directory, "db")
        self.database = vecdb.open(self.place, scrub_bytes_per_second=0)
        self.c = self.database.create_collection("c", DIMENSIONS, self.metric)

    def key(self) -> str:
        return self.random.choice(["k", "ключ-", "鍵"]) + str(self.random.randrange(400))

    def vectors(self, count: int) -> numpy.ndarray:
        rows = self.numbers.normal(size=(count, DIMENSIONS)).astype(
            self.random.choice(["f4", "f4", "f8", "f2"]))
        return numpy.asfortranarray(rows) if self.random.random() < 0.2 else rows

    def fields(self) -> dict:
        found: dict = {"n": self.random.randrange(50)}
        if self.random.random() < 0.5:
            found["tag"] = self.random.choice(["a", "it's", 'q"uote', "日本"])
        if self.random.random() < 0.3:
            found["list"] = [self.random.randrange(5) for _ in range(self.random.randrange(4))]
        return found

    def filter(self):
        """A filter, and the same for the model."""
        number, tag = self.random.randrange(50), self.random.choice(["a", "it's", 'q"uote', "日本"])
        simple = [
            (F.n < number, lambda f: f["n"] < number),
            (F.n >= number, lambda f: f["n"] >= number),
            (F.n.in_([number, 3]), lambda f: f["n"] in (number, 3)),
            (F.tag == tag, lambda f: f.get("tag") == tag),
            (F.tag.exists(), lambda f: "tag" in f),
            (F.list.contains(number % 5), lambda f: number % 5 in f.get("list", [])),
        ]
        (left, left_model), (right, right_model) = self.random.sample(simple, 2)
        return self.random.choice([
            (left, left_model),
            (left & right, lambda f: left_model(f) and right_model(f)),
            (left | right, lambda f: left_model(f) or right_model(f)),
            (~left & right, lambda f: not left_model(f) and right_model(f)),
        ])

    def distances(self, query: numpy.ndarray, keys: list[str]) -> numpy.ndarray:
        rows = numpy.array([self.records[key][0] for key in keys], "f8").reshape(-1, DIMENSIONS)
        query = query.astype("f4").astype("f8")
        if self.metric == "l2":
            return ((rows - query) ** 2).sum(axis=1)
        if self.metric == "dot":
            return -(rows @ query)
        return 1 - rows @ query / (numpy.linalg.norm(rows, axis=1) * numpy.linalg.norm(query))

    def upsert(self) -> None:
        keys = list(dict.fromkeys(self.key() for _ in range(self.random.choice([1, 1, 2, 5, 40]))))
        rows = self.vectors(len(keys))
        metadata = None if self.random.random() < 0.1 else [self.fields() for _ in keys]
        if metadata is None:
            metadata = [{"n": 0} for _ in keys]
        new = sum(key not in self.records for key in keys)
        written = self.c.upsert(keys, rows, metadata)
        assert written.inserted == new, (written, new)
        assert written.inserted + written.updated + written.unchanged == len(keys)
        for key, row, fields in zip(keys, rows, metadata):
            self.records[key] = (row.astype("f4"), fields)

    def refused(self) -> None:
        rows = self.vectors(3).astype("f4")
        rows[2, 5] = math.nan
        try:
            self.c.upsert(["new1", "new2", "new3"], rows)
        except vecdb.InvalidArgument:
            return
        raise AssertionError("NaN was accepted")

    def get(self) -> None:
        keys = [self.key() for _ in range(self.random.choice([1, 10]))]
        for key, record in zip(keys, self.c.get(keys)):
            assert (record is None) == (key not in self.records), key
            if record is not None:
                vector, fields = self.records[key]
                assert record.metadata == fields and (record.vector == vector).all(), key

    def delete(self) -> None:
        keys = {self.key() for _ in range(self.random.choice([1, 5]))}
        there = [key for key in keys if self.records.pop(key, None)]
        assert self.c.delete(keys).deleted == len(there)

    def delete_where(self) -> None:
        found, model = self.filter()
        filter = found & (F.n < 8)
        gone = [key for key, (_, f) in self.records.items() if model(f) and f["n"] < 8]
        assert self.c.delete(filter=filter).deleted == len(gone)
        for key in gone:
            del self.records[key]

    def count(self) -> None:
        found, model = self.filter()
        assert self.c.count(found) == sum(model(f) for _, f in self.records.values()), str(found)
        assert self.c.count() == len(self.records)

    def search(self) -> None:
        queries = self.vectors(self.random.choice([1, 1, 3]))
        k = self.random.choice([1, 5, 500])
        found, model = self.filter() if self.random.random() < 0.4 else (None, lambda f: True)
        keys = [key for key, (_, f) in self.records.items() if model(f)]
        exact = self.random.random() < 0.5
        results = self.c.search(queries, k=k, filter=found, exact=exact, metadata=True, vectors=True)
        for query, hits in zip(queries, results):
            distances = dict(zip(keys, self.distances(query, keys)))
            assert len(hits) == min(k, len(keys)), (len(hits), k, len(keys))
            assert len(set(hits.keys)) == len(hits)
            for hit in hits:
                assert math.isclose(hit.distance, distances[hit.key], rel_tol=1e-3, abs_tol=1e-3)
                assert hit.metadata == self.records[hit.key][1]
                assert (hit.vector == self.records[hit.key][0]).all()
            assert (numpy.diff(hits.distances) >= 0).all()
            if exact:
                nearest = sorted(distances.values())[:k]
                assert numpy.allclose(hits.distances, nearest, rtol=1e-3, atol=1e-3)

    def scroll(self) -> None:
        found, model = self.filter()
        wanted = sorted((key for key, (_, f) in self.records.items() if model(f)), key=str.encode)
        got = [record.key for record in self.c.scroll(filter=found, page_size=37, vectors=False)]
        assert got == wanted

    def reopen(self) -> None:
        self.database.close()
        self.database = vecdb.open(self.place, create=False, scrub_bytes_per_second=0)
        self.c = self.database.collection("c")

    def restore(self) -> None:
        repository = os.path.join(self.directory, "repository")
        self.database.backup(repository, low_priority=False)
        self.database.close()
        self.restores += 1
        # The copy goes on as the same database, so that the next backup goes to the same repository.
        self.place = os.path.join(self.directory, f"copy{self.restores}")
        report = vecdb.restore(repository, self.place, continues=True)
        assert report["records"] == len(self.records)
        self.database = vecdb.open(self.place, create=False, scrub_bytes_per_second=0)
        self.c = self.database.collection("c")

    def rebuild(self) -> None:
        self.c.rebuild(m=self.random.choice([12, 16, 24]), grace_seconds=0, minimum_recall=0.1)

    def check(self) -> None:
        assert self.database.check()["problems"] == []

    def step(self) -> None:
        actions = [
            (self.upsert, 250), (self.refused, 10), (self.get, 200), (self.delete, 80),
            (self.delete_where, 8), (self.count, 100), (self.search, 300), (self.scroll, 20)]
        # Some of these take a second.
        rare = [(self.reopen, 1.5), (self.restore, 0.15), (self.rebuild, 0.2), (self.check, 0.4)]
        names, weights = zip(*actions, *rare)
        action = self.random.choices(names, weights)[0]
        self.counts[action.__name__] = self.counts.get(action.__name__, 0) + 1
        action()


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--operations", type=int, default=20000)
    parser.add_argument("--seed", type=int, default=int.from_bytes(os.urandom(4), "big"))
    options = parser.parse_args()
    print(f"model: {options.operations} operations, --seed {options.seed}", flush=True)
    started = time.monotonic()
    # In memory where that is possible: other tests are about disks.
    memory = "/dev/shm" if os.path.isdir("/dev/shm") else None
    with tempfile.TemporaryDirectory(dir=memory) as directory:
        model = Model(options.seed, directory)
        for number in range(options.operations):
            try:
                model.step()
            except BaseException:
                print(f"failed at operation {number}, --seed {options.seed}", file=sys.stderr)
                raise
        model.check()
        model.database.close()
    print(f"model: as it should be, {model.counts}, {time.monotonic() - started:.1f} s")
    return 0


if __name__ == "__main__":
    sys.exit(main())
