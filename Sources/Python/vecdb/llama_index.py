"""A vector store for LlamaIndex: ``pip install 'vecdb[llama-index]'``.

>>> from vecdb.llama_index import VecDBVectorStore
>>> store = VecDBVectorStore("notes.vecdb")                            # doctest: +SKIP
>>> index = VectorStoreIndex.from_vector_store(store, embed_model=model)  # doctest: +SKIP
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from typing import Any, Optional

from ._collection import Collection
from ._documents import KEY, Documents, Place, all_of, always, any_of, missing, packed, unpacked
from ._errors import InvalidArgument
from ._filters import Field, Filter

try:
    from llama_index.core.bridge.pydantic import PrivateAttr
    from llama_index.core.schema import BaseNode, MetadataMode
    from llama_index.core.vector_stores.types import (
        BasePydanticVectorStore, FilterCondition, FilterOperator, MetadataFilter, MetadataFilters,
        VectorStoreQuery, VectorStoreQueryMode, VectorStoreQueryResult)
    from llama_index.core.vector_stores.utils import metadata_dict_to_node, node_to_metadata_dict
except ImportError as error:
    raise missing("LlamaIndex", "llama-index-core", "llama-index", error) from error


def _listed(one: MetadataFilter) -> list[Any]:
    if not isinstance(one.value, list):
        raise InvalidArgument(
            f"the value of '{one.operator.value}' is {type(one.value).__name__}", one.key,
            "Pass a list.")
    return one.value


def _text(one: MetadataFilter) -> str:
    if not isinstance(one.value, str):
        raise InvalidArgument(
            f"the value of '{one.operator.value}' is {type(one.value).__name__}", one.key,
            "Pass a text.")
    return one.value


def _escaped(text: str) -> str:
    """The text as a pattern that only matches itself."""
    for sign in ("\\", "%", "_"):
        text = text.replace(sign, "\\" + sign)
    return text


def _is_empty(field: Field) -> Filter:
    return any_of([~field.exists(), field == None, field == "", field == []])  # noqa: E711


def _in(field: Field, one: MetadataFilter) -> Filter:
    return field.in_(_listed(one))


_OPERATORS: dict[FilterOperator, Callable[[Field, MetadataFilter], Filter]] = {
    FilterOperator.EQ: lambda field, one: field == one.value,
    # What lacks the field is unlike every value.
    FilterOperator.NE: lambda field, one: ~(field == one.value),
    FilterOperator.GT: lambda field, one: field > one.value,  # type: ignore[operator]
    FilterOperator.GTE: lambda field, one: field >= one.value,  # type: ignore[operator]
    FilterOperator.LT: lambda field, one: field < one.value,  # type: ignore[operator]
    FilterOperator.LTE: lambda field, one: field <= one.value,  # type: ignore[operator]
    FilterOperator.IN: _in,
    FilterOperator.NIN: lambda field, one: ~_in(field, one),
    FilterOperator.ANY: lambda field, one: any_of(field.contains(v) for v in _listed(one)),
    FilterOperator.ALL: lambda field, one:
        always(all_of([field.exists(), *(field.contains(v) for v in _listed(one))])),
    FilterOperator.CONTAINS: lambda field, one: field.contains(one.value),  # type: ignore[arg-type]
    FilterOperator.TEXT_MATCH: lambda field, one: field.contains_text(_text(one)),
    FilterOperator.TEXT_MATCH_INSENSITIVE:
        lambda field, one: field.like("%" + _escaped(_text(one)) + "%", ignore_case=True),
    FilterOperator.IS_EMPTY: lambda field, one: _is_empty(field),
}


def translated(filters: MetadataFilters | None) -> Filter | None:
    """The filter of vecdb that matches the same nodes.

    :raises InvalidArgument: for an operator that vecdb does not know.
    """
    if filters is None or not filters.filters:
        return None
    parts: list[Filter] = []
    for one in filters.filters:
        if isinstance(one, MetadataFilters):
            parts.append(always(translated(one)))
        elif one.operator in _OPERATORS:
            parts.append(_OPERATORS[one.operator](Field(one.key), one))
        else:
            raise InvalidArgument(
                f"vecdb has no filter for '{one.operator.value}'", one.key,
                "It compares whole values: use ==, in or contains.")
    if filters.condition == FilterCondition.OR:
        return any_of(parts)
    if filters.condition == FilterCondition.NOT:
        return ~any_of(parts)
    return all_of(parts)


class VecDBVectorStore(BasePydanticVectorStore):
    """Nodes of LlamaIndex in a collection of vecdb, with their texts. Added nodes are on disk.

    :param database: a path, which :meth:`close` closes; or an open :class:`vecdb.Database`.
    :param collection: its name. It is created with the first nodes.
    :param metric: ``cosine``, ``dot`` or ``l2``.
    """

    stores_text: bool = True
    _documents: Documents = PrivateAttr()

    def __init__(
        self, database: Place, collection: str = "llama_index", metric: str = "cosine"
    ) -> None:
        super().__init__(stores_text=True)
        self._documents = Documents(database, collection, metric)

    @classmethod
    def class_name(cls) -> str:
        """The name of the class."""
        return "VecDBVectorStore"

    def close(self) -> None:
        """Closes the database if it was given as a path."""
        self._documents.close()

    @property
    def client(self) -> Optional[Collection]:
        """The collection; None before the first nodes."""
        return self._documents.found

    def add(self, nodes: Sequence[BaseNode], **kwargs: Any) -> list[str]:
        """Adds nodes with embeddings, or replaces those with the same identifiers."""
        last = {node.node_id: node for node in nodes}
        if last:
            vectors, fields = [], []
            for key, node in last.items():
                vector = node.get_embedding()
                text = node.get_content(metadata_mode=MetadataMode.NONE)
                values = node_to_metadata_dict(node, remove_text=True)
                # Fields that filters use come before what is only kept.
                values = {**values, "_node_content": values.pop("_node_content")}
                packed_fields = packed(text, values, f"node {key}")
                packed_fields[KEY] = key
                vectors.append(vector)
                fields.append(packed_fields)
            self._documents.require(len(vectors[0])).upsert(list(last), vectors, fields)
        return [node.node_id for node in nodes]

    @staticmethod
    def _node(fields: dict[str, Any] | None, vector: Any = None) -> BaseNode:
        text, metadata = unpacked(fields)
        node = metadata_dict_to_node(metadata, text)
        if vector is not None:
            node.embedding = vector.tolist()
        return node

    @staticmethod
    def _matching(
        filters: MetadataFilters | None, node_ids: list[str] | None,
        doc_ids: list[str] | None = None
    ) -> Filter | None:
        return all_of([
            translated(filters),
            None if node_ids is None else Field(KEY).in_(node_ids),
            None if doc_ids is None else Field("ref_doc_id").in_(doc_ids)])

    def get_nodes(
        self, node_ids: Optional[list[str]] = None, filters: Optional[MetadataFilters] = None
    ) -> list[BaseNode]:
        """The nodes with these identifiers, those that match the filters, or those that do both."""
        collection = self._documents.found
        if collection is None:
            return []
        if node_ids is not None and filters is None:
            found = [record for record in collection.get(node_ids) if record is not None]
        else:
            found = list(collection.scroll(filter=self._matching(filters, node_ids)))
        return [self._node(record.metadata, record.vector) for record in found]

    def delete(self, ref_doc_id: str, **delete_kwargs: Any) -> None:
        """Deletes the nodes of a document."""
        if self._documents.found is not None:
            self._documents.found.delete(filter=Field("ref_doc_id") == ref_doc_id)

    def delete_nodes(
        self, node_ids: Optional[list[str]] = None, filters: Optional[MetadataFilters] = None,
        **delete_kwargs: Any
    ) -> None:
        """Deletes the nodes with these identifiers, those that match the filters, or those that do
        both."""
        matching = self._matching(filters, node_ids)
        if matching is None:
            raise InvalidArgument(
                "delete_nodes got neither node_ids nor filters", "delete_nodes",
                "Pass one of them; clear() deletes all nodes.")
        if self._documents.found is not None:
            self._documents.found.delete(filter=matching)

    def clear(self) -> None:
        """Deletes all nodes."""
        self._documents.clear()

    def query(self, query: VectorStoreQuery, **kwargs: Any) -> VectorStoreQueryResult:
        """The nodes nearest to the query's embedding: in the mode `default` the nearest, in `mmr`
        also unlike each other. `ef`, `recall` and `exact` are those of
        :meth:`vecdb.Collection.search`.

        :raises InvalidArgument: for other modes, which need an index of words.
        """
        if query.mode not in (VectorStoreQueryMode.DEFAULT, VectorStoreQueryMode.MMR):
            raise InvalidArgument(
                f"vecdb has no mode '{query.mode.value}'", "query", "Use default or mmr.")
        if query.query_embedding is None:
            raise InvalidArgument(
                "the query has no embedding", "query_embedding", "Pass an embedding model.")
        # LlamaIndex passes empty lists for no restriction.
        matching = self._matching(query.filters, query.node_ids or None, query.doc_ids or None)
        collection, is_mmr = self._documents.found, query.mode == VectorStoreQueryMode.MMR
        if collection is None:
            return VectorStoreQueryResult(nodes=[], similarities=[], ids=[])
        k = query.similarity_top_k
        known = {name: kwargs[name] for name in ("ef", "recall", "exact") if name in kwargs}
        if is_mmr:
            # As in LlamaIndex, a greater threshold means nearer and less diverse.
            threshold = kwargs.get("mmr_threshold", query.mmr_threshold)
            hits = collection.search_diverse(
                query.query_embedding, k, relevance=0.5 if threshold is None else threshold,
                candidates=kwargs.get("mmr_prefetch_k"), filter=matching, metadata=True, **known)
        else:
            hits = collection.search(
                query.query_embedding, k, filter=matching, metadata=True, **known)
        return VectorStoreQueryResult(
            nodes=[self._node(hit.metadata) for hit in hits],
            similarities=[self._documents.similarity(hit.distance) for hit in hits],
            ids=[hit.key for hit in hits])

    async def aget_nodes(
        self, node_ids: Optional[list[str]] = None, filters: Optional[MetadataFilters] = None
    ) -> list[BaseNode]:
        """As :meth:`get_nodes`, on another thread."""
        return await asyncio.to_thread(self.get_nodes, node_ids, filters)

    async def async_add(self, nodes: Sequence[BaseNode], **kwargs: Any) -> list[str]:
        """As :meth:`add`, on another thread."""
        return await asyncio.to_thread(self.add, nodes, **kwargs)

    async def adelete(self, ref_doc_id: str, **delete_kwargs: Any) -> None:
        """As :meth:`delete`, on another thread."""
        await asyncio.to_thread(self.delete, ref_doc_id, **delete_kwargs)

    async def adelete_nodes(
        self, node_ids: Optional[list[str]] = None, filters: Optional[MetadataFilters] = None,
        **delete_kwargs: Any
    ) -> None:
        """As :meth:`delete_nodes`, on another thread."""
        await asyncio.to_thread(self.delete_nodes, node_ids, filters, **delete_kwargs)

    async def aclear(self) -> None:
        """As :meth:`clear`, on another thread."""
        await asyncio.to_thread(self.clear)

    async def aquery(self, query: VectorStoreQuery, **kwargs: Any) -> VectorStoreQueryResult:
        """As :meth:`query`, on another thread."""
        return await asyncio.to_thread(self.query, query, **kwargs)
