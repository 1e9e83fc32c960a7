"""Records as tables of pandas and Arrow, and back."""

import numpy
import pandas
import pyarrow
import pytest

import vecdb
from vecdb import F

ROWS = 60


@pytest.fixture
def collection(tmp_path):
    with vecdb.open(tmp_path / "db") as database:
        yield database.create_collection("c", 4, "l2")


def vectors():
    return numpy.random.default_rng(1).random((ROWS, 4), dtype=numpy.float32)


def frame():
    return pandas.DataFrame({
        "key": [f"k{row:03}" for row in range(ROWS)], "vector": list(vectors()),
        "year": range(2000, 2000 + ROWS), "score": [row / 2 if row % 3 else None for row in range(ROWS)],
        "lang": ["de" if row % 2 else None for row in range(ROWS)],
        "tags": [["a"] * (row % 3) for row in range(ROWS)]})


def fixed(values):
    return pyarrow.FixedSizeListArray.from_arrays(pyarrow.array(values.ravel()), values.shape[1])


def check(collection):
    assert len(collection) == ROWS
    first, second = collection.get(["k000", "k001"])
    numpy.testing.assert_array_equal(second.vector, vectors()[1])
    assert second.metadata == {"year": 2001, "score": 0.5, "lang": "de", "tags": ["a"]}
    assert first.metadata == {"year": 2000, "tags": []}, "fields without a value are left out"


def test_pandas(collection):
    assert collection.upsert_table(frame()).inserted == ROWS
    check(collection)
    found = collection.to_pandas(filter=F.year < 2010)
    assert list(found["key"]) == [f"k{row:03}" for row in range(10)]
    assert list(found["year"]) == list(range(2000, 2010))
    assert collection.upsert_table(collection.to_pandas()).unchanged == ROWS
    hits = collection.search(vectors()[3], k=5, metadata=True)
    table = hits.to_pandas()
    assert list(table["key"]) == hits.keys and list(table.columns[:2]) == ["key", "distance"]
    many = collection.search(vectors()[:7], k=3).to_pandas()
    assert list(many["query"]) == [row for row in range(7) for _ in range(3)]
    assert "vector" not in many and len(collection.search(vectors()[:0]).to_pandas()) == 0
    renamed = frame().rename(columns={"key": "id", "vector": "embedding"})
    assert collection.upsert_table(renamed, key="id", vector="embedding").unchanged == ROWS


def test_arrow(collection):
    data = pyarrow.Table.from_pandas(frame().drop(columns="vector")).append_column(
        "vector", fixed(vectors()))
    collection.upsert_table(pyarrow.concat_tables([data[:10], data[10:]]))
    check(collection)
    assert collection.upsert_table(data.to_batches()[0]).unchanged == ROWS
    # A part of a table begins within its memory.
    assert collection.upsert_table(data[5:9]).unchanged == 4
    lists = data.set_column(
        data.column_names.index("vector"), "vector", pyarrow.array(vectors().tolist()))
    assert collection.upsert_table(lists).unchanged == ROWS
    found = collection.to_arrow()
    assert found["vector"].type == pyarrow.list_(pyarrow.float32(), 4)
    assert collection.upsert_table(found).unchanged == ROWS
    hits = collection.search(vectors()[:2], k=4, vectors=True).to_arrow()
    assert hits.column_names == ["key", "query", "distance", "vector"] and len(hits) == 8
    assert len(collection.to_arrow(filter="false")) == 0


def test_bad_tables(collection):
    for table, word in (
            (frame().drop(columns="vector"), "'vector'"), (frame().drop(columns="key"), "'key'"),
            ({"key": ["a"]}, "dict"), (None, "NoneType"), (numpy.zeros((2, 2)), "ndarray"),
            (pandas.DataFrame({"key": ["a", "b"], "vector": [[1, 2, 3, 4], [1]]}), "equal length"),
            (pandas.DataFrame({"key": [1], "vector": [[1.0] * 4]}), "int"),
            (pyarrow.table({"key": ["a"], "vector": [None]}), "no vector"),
            (pandas.DataFrame({"key": ["a"], "vector": [[1.0] * 4], "when": pandas.Timestamp("2020")}),
             "Timestamp")):
        with pytest.raises(vecdb.InvalidArgument, match=word):
            collection.upsert_table(table)
    assert len(collection) == 0
    collection.upsert(["a", "b"], numpy.eye(2, 4), [{"distance": 1, "n": 1}, {"n": "x"}])
    with pytest.raises(vecdb.InvalidArgument, match="'distance'"):
        collection.search([0] * 4, metadata=True).to_pandas()
    with pytest.raises(vecdb.InvalidArgument, match="several types"):
        collection.to_arrow()
    assert list(collection.to_pandas()["n"]) == [1, "x"]
