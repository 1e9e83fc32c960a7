"""Tests of writes with conditions, changes of metadata, counts of values, expiry and filters on texts."""

import time
import unittest
from datetime import datetime, timedelta, timezone

import numpy
from test_vecdb import Case, floats

import vecdb
from vecdb import F


class Writes(Case):
    def test_policies(self):
        _, c, vectors = self.filled(10)
        new = floats(2, seed=7)
        keys = ["k1", "new"]
        self.refuses(vecdb.AlreadyExists, "k1", c.upsert, keys, new, policy="failIfExisting")
        self.refuses(vecdb.NotFound, "new", c.upsert, keys, new, policy="failIfMissing")
        self.assertEqual(len(c), 10)
        written = c.upsert(keys, new, policy="skipExisting")
        self.assertEqual((written.inserted, written.updated), (1, 0))
        numpy.testing.assert_array_equal(c.get(["k1"])[0].vector, vectors[1])
        written = c.upsert(["k1", "newer"], new, policy="skipMissing")
        self.assertEqual((written.inserted, written.updated), (0, 1))
        self.refuses(vecdb.InvalidArgument, "policy", c.upsert, keys, new, policy="maybe")

    def test_versions(self):
        _, c, vectors = self.filled(10)
        version = c.get(["k1"])[0].version
        self.assertEqual(c.upsert(["k1"], vectors[2:3], if_version=version).updated, 1)
        self.refuses(vecdb.Conflict, "k1", c.upsert, ["k1"], vectors[3:4], if_version=version)
        numpy.testing.assert_array_equal(c.get(["k1"])[0].vector, vectors[2])
        self.refuses(vecdb.Conflict, "k1", c.update, ["k1"], {"n": 0}, if_version=version)
        self.assertEqual(c.update(["k1"], {"n": 0}, if_version=c.page().records[1].version).updated, 1)
        self.refuses(vecdb.InvalidArgument, "ifVersion", c.upsert, ["k1", "k2"], vectors[:2],
                     if_version=version)

    def test_update(self):
        _, c, vectors = self.filled(10)
        written = c.update(["k1", "k2"], {"state": "read", "tags": numpy.array([1, 2])}, remove=["odd"])
        self.assertEqual(written.updated, 2)
        record = c.get(["k2"])[0]
        self.assertEqual(record.metadata, {"n": 2, "state": "read", "tags": [1, 2]})
        numpy.testing.assert_array_equal(record.vector, vectors[2])
        self.assertEqual(c.update(["k2"], {"state": "read"}).unchanged, 1)
        self.assertEqual(c.update(["k2"], {"only": 1}, remove_others=True).updated, 1)
        self.assertEqual(c.get(["k2"])[0].metadata, {"only": 1})
        self.refuses(vecdb.NotFound, "none", c.update, ["k1", "none"], {"state": "lost"})
        self.assertEqual(c.get(["k1"])[0].metadata["state"], "read")
        self.assertEqual(c.update_where(F.n >= 5, {"late": True}).updated, 5)
        self.assertEqual(c.count(F.late == True), 5)  # noqa: E712
        self.refuses(vecdb.InvalidArgument, "dot", c.update, ["k1"], {"a": {"b": 1}})
        self.refuses(vecdb.InvalidArgument, "remove", c.update, ["k1"], remove="odd")
        self.refuses(vecdb.InvalidArgument, "filter", c.update_where, None, {"a": 1})
        self.refuses(vecdb.InvalidArgument, "dict", c.update, ["k1"], [1])

    def test_facets(self):
        _, c, _ = self.filled(100)
        c.update_where(F.n < 30, {"lang": "de"})
        c.update_where((F.n >= 30) & (F.n < 40), {"lang": "en"})
        found = c.facets("lang")
        self.assertEqual(found.values, [("de", 30), ("en", 10)])
        self.assertEqual((found.distinct, found.matching, found.missing), (2, 100, 60))
        self.assertEqual(c.facets("odd", filter="n < 3").values, [(False, 2), (True, 1)])
        self.assertEqual(c.facets("n", limit=4).distinct, 100)
        self.refuses(vecdb.InvalidArgument, "limit", c.facets, "n", limit=0)
        self.refuses(vecdb.InvalidArgument, "field", c.facets, 5)

    def test_expiry(self):
        _, c, vectors = self.filled(3)
        now = datetime.now(timezone.utc)
        c.upsert(["soon"], vectors[:1], expires=now + timedelta(seconds=1.5))
        c.touch(["k1"], now + timedelta(seconds=1.5))
        c.touch(["k2"], now + timedelta(days=1))
        c.touch(["k2"], None)
        self.assertEqual(len(c), 4)
        deadline = time.monotonic() + 60
        while len(c) > 2 and time.monotonic() < deadline:
            time.sleep(0.1)
        self.assertEqual(sorted(record.key for record in c.scroll()), ["k0", "k2"])
        self.refuses(vecdb.NotFound, "soon", c.touch, ["soon"], None)
        self.refuses(vecdb.InvalidArgument, "datetime", c.touch, ["k0"], 5)

    def test_filters_on_texts(self):
        _, c, vectors = self.filled(4)
        c.update(["k0"], {"title": "The Whale", "when": "2020-05-01T12:00:00Z", "none": None, "e": []})
        c.update(["k1"], {"title": "100%_off", "when": "2021-05-01T12:00:00+02:00"})

        def keys(filter):
            return sorted(record.key for record in c.scroll(filter=filter))

        self.assertEqual(keys(F.title.starts_with("The")), ["k0"])
        self.assertEqual(keys(F.title.contains_text("%_o")), ["k1"])
        self.assertEqual(keys(F.title.like("%wh_le", ignore_case=True)), ["k0"])
        self.assertEqual(keys(F.title.like("%wh_le")), [])
        self.assertEqual(keys(F.n.between(1, 2)), ["k1", "k2"])
        self.assertEqual(keys(F.title.is_missing()), ["k2", "k3"])
        self.assertEqual(keys(F.none.is_null() | F.e.is_empty()), ["k0"])
        moment = datetime(2021, 5, 1, 10, tzinfo=timezone.utc)
        self.assertEqual(keys(F.when == moment), ["k1"])
        self.assertEqual(keys(F.when < moment), ["k0"])
        self.refuses(vecdb.InvalidArgument, "int", F.title.starts_with, 5)


if __name__ == "__main__":
    unittest.main()
