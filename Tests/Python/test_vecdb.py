"""Tests of the Python package: what it promises, and every bad input that we could think of."""

import gc
import json
import os
import pickle
import signal
import subprocess
import sys
import tempfile
import threading
import time
import unittest
import warnings

import numpy

import vecdb
from vecdb import F


def floats(rows: int, columns: int = 8, seed: int = 1) -> numpy.ndarray:
    return numpy.random.default_rng(seed).random((rows, columns), dtype=numpy.float32)


class Case(unittest.TestCase):
    def setUp(self) -> None:
        self.directory = tempfile.TemporaryDirectory()
        self.addCleanup(self.directory.cleanup)

    def place(self, name: str) -> str:
        return os.path.join(self.directory.name, name)

    def opened(self, name: str = "db", **options) -> vecdb.Database:
        database = vecdb.open(self.place(name), scrub_bytes_per_second=0, **options)
        self.addCleanup(database.close)
        return database

    def filled(self, rows: int = 200, columns: int = 8, metric: str = "l2", name: str = "db"):
        database = self.opened(name)
        collection = database.create_collection("c", columns, metric)
        vectors = floats(rows, columns)
        collection.upsert(
            [f"k{row}" for row in range(rows)], vectors, [{"n": row, "odd": row % 2 == 1} for row in range(rows)])
        return database, collection, vectors

    def refuses(self, kind, word: str, body, *arguments, **options) -> vecdb.VecDBError:
        """That the call raises this class and names the thing."""
        with self.assertRaises(kind) as raised:
            body(*arguments, **options)
        self.assertIsInstance(raised.exception, vecdb.VecDBError)
        self.assertIn(word, str(raised.exception))
        return raised.exception


class Promises(Case):
    def test_records_come_back(self):
        database, c, vectors = self.filled()
        self.assertEqual(len(c), 200)
        self.assertIn("k5", c)
        self.assertNotIn("nothing", c)
        self.assertNotIn(5, c)
        record, missing = c.get(["k5", "nothing"])
        self.assertIsNone(missing)
        self.assertEqual((record.key, record.metadata), ("k5", {"n": 5, "odd": True}))
        numpy.testing.assert_array_equal(record.vector, vectors[5])
        self.assertIsNone(c.get(["k5"], vectors=False, metadata=False)[0].vector)
        self.assertEqual(c.upsert(["k5"], vectors[5:6], [{"n": 5, "odd": True}]).unchanged, 1)
        self.assertEqual(database.collections()[0]["count"], 200)
        self.assertEqual((c.name, c.dimensions, c.metric), ("c", 8, "l2"))
        again = database.collection("c")
        self.assertEqual(again.count(), 200)

    def test_search(self):
        _, c, vectors = self.filled()
        one = c.search(vectors[7], k=3, metadata=True, vectors=True)
        self.assertEqual((one.keys[0], one[0].key, one.distances[0]), ("k7", "k7", 0))
        self.assertEqual(one[0].metadata, {"n": 7, "odd": True})
        numpy.testing.assert_array_equal(one.vectors[0], vectors[7])
        self.assertEqual([hit.key for hit in one], one.keys)
        self.assertEqual(len(one[1:]), 2)
        self.assertEqual((len(one), one[-1].key), (3, one.keys[2]))
        many = c.search(vectors, k=3, exact=True)
        self.assertEqual([keys[0] for keys in many.keys], [f"k{row}" for row in range(200)])
        self.assertEqual(many.distances.shape, (200, 3))
        self.assertEqual((many[7].keys, len(many)), (one.keys, 200))
        truth = numpy.sort(((vectors[:, None] - vectors[None]) ** 2).sum(axis=2), axis=1)[:, :3]
        numpy.testing.assert_allclose(many.distances, truth, atol=1e-5)
        self.assertEqual(c.search(vectors[0], k=65536).distances.shape, (200,))
        self.assertEqual(len(c.search(numpy.empty((0, 8), numpy.float32))), 0)
        self.assertEqual(len(c.search([[0.0] * 8], recall=0.9, k=2)[0]), 2)
        self.assertEqual(c.search(vectors[7], k=1, ef=200)[0].vector, None)

    def test_filters(self):
        _, c, vectors = self.filled()
        self.assertEqual(c.count("n < 10"), 10)
        self.assertEqual(c.count(F.n < 10), 10)
        self.assertEqual(c.count((F.n < 10) & (F.odd == True)), 5)  # noqa: E712
        self.assertEqual(c.count((F.n < 10) | (F.n >= 195)), 15)
        self.assertEqual(c.count(~(F.n < 10)), 190)
        self.assertEqual(c.count(F.n.in_([1, 2, 2000])), 2)
        self.assertEqual(c.count(F.n.in_([])), 0)
        self.assertEqual(c.count(F["n"] != 3), 199)
        self.assertEqual(c.count(F.n.exists()), 200)
        self.assertEqual(c.count(F.n <= numpy.int64(3)), 4)
        c.upsert(["x"], floats(1), [{"it's": 'a "quoted" \'name\'', "in": ["a", "b"], "zero": None}])
        self.assertEqual(c.count(F["it's"] == 'a "quoted" \'name\''), 1)
        self.assertEqual(c.count(F["in"].contains("b")), 1)
        self.assertEqual(c.count(F.zero == None), 1)  # noqa: E711
        self.assertEqual(set(c.search(vectors[0], k=9, filter=F.n.in_([3, 4])).keys), {"k3", "k4"})
        self.assertEqual(c.delete(filter=F.n >= 100).deleted, 100)
        self.assertEqual(c.delete(["x", "nothing"]).deleted, 1)
        self.assertEqual(c.search(vectors, k=100).distances.shape, (200, 100))
        uneven = c.search(vectors[:2], k=100, filter="n < 2")
        self.assertEqual(uneven.distances.shape, (2, 2))

    def test_scroll(self):
        _, c, _ = self.filled()
        keys = [record.key for record in c.scroll(page_size=7)]
        self.assertEqual(keys, sorted(f"k{row}" for row in range(200)))
        page = c.page(limit=3, vectors=False)
        self.assertEqual([record.key for record in page.records], keys[:3])
        self.assertEqual(c.page(page.next, 1).records[0].key, keys[3])
        self.assertEqual(sum(1 for _ in c.scroll(filter=F.n < 50)), 50)

    def test_types_of_components(self):
        database = self.opened()
        c = database.create_collection("c", 16, "l2")
        whole = numpy.random.default_rng(2).integers(-9, 9, (6, 16))
        for place, kind in enumerate(["float32", "float64", "float16", "int8", ">f4", ">f8"]):
            c.upsert([f"{place}"], whole[place:place + 1].astype(kind))
            numpy.testing.assert_array_equal(c.get([f"{place}"])[0].vector, whole[place])
            self.assertEqual(c.search(whole[place].astype(kind), k=1).keys, [f"{place}"])
        c.upsert(["list"], [[1] * 16])
        self.assertEqual(c.search([1] * 16, k=1).keys, ["list"])
        bits = database.create_collection("bits", 16, "hamming")
        rows = numpy.random.default_rng(3).integers(0, 2, (5, 16))
        bits.upsert(list("abcde"), numpy.packbits(rows, axis=1))
        numpy.testing.assert_array_equal(bits.get(["c"])[0].vector, rows[2])
        self.assertEqual(bits.search(numpy.packbits(rows[3]), k=1).keys, ["d"])

    def test_layouts(self):
        # What cannot be read in place is copied, and means the same.
        database = self.opened()
        c = database.create_collection("c", 8, "l2")
        wide = floats(40, 32)
        unaligned = numpy.frombuffer(b"x" + wide[:, :8].tobytes(), numpy.float32, 320, 1).reshape(40, 8)
        self.assertFalse(unaligned.flags.aligned)
        readonly = wide[:, :8].copy()
        readonly.flags.writeable = False
        layouts = {
            "sliced": wide[:, 8:16], "fortran": numpy.asfortranarray(wide[:, :8]),
            "reversed": wide[::-1, 7::-1], "strided": wide[:, ::4], "unaligned": unaligned,
            "readonly": readonly}
        for name, rows in layouts.items():
            with self.subTest(name):
                keys = [f"{name}{row}" for row in range(40)]
                c.upsert(keys, rows)
                found = numpy.array([record.vector for record in c.get(keys)])
                numpy.testing.assert_array_equal(found, rows)
                self.assertEqual(len(c.search(rows, k=1)), 40)

    def test_backup_restore_check(self):
        database, c, vectors = self.filled()
        repository, copy = self.place("repository"), self.place("copy")
        database.mark("first")
        report = database.backup(repository)
        self.assertGreater(report["newBytes"], 0)
        c.delete(filter="true")
        database.backup(repository)
        self.assertEqual([point["records"] for point in vecdb.backups(repository)], [200, 0])
        self.assertEqual([mark["name"] for mark in database.marks()], ["first"])
        database.remove_mark("first")
        self.assertEqual(vecdb.restore(repository, copy, mark="first")["records"], 200)
        self.refuses(vecdb.AlreadyExists, "copy", vecdb.restore, repository, copy)
        with vecdb.open(copy) as restored:
            found = restored.collection("c").search(vectors, k=1, exact=True)
            self.assertEqual([keys[0] for keys in found.keys], [f"k{row}" for row in range(200)])
            self.assertEqual(restored.check()["problems"], [])
        self.assertIn("restorePoints", json.dumps(vecdb.verify(repository, samples=1)))

    def test_maintenance(self):
        database, c, _ = self.filled()
        self.assertIn("lsn", database.checkpoint())
        self.assertEqual(database.stats(graph_digests=True)["collections"][0]["count"], 200)
        self.assertEqual(c.rebuild(m=20, grace_seconds=0)["m"], 20)
        self.assertEqual(c.rebuild_status()["m"], 20)
        database.drop_collection("c")
        self.refuses(vecdb.Closed, "c", c.count)
        self.assertEqual(database.collections(), [])

    def test_reopening(self):
        database, c, vectors = self.filled()
        database.close()
        database.close()
        with vecdb.open(self.place("db"), create=False) as again:
            self.assertEqual(again.collection("c").count(), 200)

    def test_threads(self):
        database, c, vectors = self.filled(2000)
        wrong = []

        def read():
            for row in range(0, 2000, 8):
                if c.search(vectors[row], k=1, ef=200).keys != [f"k{row}"]:
                    wrong.append(row)

        def write(number):
            for row in range(30):
                c.upsert([f"w{number}-{row}"], floats(1, seed=row) + 5)

        threads = [threading.Thread(target=read) for _ in range(3)]
        threads += [threading.Thread(target=write, args=(number,)) for number in range(2)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        self.assertLessEqual(len(wrong), 5)
        self.assertEqual(c.count(), 2060)


class BadInput(Case):
    def test_vectors(self):
        database, c, vectors = self.filled()
        upsert, bad, ones = c.upsert, vecdb.InvalidArgument, numpy.ones
        for dtype in ["int64", "int32", "uint64", "bool", "complex64", "U3", "O", "M8[s]"]:
            self.refuses(bad, f"dtype {numpy.dtype(dtype)}", upsert, ["a"], ones((1, 8)).astype(dtype))
            self.refuses(bad, "queries", c.search, ones(8).astype(dtype))
        self.refuses(bad, "7 components", upsert, ["a"], ones((1, 7), "f4"))
        self.refuses(bad, "9 components", c.search, ones(9, "f4"))
        self.refuses(bad, "(1, 2, 8)", upsert, ["a"], ones((1, 2, 8), "f4"))
        self.refuses(bad, "shape ()", c.search, numpy.float32(1))
        self.refuses(bad, "vectors", upsert, ["a", "b"], [[1.0] * 8, [1.0] * 7])
        self.refuses(bad, "2 vectors for 1 keys", upsert, ["a"], ones((2, 8), "f4"))
        self.refuses(bad, "1 vectors for 0 keys", upsert, [], ones((1, 8), "f4"))
        self.refuses(bad, "packbits", upsert, ["a"], ones((1, 8), "u1"))
        for value in [numpy.nan, numpy.inf, -numpy.inf]:
            rows = vectors[:3].copy()
            rows[1, 4] = value
            self.refuses(bad, "'x1'", upsert, ["x0", "x1", "x2"], rows)
            self.refuses(bad, "query 1", c.search, rows)
            self.refuses(bad, "query", c.search, rows[1])
            self.refuses(bad, "query", c.search, rows[1].astype("f2"))
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            self.refuses(bad, "'big'", upsert, ["big"], numpy.full((1, 8), 1e300))
        for wrong in [None, "text", b"bytes", {"a": 1}, object(), [["a"] * 8], [[None] * 8]]:
            self.refuses(bad, "vectors", upsert, ["a"], wrong)
            self.refuses(bad, "queries", c.search, wrong)
        cosine = database.create_collection("cosine", 8, "cosine")
        self.refuses(bad, "zero", cosine.upsert, ["zero"], numpy.zeros((1, 8), "f4"))
        self.assertEqual((c.count(), cosine.count()), (200, 0))

    def test_keys_and_metadata(self):
        _, c, vectors = self.filled()
        one, bad = vectors[:1], vecdb.InvalidArgument
        self.refuses(bad, "bytes (b'a')", c.upsert, [b"a"], one)
        self.refuses(bad, "int (1)", c.upsert, [1], one)
        self.refuses(bad, "NoneType", c.get, [None])
        self.refuses(bad, "one str", c.upsert, "a", one)
        self.refuses(bad, "one bytes", c.delete, b"a")
        self.refuses(bad, "keys are int", c.delete, 5)
        self.refuses(bad, "key", c.upsert, [""], one)
        self.refuses(bad, "1", c.upsert, ["x" * 1025], one)
        self.refuses(bad, "UTF-8", c.upsert, ["\ud800"], one)
        self.assertEqual(c.upsert(numpy.array(["ä", "日本"]), vectors[:2]).inserted, 2)
        self.assertEqual([record.key for record in c.get(["日本", "ä"])], ["日本", "ä"])
        self.assertEqual(c.upsert([], numpy.empty((0, 8), "f4")).inserted, 0)
        self.assertEqual(c.upsert([], []).inserted, 0)
        for wrong, word in [
                ([{}, {}], "2 metadata for 1 keys"), ({"a": 1}, "dict"), ("x", "str"), (["x"], "str"),
                ([{"a": {"b": {1}}}], "set"), ([{"a": float("nan")}], "metadata 0"),
                ([{"a": object()}], "object"), ([{"a": 2 ** 70}], "metadata"), ([{1: 2}], "name 1"),
                ([{"a": b"x"}], "bytes"), ([{"": 1}], "")]:
            self.refuses(bad, word, c.upsert, ["a"], one, wrong)
        # Fields within fields get names with dots.
        c.upsert(["a"], one, [{"a": {"b": 1}}])
        self.assertEqual(c.get(["a"])[0].metadata, {"a.b": 1})
        c.upsert(["n"], one, [{"i": numpy.int32(3), "f": numpy.float32(0.5), "l": numpy.arange(2)}])
        self.assertEqual(c.get(["n"])[0].metadata, {"i": 3, "f": 0.5, "l": [0, 1]})

    def test_numbers(self):
        database, c, vectors = self.filled()
        bad, query = vecdb.InvalidArgument, vectors[0]
        for k in [0, -1, 65537, 2 ** 63, 2 ** 200, 1.5, "3", None, True]:
            self.refuses(bad, "k", c.search, query, k=k)
        for ef in [0, -1, 65537, 2 ** 64, 1.5]:
            self.refuses(bad, "ef", c.search, query, ef=ef)
        for recall in [0, 1, -1, float("nan"), 2.0]:
            self.refuses(bad, "recall", c.search, query, recall=recall)
        for limit in [0, 10001, -5, 2 ** 70]:
            self.refuses(bad, "limit", c.page, None, limit)
        for dimensions in [0, -1, 65537, 2 ** 80, 1.5, "8", None, True]:
            self.refuses(bad, "dimensions", database.create_collection, "x", dimensions)
        for options in [{"m": 0}, {"m": 10 ** 9}, {"ef_construction": 1}, {"codes": "x"}, {"m": -1}]:
            self.refuses(bad, "", database.create_collection, "x", 8, **options)
        self.refuses(bad, "metric", database.create_collection, "x", 8, "euclid")
        self.refuses(bad, "metric", database.create_collection, "x", 8, 3)
        self.refuses(bad, "name", database.create_collection, 3, 8)
        self.refuses(bad, "name", database.collection, None)
        self.refuses(vecdb.AlreadyExists, "c", database.create_collection, "c", 8)
        self.refuses(vecdb.NotFound, "none", database.collection, "none")
        self.assertIsInstance(self.refuses(LookupError, "", database.collection, "x"), vecdb.NotFound)

    def test_filters(self):
        _, c, vectors = self.filled()
        bad = vecdb.InvalidArgument
        self.refuses(bad, "column", c.count, "n <")
        self.refuses(bad, "filter", c.count, 3)
        self.refuses(bad, "filter", c.search, vectors[0], filter=b"n < 3")
        self.refuses(bad, "filter", lambda: F.n == float("nan"))
        self.refuses(bad, "filter", lambda: F.n == object())
        self.refuses(bad, "list", F.n.in_, "text")
        self.refuses(bad, "delete", c.delete)
        self.refuses(bad, "delete", c.delete, ["a"], filter="true")
        deep = F.n == 1
        for _ in range(5000):
            deep = ~deep
        self.refuses(vecdb.VecDBError, "", c.count, deep)
        for body in [lambda: (F.n == 1) and (F.n == 2), lambda: not F.n, lambda: F.n & F.m,
                     lambda: (F.n == 1) & "n == 2"]:
            with self.assertRaises(TypeError):
                body()

    def test_paths(self):
        self.refuses(vecdb.NotFound, "nothing", vecdb.open, self.place("nothing"), create=False)
        self.refuses(vecdb.InvalidArgument, "path", vecdb.open, "")
        self.refuses(vecdb.InvalidArgument, "path", vecdb.open, b"db")
        self.refuses(vecdb.InvalidArgument, "path", vecdb.open, None)
        self.refuses(vecdb.VecDBError, "", vecdb.open, "a\0b")
        self.refuses(vecdb.InvalidArgument, "logLevel", vecdb.open, self.place("x"), log_level="loud")
        self.refuses(vecdb.InvalidArgument, "buildThreads", vecdb.open, self.place("x"), build_threads=-1)
        with open(self.place("file"), "w") as file:
            file.write("x")
        self.refuses(vecdb.VecDBError, "file", vecdb.open, self.place("file"))
        self.refuses(vecdb.NotFound, "", vecdb.backups, self.place("nothing"))
        self.refuses(vecdb.NotFound, "", vecdb.restore, self.place("nothing"), self.place("copy"))
        self.refuses(vecdb.InvalidArgument, "lsn", vecdb.restore, self.place("n"), self.place("c"), lsn=-1)

    def test_closed_handles(self):
        database, c, vectors = self.filled()
        database.close()
        for body in [database.stats, database.check, database.marks, database.checkpoint, c.count,
                     lambda: database.collection("c"), lambda: c.search(vectors[0]),
                     lambda: c.get(["a"]), lambda: c.upsert(["a"], vectors[:1]),
                     lambda: c.delete(["a"]), c.page, c.rebuild_status,
                     lambda: database.backup(self.place("r"))]:
            error = self.refuses(vecdb.Closed, "closed", body)
            self.assertEqual(error.code, "closed")

    def test_damage(self):
        database, _, _ = self.filled()
        database.close()
        log = next(os.path.join(where, name) for where, _, names in os.walk(self.place("db"))
                   for name in names if name.endswith((".db", ".sqlite", ".log")) or "log" in where)
        with open(log, "r+b") as file:
            file.seek(0)
            file.write(b"\xff" * 200)
        error = self.refuses(vecdb.VecDBError, "", vecdb.open, self.place("db"))
        self.assertTrue(error.location)

    def test_exceptions(self):
        kinds = [kind for kind in vars(vecdb).values()
                 if isinstance(kind, type) and issubclass(kind, vecdb.VecDBError)]
        self.assertEqual(len(kinds), 21)
        for kind in kinds:
            error = kind("it is so", "here", "Do that.")
            again = pickle.loads(pickle.dumps(error))
            for one in (error, again):
                self.assertEqual(str(one), "it is so (here). Do that.")
                self.assertEqual((one.message, one.location, one.remedy, one.code),
                                 ("it is so", "here", "Do that.", kind.code))
        self.assertTrue(issubclass(vecdb.DiskFull, OSError) and issubclass(vecdb.NotFound, LookupError))

    def test_pickling(self):
        database, c, _ = self.filled()
        for thing in [database, c]:
            with self.assertRaisesRegex(TypeError, "cannot be pickled"):
                pickle.dumps(thing)
        error = self.refuses(vecdb.NotFound, "", database.collection, "none")
        again = pickle.loads(pickle.dumps(error))
        self.assertEqual((type(again), str(again)), (vecdb.NotFound, str(error)))


class Processes(Case):
    def test_two_handles(self):
        self.opened()
        self.refuses(vecdb.Locked, "db", vecdb.open, self.place("db"))

    def run_python(self, text: str, *arguments: str) -> subprocess.CompletedProcess:
        return subprocess.run(
            [sys.executable, "-c", text, self.place("db"), *arguments], capture_output=True, text=True,
            timeout=60)

    def test_two_processes(self):
        database = self.opened()
        text = "import sys, vecdb\ntry: vecdb.open(sys.argv[1])\nexcept vecdb.Locked as e: print(e.code)"
        self.assertEqual(self.run_python(text).stdout.strip(), "locked")
        database.close()
        self.assertEqual(self.run_python(text).stdout.strip(), "")

    def test_fork(self):
        database, c, vectors = self.filled()
        reader, writer = os.pipe()
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            child = os.fork()
        if child == 0:
            signal.alarm(20)
            codes = []
            for body in [c.count, lambda: c.search(vectors[0]), lambda: c.upsert(["x"], vectors[:1]),
                         lambda: vecdb.open(self.place("other")), database.close]:
                try:
                    body()
                except vecdb.Forked as error:
                    codes.append(error.code)
            del database, c
            gc.collect()
            os.write(writer, ",".join(codes).encode())
            os._exit(0)
        self.assertEqual(os.waitpid(child, 0)[1], 0)
        self.assertEqual(os.read(reader, 1000), b",".join([b"forked"] * 5))
        os.close(reader)
        os.close(writer)
        self.assertEqual(c.count(), 200)

    def test_child_of_a_process_that_only_imported(self):
        text = (
            "import os, sys, vecdb\nchild = os.fork()\n"
            "if child == 0:\n    with vecdb.open(sys.argv[1]) as d: d.create_collection('c', 4)\n"
            "    os._exit(0)\nprint(os.waitpid(child, 0)[1])")
        self.assertEqual(self.run_python(text).stdout.strip(), "0")

    def test_exit_with_open_handles(self):
        text = (
            "import sys, threading, numpy, vecdb\nd = vecdb.open(sys.argv[1])\n"
            "c = d.create_collection('c', 4)\nc.upsert(['a'], numpy.ones((1, 4)))\n"
            "def read():\n    while True: c.search([1, 2, 3, 4])\n"
            "threading.Thread(target=read, daemon=True).start()\n")
        ended = self.run_python(text)
        self.assertEqual(ended.returncode, 0, ended.stderr)
        with vecdb.open(self.place("db")) as database:
            self.assertEqual(database.collection("c").count(), 1)

    def test_exit_while_threads_wait(self):
        text = (
            "import sys, threading, time, numpy, vecdb\nd = vecdb.open(sys.argv[1])\n"
            "c = d.create_collection('c', 4)\n"
            "def write(n):\n    while True: c.upsert([f'{n}'], numpy.random.rand(1, 4))\n"
            "def check():\n    while True: d.check()\n"
            "for n in range(4): threading.Thread(target=write, args=(n,), daemon=True).start()\n"
            "threading.Thread(target=check, daemon=True).start()\ntime.sleep(0.4)\n")
        ended = self.run_python(text)
        self.assertEqual(ended.returncode, 0, ended.stderr)

    def test_kill(self):
        text = (
            "import os, sys, numpy, vecdb\nd = vecdb.open(sys.argv[1])\n"
            "c = d.create_collection('c', 4)\nfor n in range(20): c.upsert([str(n)], numpy.ones((1, 4)))\n"
            "os.kill(os.getpid(), 9)")
        self.assertEqual(self.run_python(text).returncode, -9)
        with vecdb.open(self.place("db")) as database:
            self.assertEqual(database.collection("c").count(), 20)

    def test_keyboard_interrupt(self):
        database, c, _ = self.filled(20000, 32)
        queries = floats(20000, 32)
        # Whoever starts the tests in the background may have it ignored.
        before = signal.signal(signal.SIGINT, signal.default_int_handler)
        self.addCleanup(signal.signal, signal.SIGINT, before)
        threading.Timer(0.3, os.kill, (os.getpid(), signal.SIGINT)).start()
        started = time.monotonic()
        with self.assertRaises(KeyboardInterrupt):
            for _ in range(1000):
                c.search(queries, k=100, exact=True)
        self.assertLess(time.monotonic() - started, 20)
        self.assertEqual(c.count(), 20000)

    def test_no_output(self):
        ended = self.run_python(
            "import sys, vecdb\nwith vecdb.open(sys.argv[1]) as d: d.create_collection('c', 4)")
        self.assertEqual((ended.stdout, ended.stderr, ended.returncode), ("", "", 0))

    def test_the_library_is_not_loaded_twice_nor_missing(self):
        environment = {**os.environ, "VECDB_LIBRARY": self.place("none.so")}
        ended = subprocess.run([sys.executable, "-c", "import vecdb"], capture_output=True, text=True,
                               env=environment, timeout=60)
        self.assertIn("ImportError: vecdb cannot load its library", ended.stderr)

    def test_many_openings(self):
        def descriptors():
            return len(os.listdir("/proc/self/fd"))

        for _ in range(3):
            vecdb.open(self.place("db")).close()
        before = descriptors()
        for _ in range(30):
            vecdb.open(self.place("db")).close()
        self.assertLessEqual(descriptors(), before + 2)


if __name__ == "__main__":
    unittest.main()
