"""The adapter for Haystack: Haystack's own suites, and what they do not ask."""

import asyncio
import dataclasses
import itertools
import random

import numpy
import pytest
from haystack import Document, Pipeline
from haystack.dataclasses import ByteStream, SparseEmbedding
from haystack.document_stores.errors import DuplicateDocumentError
from haystack.document_stores.types import DuplicatePolicy
from haystack.errors import FilterError
from haystack.testing import document_store as suites
from haystack.testing import document_store_async as async_suites
from haystack.utils.filters import document_matches_filter

import vecdb
from vecdb.haystack import VecDBDocumentStore, VecDBEmbeddingRetriever


@pytest.fixture
def document_store(tmp_path):
    store = VecDBDocumentStore(tmp_path / "db", embedding_dim=768)
    yield store
    store.close()


class Own:
    """What the suites leave to the store: the order of documents, that embeddings are stored as float32,
    and that no policy means FAIL."""

    @staticmethod
    def assert_documents_are_equal(received, expected):
        def rounded(documents):
            return [
                dataclasses.replace(one, embedding=one.embedding and numpy.float32(one.embedding).tolist())
                for one in sorted(documents, key=lambda one: one.id)]

        assert rounded(received) == rounded(expected)

    def test_write_documents(self, document_store):
        documents = [Document(content="a"), Document(content="b")]
        assert document_store.write_documents(documents) == 2
        assert sorted(document_store.filter_documents(), key=lambda d: d.content) == documents
        with pytest.raises(DuplicateDocumentError):
            document_store.write_documents(documents)


class TestSuite(
        Own, suites.DocumentStoreBaseExtendedTests, suites.CountDocumentsByFilterTest,
        suites.CountUniqueMetadataByFilterTest, suites.GetMetadataFieldsInfoTest,
        suites.GetMetadataFieldMinMaxTest, suites.GetMetadataFieldUniqueValuesTest):
    @pytest.fixture
    def document_store(self, tmp_path):
        store = VecDBDocumentStore(tmp_path / "db", embedding_dim=768)
        yield store
        store.close()


class TestAsyncSuite(
        Own,
        async_suites.CountDocumentsAsyncTest, async_suites.CountDocumentsByFilterAsyncTest,
        async_suites.CountUniqueMetadataByFilterAsyncTest, async_suites.DeleteByFilterAsyncTest,
        async_suites.UpdateByFilterAsyncTest, async_suites.DeleteAllAsyncTest,
        async_suites.DeleteDocumentsAsyncTest, async_suites.GetMetadataFieldsInfoAsyncTest,
        async_suites.GetMetadataFieldMinMaxAsyncTest,
        async_suites.GetMetadataFieldUniqueValuesAsyncTest, async_suites.FilterDocumentsAsyncTest,
        async_suites.WriteDocumentsAsyncTest):
    @pytest.fixture
    def document_store(self, tmp_path):
        store = VecDBDocumentStore(tmp_path / "db", embedding_dim=768)
        yield store
        store.close()

    @pytest.mark.asyncio
    async def test_write_documents_async(self, document_store):
        documents = [Document(content="a")]
        assert await document_store.write_documents_async(documents) == 1
        with pytest.raises(DuplicateDocumentError):
            await document_store.write_documents_async(documents, DuplicatePolicy.FAIL)


VALUES = [
    None, 0, 1, -2, 1.5, "a", "b", "2020-01-01", "2020-01-01T00:00:00+02:00", "2020-01-01T00:00:00Z",
    "2020-06-01T12:00:00", ["a", 1], []]
DATES = [value for value in VALUES if isinstance(value, str) and value[0] == "2"]


def conditions(numbers):
    """A random filter that Haystack's own function can answer for every document."""
    if numbers.random() < 0.4:
        return {
            "operator": numbers.choice(["AND", "OR", "NOT"]),
            "conditions": [conditions(numbers) for _ in range(numbers.randint(1, 3))]}
    operator = numbers.choice(["==", "!=", "in", "not in", ">", ">=", "<", "<="])
    if operator in ("in", "not in"):
        return {"field": "meta.any", "operator": operator, "value": numbers.sample(VALUES, 3)}
    if operator in ("==", "!="):
        return {"field": "meta.any", "operator": operator, "value": numbers.choice(VALUES)}
    name = numbers.choice(["meta.number", "meta.date", "meta.in.date"])
    value = numbers.choice([0, 1, 1.5, None] if name == "meta.number" else [*DATES, None])
    return {"field": name, "operator": operator, "value": value}


def test_filters_are_those_of_haystack(document_store):
    documents = [
        Document(content=f"{place}", meta={
            "any": value, "number": number, **({"date": date, "in": {"date": date}} if date else {})})
        for place, (value, number, date) in enumerate(
            itertools.product(VALUES, [None, 0, 1, 2.5], [None, *DATES]))]
    document_store.write_documents(documents)
    numbers = random.Random(1)
    found = 0
    for _ in range(400):
        filters = conditions(numbers)
        wanted = {one.id for one in documents if document_matches_filter(filters, one)}
        assert {one.id for one in document_store.filter_documents(filters)} == wanted, filters
        found += len(wanted)
    assert found > 10_000
    one = documents[5]
    for name, value in (("id", one.id), ("content", one.content)):
        same = document_store.filter_documents({"field": name, "operator": "==", "value": value})
        assert [document.id for document in same] == [one.id]
    for name in ("embedding", "blob"):
        with pytest.raises(FilterError, match=name):
            document_store.filter_documents({"field": name, "operator": "==", "value": 1})
    with pytest.raises(FilterError, match="like"):
        document_store.filter_documents({"field": "meta.any", "operator": "like", "value": 1})


def test_retrieval(tmp_path):
    store = VecDBDocumentStore(tmp_path / "db", "c", 3)
    rows = [[1.0, 0.0, 0.0], [0.9, 0.1, 0.0], [0.0, 0.0, 1.0]]
    store.write_documents(
        [Document(content=f"{place}", embedding=row, meta={"n": place}) for place, row in enumerate(rows)])
    # Documents without an embedding are never found by one, not even with what stands in for it.
    store.write_documents([Document(content="bare")])
    assert {one.content for one in store.filter_documents() if one.embedding is None} == {"bare"}
    pipeline = Pipeline()
    pipeline.add_component("retriever", VecDBEmbeddingRetriever(store, top_k=2))
    again = None
    try:
        found = pipeline.run({"retriever": {"query_embedding": [1, 0, 0]}})["retriever"]["documents"]
        assert [one.content for one in found] == ["0", "1"] and found[0].score == pytest.approx(1)
        assert found[0].embedding is None
        text = pipeline.dumps()
        filters = {"field": "meta.n", "operator": ">", "value": 0}
        assert [one.content for one in store.embedding_retrieval([1, 0, 0], filters)] == ["1", "2"]
        assert len(asyncio.run(store.embedding_retrieval_async([1, 0, 0], None, 9))) == 3
        store.close()
        again = Pipeline.loads(text, allowed_modules=["vecdb.haystack"])
        found = again.run({"retriever": {"query_embedding": [1, 0, 0]}})["retriever"]["documents"]
        assert [one.content for one in found] == ["0", "1"], "it stays after the store was opened again"
    finally:
        store.close()
        if again is not None:
            again.get_component("retriever")._store.close()


def test_documents_come_back(document_store):
    document = Document(
        content="text", embedding=[0.5] * 768, meta={"a": {"b": [1, [2]]}, "c": None, "x": 1.0},
        blob=ByteStream(b"\x00\xff", mime_type="image/png", meta={"k": 1}),
        sparse_embedding=SparseEmbedding([1, 5], [0.5, 0.25]))
    document_store.write_documents([document, Document(id="none")])
    found = {one.id: one for one in document_store.filter_documents()}
    assert found[document.id] == document and found["none"] == Document(id="none")
    with pytest.raises(vecdb.InvalidArgument, match="3 components, not 768"):
        document_store.write_documents([Document(content="x", embedding=[1, 2, 3])])
    with pytest.raises(vecdb.InvalidArgument, match="reserved"):
        document_store.write_documents([Document(content="x", meta={"_bare": 1})])
    with pytest.raises(ValueError, match="no list"):
        document_store.write_documents(["text"])
