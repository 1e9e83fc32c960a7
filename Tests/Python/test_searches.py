"""Tests of the searches that are more than the nearest records, and of the example."""

import hashlib
import os
import unittest

import numpy
import rag
from test_vecdb import Case, floats

import vecdb
from vecdb import F


def distances(vectors, query):
    return ((vectors - query) ** 2).sum(axis=1)


class Searches(Case):
    def test_within(self):
        _, c, vectors = self.filled()
        query = floats(1, 8, 9)[0]
        order = numpy.argsort(distances(vectors, query))
        radius = float(distances(vectors, query)[order[20]]) + 1e-6
        found = c.search_within(query, radius, exact=True)
        self.assertEqual(found.keys, [f"k{row}" for row in order[:21]])
        self.assertLessEqual(found.distances.max(), radius)
        self.assertEqual(c.search_within(query, radius, limit=3).keys, found.keys[:3])
        odd = c.search_within(query, radius, filter=F.odd == True, metadata=True)  # noqa: E712
        self.assertEqual(odd.keys, [key for key in found.keys if int(key[1:]) % 2])
        self.assertTrue(all(hit.metadata["odd"] for hit in odd))
        self.assertEqual(len(c.search_within(query, 0)), 0)
        self.refuses(vecdb.InvalidArgument, "distance", c.search_within, query, -1.0)
        self.refuses(vecdb.InvalidArgument, "distance", c.search_within, query, float("nan"))
        self.refuses(vecdb.InvalidArgument, "limit", c.search_within, query, 1.0, limit=0)

    def test_diverse(self):
        database = self.opened()
        c = database.create_collection("c", 2, "cosine")
        c.upsert(["a", "b", "c", "far"], [[1, 0], [1, 0.001], [1, 0.002], [1, 1]])
        query = [1.0, 0.0]
        self.assertEqual(c.search_diverse(query, 2, relevance=0.3).keys, ["a", "far"])
        self.assertEqual(c.search_diverse(query, 2, relevance=1).keys, ["a", "b"])
        self.assertEqual(c.search_diverse(query, 2, relevance=0.3, candidates=3).keys[1], "c")
        self.assertEqual(c.search_diverse(query, 1, vectors=True).vectors.shape, (1, 2))
        self.refuses(vecdb.InvalidArgument, "relevance", c.search_diverse, query, relevance=1.5)
        self.refuses(vecdb.InvalidArgument, "candidates", c.search_diverse, query, 5, candidates=2)

    def test_grouped(self):
        database = self.opened()
        c = database.create_collection("c", 8, "l2")
        vectors = floats(300)
        c.upsert([f"k{row}" for row in range(300)], vectors, [
            {"group": row % 7 if row % 2 else f"g{row % 5}", "n": row} for row in range(300)])
        query = floats(1, 8, 5)[0]
        groups = c.search_grouped(query, "group", groups=12, per_group=4, exact=True, metadata=True)
        self.assertEqual(len(groups), 12)
        values = [row % 7 if row % 2 else f"g{row % 5}" for row in range(300)]
        order = numpy.argsort(distances(vectors, query))
        for group in groups:
            members = [f"k{row}" for row in order if values[row] == group.value]
            self.assertEqual(group.hits.keys, members[:4])
            self.assertTrue(all(hit.metadata["group"] == group.value for hit in group.hits))
        nearest = [group.hits[0].distance for group in groups]
        self.assertEqual(nearest, sorted(nearest))
        few = c.search_grouped(query, "group", groups=2, filter=F.n < 3)
        self.assertEqual({group.value for group in few} - {"g0", 1, "g2"}, set())
        self.refuses(vecdb.InvalidArgument, "", c.search_grouped, query, "nothing")
        self.refuses(vecdb.InvalidArgument, "by", c.search_grouped, query, 5)
        self.refuses(vecdb.InvalidArgument, "", c.search_grouped, query, "group", groups=5000)

    def test_near(self):
        _, c, vectors = self.filled()
        like = c.search_near(["k7"], k=5, exact=True)
        order = [row for row in numpy.argsort(distances(vectors, vectors[7])) if row != 7]
        self.assertEqual(like.keys, [f"k{row}" for row in order[:5]])
        mean = vectors[[1, 2]].mean(axis=0)
        point = mean + (mean - vectors[3])
        order = [row for row in numpy.argsort(distances(vectors, point)) if row not in (1, 2, 3)]
        found = c.search_near(["k1", "k2"], away_from=["k3"], k=4, exact=True)
        self.assertEqual(found.keys, [f"k{row}" for row in order[:4]])
        self.refuses(vecdb.NotFound, "nothing", c.search_near, ["nothing"])
        self.refuses(vecdb.InvalidArgument, "", c.search_near, [])
        self.refuses(vecdb.InvalidArgument, "keys", c.search_near, "k1")

    def test_threads(self):
        _, c, vectors = self.filled()
        alone = c.search(vectors, k=5)
        for threads in (0, 2, 7):
            self.assertEqual(c.search(vectors, k=5, threads=threads).keys, alone.keys)
        self.assertEqual(c.search(vectors[0], k=5, threads=4).keys, alone[0].keys)
        self.refuses(vecdb.InvalidArgument, "threads", c.search, vectors, threads=-1)
        self.refuses(vecdb.InvalidArgument, "threads", c.search, vectors, threads=5000)

    def test_one_query(self):
        database, c, vectors = self.filled()
        for body in (lambda v: c.search_within(v, 1.0), c.search_diverse,
                     lambda v: c.search_grouped(v, "n")):
            self.refuses(vecdb.InvalidArgument, "2 queries", body, vectors[:2])
            self.refuses(vecdb.InvalidArgument, "8 dimensions", body, [1.0, 2.0])
            self.refuses(vecdb.InvalidArgument, "NoneType", body, None)
        database.close()
        self.refuses(vecdb.Closed, "", c.search_within, vectors[0], 1.0)

    def test_exist_ok(self):
        database, _, _ = self.filled()
        self.assertEqual(len(database.create_collection("c", 8, "l2", exist_ok=True)), 200)
        self.assertEqual(len(database.create_collection("new", 8, "l2", exist_ok=True)), 0)
        self.refuses(vecdb.AlreadyExists, "8 dimensions", database.create_collection, "c", 9, "l2",
                     exist_ok=True)
        self.refuses(vecdb.AlreadyExists, "c", database.create_collection, "c", 8, "l2")


def hashed(texts):
    """A stand-in for an embedding model: words by their hash, those of the same stem alike."""
    rows = numpy.zeros((len(texts), 256), numpy.float32)
    for row, text in zip(rows, texts):
        for word in text.lower().replace("?", " ").replace(".", " ").split():
            if len(word) > 3:
                row[hashlib.sha256(word[:5].encode()).digest()[0]] += 1
        row[0] += 0.01
    return rows


class Example(Case):
    def test_rag(self):
        texts = {
            "whales.txt": "Whales are mammals that live in the sea and breathe air at the surface.\n\n"
                          "The sperm whale dives to a depth of two thousand metres to hunt squid.",
            "castles.txt": "A castle had a moat, a drawbridge and a keep with very thick walls.\n\nshort"}
        for name, text in texts.items():
            with open(self.place(name), "w") as file:
                file.write(text)
        paths = [self.place(name) for name in texts]
        database = self.opened()
        for _ in range(2):
            notes = rag.index(database, hashed, paths)
            self.assertEqual(len(notes), 3)
        found = rag.prompt(notes, hashed, "How deep does a sperm whale dive?", k=1)
        self.assertIn("[" + self.place("whales.txt") + "#1] The sperm whale dives", found)
        self.assertNotIn("castle had", found)
        os.truncate(paths[0], 0)
        with open(paths[0], "w") as file:
            file.write("Whales sing songs that are heard over hundreds of kilometres of sea.")
        self.assertEqual(len(rag.index(database, hashed, paths)), 2)


if __name__ == "__main__":
    unittest.main()
