"""The adapter for LangChain: LangChain's own suite, and what the suite does not ask."""

import asyncio
import datetime

import pytest
from langchain_core.documents import Document
from langchain_core.embeddings import DeterministicFakeEmbedding
from langchain_tests.integration_tests import VectorStoreIntegrationTests

import vecdb
from vecdb import F
from vecdb.langchain import VecDBVectorStore

EMBEDDING = DeterministicFakeEmbedding(size=6)


class TestSuite(VectorStoreIntegrationTests):
    @pytest.fixture()
    def vectorstore(self, tmp_path):
        with VecDBVectorStore(tmp_path / "db", self.get_embeddings()) as store:
            yield store


@pytest.fixture(params=["cosine", "l2", "dot"])
def store(request, tmp_path):
    with VecDBVectorStore(tmp_path / "db", EMBEDDING, metric=request.param) as opened:
        yield opened


def years(documents):
    return {document.metadata["year"] for document in documents}


def test_filters(store):
    store.add_texts(
        [f"t{year}" for year in range(2000, 2020)],
        [{"year": year, "tags": ["odd"] if year % 2 else [], "author": {"name": f"n{year % 3}"}}
         for year in range(2000, 2020)])
    assert years(store.similarity_search("x", 9, filter={"year": 2003})) == {2003}
    assert years(store.similarity_search("x", 9, filter=(F.year >= 2017) & F.tags.contains("odd"))) \
        == {2017, 2019}
    assert years(store.similarity_search("x", 99, filter="year < 2002")) == {2000, 2001}
    assert years(store.similarity_search("x", 99, filter={"author.name": "n0", "tags": []})) == {
        year for year in range(2000, 2020, 2) if year % 3 == 0}
    found = store.similarity_search_with_score("t2007", 20)
    assert found[0][0].metadata["author"] == {"name": "n0"}
    assert [distance for _, distance in found] == sorted(distance for _, distance in found)
    if store.collection.metric != "dot":
        assert found[0][0].page_content == "t2007"
        assert store.similarity_search_with_relevance_scores("t2007", 1)[0][1] > 0.99
    for bad in ({"year": {"$gt": 3}}, {"$or": []}):
        with pytest.raises(vecdb.InvalidArgument, match="F.year"):
            store.similarity_search("x", filter=bad)


def test_diverse(store):
    # Three copies of the best text, and others.
    store.add_texts(["same", "same", "same", "a", "b", "c"])
    texts = [one.page_content for one in store.max_marginal_relevance_search("same", 3, lambda_mult=0.3)]
    assert len(texts) == 3
    near = store.max_marginal_relevance_search("same", 3, lambda_mult=1)
    assert len(near) == 3
    if store.collection.metric != "dot":
        assert texts.count("same") == 1 and {one.page_content for one in near} == {"same"}
    retriever = store.as_retriever(search_type="mmr", search_kwargs={"k": 2, "fetch_k": 6})
    assert len(retriever.invoke("same")) == 2
    with pytest.raises(vecdb.InvalidArgument, match="relevance"):
        store.max_marginal_relevance_search("same", lambda_mult=2)


def test_metadata_come_back(store):
    metadata = {
        "n": 1, "x": 0.5, "none": None, "list": ["a", 1], "nested": {"a": {"b": [1]}},
        "matrix": [[1, 2], [3]], "": "empty", "dotted.name": True}
    ids = store.add_documents([Document("text", metadata=metadata)])
    assert store.get_by_ids(ids)[0].metadata == metadata
    assert len(store.similarity_search("text", filter=F["nested.a.b"].contains(1))) == 1
    for name in ("_text", "_json", "_key"):
        with pytest.raises(vecdb.InvalidArgument, match="reserved"):
            store.add_texts(["x"], [{name: 1}])
    with pytest.raises(vecdb.InvalidArgument, match="document 0"):
        store.add_texts(["x"], [{"when": datetime.date(2020, 1, 1)}])
    with pytest.raises(vecdb.InvalidArgument, match="2 metadatas for 1 texts"):
        store.add_texts(["x"], [{}, {}])


def test_delete(store):
    ids = store.add_texts(["a", "b", "c"], [{"year": year} for year in (1, 2, 3)], ids=["x", "y", None])
    assert ids[:2] == ["x", "y"]
    store.delete(["x", "nothing"])
    store.delete(filter={"year": 2})
    assert [one.page_content for one in store.similarity_search("a", 9)] == ["c"]
    with pytest.raises(vecdb.InvalidArgument, match="delete"):
        store.delete()
    # Of equal identifiers in one call the last one counts.
    store.add_texts(["old", "new"], ids=["z", "z"])
    assert store.get_by_ids(["z"])[0].page_content == "new"


def test_reopen(tmp_path):
    with VecDBVectorStore.from_texts(
            ["a", "b"], EMBEDDING, [{"n": 1}, {"n": 2}], ids=["1", "2"], database=tmp_path / "db"):
        with pytest.raises(vecdb.Locked):
            VecDBVectorStore(tmp_path / "db", EMBEDDING)
    with vecdb.open(tmp_path / "db") as database:
        store = VecDBVectorStore(database, EMBEDDING)
        assert store.get_by_ids(["2"]) == [Document("b", metadata={"n": 2}, id="2")]
        store.close()
        assert len(store.similarity_search("a", 1)) == 1, "a database that was given stays open"
        with pytest.raises(vecdb.InvalidArgument, match="metric"):
            VecDBVectorStore(database, EMBEDDING, metric="l2")


def test_async(store):
    async def run():
        ids = await store.aadd_texts(["a", "b", "c"], [{"year": year} for year in range(3)])
        assert len(await store.asimilarity_search("a", 2)) == 2
        assert len(await store.amax_marginal_relevance_search("a", 2)) == 2
        found = await asyncio.gather(*[store.asimilarity_search("b", 1) for _ in range(20)])
        assert all(len(one) == 1 for one in found)
        await store.adelete(ids)
        assert await store.asimilarity_search("a", 2) == []

    asyncio.run(run())
