"""The adapter for LlamaIndex: each operator, mode and method of its vector stores.

LlamaIndex has no suite for vector stores in its package; the filters are compared with those of its
own SimpleVectorStore.
"""

import asyncio
import random

import pytest
from llama_index.core import Document, MockEmbedding, StorageContext, VectorStoreIndex
from llama_index.core.schema import NodeRelationship, RelatedNodeInfo, TextNode
from llama_index.core.vector_stores.simple import SimpleVectorStore
from llama_index.core.vector_stores.types import (
    FilterCondition, FilterOperator, MetadataFilter, MetadataFilters, VectorStoreQuery,
    VectorStoreQueryMode)

import vecdb
from vecdb.llama_index import VecDBVectorStore


def node(place: int, **metadata) -> TextNode:
    numbers = random.Random(place)
    return TextNode(
        id_=f"n{place}", text=f"text {place}", embedding=[numbers.random() for _ in range(4)],
        metadata={"n": place, **metadata},
        relationships={NodeRelationship.SOURCE: RelatedNodeInfo(node_id=f"doc{place // 2}")})


@pytest.fixture
def store(tmp_path):
    opened = VecDBVectorStore(tmp_path / "db")
    yield opened
    opened.close()


@pytest.fixture
def filled(store):
    nodes = [
        node(place, **{"kind": "odd" if place % 2 else "even"}, **(
            {"tags": ["a", "b"][: place % 3]} if place % 4 else {})) for place in range(12)]
    assert store.add(nodes) == [f"n{place}" for place in range(12)]
    return store


def ids(store, *filters, condition=FilterCondition.AND, **more):
    query = VectorStoreQuery(
        query_embedding=[1, 1, 1, 1], similarity_top_k=100,
        filters=MetadataFilters(filters=list(filters), condition=condition), **more)
    return sorted(int(key[1:]) for key in store.query(query).ids)


def condition(key, operator, value=None):
    return MetadataFilter(key=key, value=value, operator=operator)


OPERATORS = [
    ("n", "==", 3), ("n", "!=", 3), ("n", ">", 3), ("n", ">=", 3), ("n", "<", 3), ("n", "<=", 3),
    ("n", "in", [1, 2, 50]), ("n", "nin", [1, 2]), ("kind", "==", "odd"), ("kind", "in", ["odd"]),
    ("tags", "contains", "b"), ("tags", "any", ["a", "z"]), ("tags", "all", ["a", "b"]),
    ("tags", "all", []), ("tags", "any", []), ("missing", "!=", 1), ("missing", "nin", [1]),
    ("missing", "==", 1), ("missing", "is_empty", None), ("tags", "is_empty", None),
    ("kind", "is_empty", None), ("kind", "text_match", "od"), ("kind", "text_match", "%"),
    ("kind", "text_match", "OD"), ("kind", "text_match_insensitive", "OD"),
    ("kind", "text_match_insensitive", "_")]


@pytest.mark.parametrize("combination", list(FilterCondition))
def test_operators_are_those_of_llama_index(filled, combination):
    simple = SimpleVectorStore()
    simple.add(filled.get_nodes())
    numbers = random.Random(3)
    for round in range(len(OPERATORS) + 100):
        chosen = [OPERATORS[round]] if round < len(OPERATORS) else numbers.sample(OPERATORS, 3)
        filters = [condition(key, FilterOperator(name), value) for key, name, value in chosen]
        assert ids(filled, *filters, condition=combination) == ids(
            simple, *filters, condition=combination), (chosen, combination)


def test_filters_in_filters(filled):
    inner = MetadataFilters(
        filters=[condition("n", FilterOperator.EQ, 1), condition("n", FilterOperator.EQ, 4)],
        condition=FilterCondition.OR)
    assert ids(filled, inner, condition("kind", FilterOperator.EQ, "odd")) == [1]
    assert ids(filled) == list(range(12))


def test_what_is_refused(filled):
    for operator in (FilterOperator.TEXT_MATCH, FilterOperator.TEXT_MATCH_INSENSITIVE):
        with pytest.raises(vecdb.InvalidArgument, match="text_match"):
            ids(filled, condition("kind", operator, 5))
    with pytest.raises(vecdb.InvalidArgument, match="list"):
        ids(filled, condition("n", FilterOperator.IN, 3))
    for mode in VectorStoreQueryMode:
        if mode not in (VectorStoreQueryMode.DEFAULT, VectorStoreQueryMode.MMR):
            with pytest.raises(vecdb.InvalidArgument, match=mode.value):
                filled.query(VectorStoreQuery(query_embedding=[1, 1, 1, 1], mode=mode))
    with pytest.raises(vecdb.InvalidArgument, match="embedding"):
        filled.query(VectorStoreQuery())
    with pytest.raises(vecdb.InvalidArgument, match="clear"):
        filled.delete_nodes()


def test_query(filled):
    wanted = node(7)
    result = filled.query(VectorStoreQuery(query_embedding=wanted.embedding, similarity_top_k=3))
    assert result.ids[0] == "n7" and result.similarities[0] == pytest.approx(1)
    assert result.similarities == sorted(result.similarities, reverse=True)
    first = result.nodes[0]
    assert (first.text, first.ref_doc_id, first.metadata["n"]) == ("text 7", "doc3", 7)
    assert ids(filled, node_ids=["n1", "n5", "x"]) == [1, 5]
    assert ids(filled, doc_ids=["doc1"]) == [2, 3]
    assert ids(filled, condition("n", FilterOperator.GT, 2), doc_ids=["doc1"]) == [3]


def test_mmr(store):
    same = [TextNode(id_=f"same{place}", text="s", embedding=[1, 0.001 * place]) for place in range(3)]
    store.add([*same, TextNode(id_="other", text="o", embedding=[1, 1])])

    def keys(threshold):
        return store.query(VectorStoreQuery(
            query_embedding=[1, 0], similarity_top_k=2, mode=VectorStoreQueryMode.MMR,
            mmr_threshold=threshold)).ids

    assert keys(0.3) == ["same0", "other"]
    assert keys(1) == ["same0", "same1"]


def test_delete_and_get(filled):
    filled.delete("doc2")
    assert ids(filled) == [0, 1, 2, 3, 6, 7, 8, 9, 10, 11]
    filled.delete_nodes(["n0", "n1"], MetadataFilters(filters=[condition("n", FilterOperator.EQ, 1)]))
    filled.delete_nodes(["n3"])
    filled.delete_nodes(filters=MetadataFilters(filters=[condition("n", FilterOperator.GT, 7)]))
    assert ids(filled) == [0, 2, 6, 7]
    found = filled.get_nodes(["n6", "n1"])
    assert [one.node_id for one in found] == ["n6"]
    assert found[0].embedding == pytest.approx(node(6).embedding)
    filled.clear()
    assert ids(filled) == [] and filled.get_nodes() == []


def test_index_and_reopen(tmp_path):
    store = VecDBVectorStore(tmp_path / "db")
    model = MockEmbedding(embed_dim=8)
    VectorStoreIndex.from_documents(
        [Document(text="one", doc_id="d1"), Document(text="two", doc_id="d2")],
        storage_context=StorageContext.from_defaults(vector_store=store), embed_model=model)
    store.close()
    store = VecDBVectorStore(tmp_path / "db")
    index = VectorStoreIndex.from_vector_store(store, embed_model=model)
    assert {one.text for one in index.as_retriever(similarity_top_k=5).retrieve("x")} == {"one", "two"}
    index.delete_ref_doc("d1")
    assert [one.text for one in store.get_nodes()] == ["two"]
    store.close()


def test_async(filled):
    async def run():
        await filled.async_add([node(20)])
        await filled.adelete("doc0")
        await filled.adelete_nodes(["n2"])
        query = VectorStoreQuery(query_embedding=[1, 1, 1, 1], similarity_top_k=50)
        assert len((await filled.aquery(query)).ids) == 10
        assert len(await filled.aget_nodes()) == 10
        await filled.aclear()
        assert (await filled.aquery(query)).ids == []

    asyncio.run(run())
