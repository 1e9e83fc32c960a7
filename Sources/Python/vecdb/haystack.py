"""A document store and a retriever for Haystack: ``pip install 'vecdb[haystack]'``.

>>> from vecdb.haystack import VecDBDocumentStore, VecDBEmbeddingRetriever
>>> store = VecDBDocumentStore("notes.vecdb", embedding_dim=384)     # doctest: +SKIP
>>> retriever = VecDBEmbeddingRetriever(store, top_k=5)              # doctest: +SKIP
"""

from __future__ import annotations

import asyncio
import json
import threading
from typing import Any, Optional, Union

from ._collection import Collection
from ._documents import JSON, KEY, TEXT, Documents, Place, all_of, always, missing, packed, unpacked
from ._errors import InvalidArgument
from ._filters import F, Field, Filter

try:
    from haystack import component, default_from_dict, default_to_dict
    from haystack.dataclasses import Document
    from haystack.document_stores.errors import DuplicateDocumentError
    from haystack.document_stores.types import DuplicatePolicy

    from ._haystack_filters import INSTANT, WALL, date_fields, field_name, translated
except ImportError as error:
    raise missing("Haystack", "haystack-ai", "haystack", error) from error

Filters = Optional[dict[str, Any]]

#: Marks documents without an embedding: their record has a vector that nothing asks for.
_BARE = "_bare"
#: What a document has beside content, meta and embedding, as JSON.
_PARTS = "_parts"
_OWN = (TEXT, JSON, KEY, _BARE, _PARTS)


def _distinct(values: list[Any]) -> list[Any]:
    """Each value once; values of different types are different."""
    found = {json.dumps(value, sort_keys=True): value for value in values}
    return [found[text] for text in sorted(found)]


class VecDBDocumentStore:
    """Documents of Haystack in a collection of vecdb. Written documents are on disk.

    Documents need no embedding; the retriever finds those that have one. Filters compare numbers,
    texts, lists and ISO dates as Haystack's own store does, but true is no number.

    :param database: a path, which :meth:`close` closes; or an open :class:`vecdb.Database`.
    :param collection: its name.
    :param embedding_dim: components of an embedding.
    :param similarity: ``cosine``, ``dot`` or ``l2``.
    """

    def __init__(
        self, database: Place, collection: str = "haystack", embedding_dim: int = 768,
        similarity: str = "cosine"
    ) -> None:
        self._documents = Documents(database, collection, similarity, embedding_dim)
        self._embedding_dim = embedding_dim
        # A write that depends on what is there, and the reading before it, are one step.
        self._lock = threading.Lock()

    def close(self) -> None:
        """Closes the database if it was given as a path."""
        self._documents.close()

    @property
    def collection(self) -> Collection:
        """The collection."""
        return self._documents.require(self._embedding_dim)

    def to_dict(self) -> dict[str, Any]:
        """The store's parameters, for pipelines that are saved."""
        found: dict[str, Any] = default_to_dict(
            self, database=self._documents.database.path, collection=self._documents.name,
            embedding_dim=self._embedding_dim, similarity=self._documents.metric)
        return found

    @classmethod
    def from_dict(cls, data: dict[str, Any]) -> VecDBDocumentStore:
        """Opens the store again."""
        store: VecDBDocumentStore = default_from_dict(cls, data)
        return store

    def _packed(self, document: Document) -> dict[str, Any]:
        where = f"document {document.id}"
        fields = packed(document.content, document.meta, where)
        for name in fields:
            if name in (_BARE, _PARTS) or name.startswith((WALL, INSTANT)):
                raise InvalidArgument(
                    f"the name {name!r} is reserved", where, "Give the field another name.")
        parts = {
            name: value for name, value in document.to_dict(flatten=False).items()
            if name in ("blob", "sparse_embedding") and value is not None}
        if parts:
            fields[_PARTS] = json.dumps(parts)
        if document.embedding is None:
            fields[_BARE] = True
        return {**fields, **date_fields(fields), KEY: document.id}

    @staticmethod
    def _document(
        key: str, fields: dict[str, Any] | None, vector: Any, score: float | None = None
    ) -> Document:
        given = fields or {}
        is_bare, parts = _BARE in given, given.get(_PARTS)
        content, meta = unpacked({
            name: value for name, value in given.items()
            if name not in (_BARE, _PARTS) and not name.startswith((WALL, INSTANT))})
        values: dict[str, Any] = {
            "id": key, "content": content, "meta": meta, "score": score,
            "embedding": None if is_bare or vector is None else vector.tolist()}
        values.update(json.loads(parts) if parts else {})
        return Document.from_dict(values)

    def count_documents(self) -> int:
        """How many documents there are."""
        return self.collection.count()

    def filter_documents(self, filters: Filters = None) -> list[Document]:
        """The documents that match, all without filters."""
        return [
            self._document(record.key, record.metadata, record.vector)
            for record in self.collection.scroll(filter=translated(filters))]

    def write_documents(
        self, documents: list[Document], policy: DuplicatePolicy = DuplicatePolicy.NONE
    ) -> int:
        """Writes documents, and returns how many, when they are on disk.

        :param policy: for documents that are there: FAIL (and NONE) raises and writes nothing, SKIP
            keeps them, OVERWRITE replaces them.
        :raises DuplicateDocumentError: by the policy FAIL.
        """
        if not isinstance(documents, list) or not all(isinstance(d, Document) for d in documents):
            raise ValueError("the documents are no list of Document")
        last: dict[str, Document] = {}
        twice = None
        for document in documents:
            if document.id in last:
                twice = document.id
                if policy == DuplicatePolicy.SKIP:
                    continue
            last[document.id] = document
        with self._lock:
            if policy != DuplicatePolicy.OVERWRITE and last:
                there = [
                    record.key for record in self.collection.get(last, metadata=False, vectors=False)
                    if record is not None]
                if policy == DuplicatePolicy.SKIP:
                    for key in there:
                        del last[key]
                elif there or twice is not None:
                    raise DuplicateDocumentError(
                        f"there is a document '{there[0] if there else twice}' already; pass "
                        "policy=DuplicatePolicy.SKIP or OVERWRITE")
            self._write(list(last.values()))
        return len(last)

    def _write(self, documents: list[Document]) -> None:
        if not documents:
            return
        # The vector of documents that have none: one that every metric takes.
        bare = [1.0] + [0.0] * (self._embedding_dim - 1)
        for document in documents:
            if document.embedding is not None and len(document.embedding) != self._embedding_dim:
                raise InvalidArgument(
                    f"the embedding has {len(document.embedding)} components, not "
                    f"{self._embedding_dim}", f"document {document.id}",
                    "Open the store with the embedding_dim of the embedder.")
        self.collection.upsert(
            [document.id for document in documents],
            [document.embedding if document.embedding is not None else bare
             for document in documents], [self._packed(document) for document in documents])

    def delete_documents(self, document_ids: list[str]) -> None:
        """Deletes the documents with these identifiers; others are ignored."""
        self.collection.delete(document_ids)

    def delete_all_documents(self) -> None:
        """Deletes all documents."""
        self._documents.clear()

    def delete_by_filter(self, filters: Filters) -> int:
        """Deletes the documents that match, and returns how many."""
        return self.collection.delete(filter=always(translated(filters))).deleted

    def update_by_filter(self, filters: Filters, meta: dict[str, Any]) -> int:
        """Sets fields of the documents that match, and returns how many."""
        with self._lock:
            found = self.filter_documents(filters)
            for document in found:
                document.meta.update(meta)
            self._write(found)
        return len(found)

    def count_documents_by_filter(self, filters: Filters) -> int:
        """How many documents match."""
        return self.collection.count(translated(filters))

    def _metas(self, filters: Filters = None, extra: Filter | None = None) -> list[dict[str, Any]]:
        found = self.collection.scroll(
            filter=all_of([translated(filters), extra]), vectors=False)
        return [
            {name: value for name, value in (record.metadata or {}).items()
             if name not in _OWN and not name.startswith((WALL, INSTANT))} for record in found]

    def _values(self, name: str, filters: Filters = None) -> list[Any]:
        name = field_name(name)
        found = (meta.get(name) for meta in self._metas(filters, Field(name).exists()))
        return [value for value in found if value is not None]

    def count_unique_metadata_by_filter(
        self, filters: Filters, metadata_fields: list[str]
    ) -> dict[str, int]:
        """How many values each of the fields has in the documents that match."""
        return {
            name.removeprefix("meta."): len(_distinct(self._values(name, filters)))
            for name in metadata_fields}

    def get_metadata_fields_info(self) -> dict[str, dict[str, str]]:
        """The types of the fields: ``keyword``, ``boolean``, ``int``, ``float`` or ``list``."""
        kinds = {bool: "boolean", int: "int", float: "float", list: "list"}
        found: dict[str, dict[str, str]] = {}
        for meta in self._metas():
            for name, value in meta.items():
                if value is not None:
                    found.setdefault(name, {"type": kinds.get(type(value), "keyword")})
        return found

    def get_metadata_field_min_max(self, metadata_field: str) -> dict[str, Any]:
        """The least and the greatest value of a field; None where no document has it."""
        values = self._values(metadata_field)
        try:
            return {"min": min(values, default=None), "max": max(values, default=None)}
        except TypeError as error:
            raise InvalidArgument(
                f"its values cannot be compared: {error}", metadata_field,
                "Choose a field of numbers or of texts.") from error

    def get_metadata_field_unique_values(
        self, metadata_field: str, search_term: Optional[str] = None, from_: int = 0,
        size: Optional[int] = 10, filters: Filters = None
    ) -> tuple[list[Any], int]:
        """A page of the values of a field, and how many there are.

        :param search_term: only values that contain this text, in capitals or not.
        """
        values = _distinct(self._values(metadata_field, filters))
        if search_term:
            values = [one for one in values if search_term.lower() in str(one).lower()]
        return values[from_:None if size is None else from_ + size], len(values)

    def embedding_retrieval(
        self, query_embedding: list[float], filters: Filters = None, top_k: int = 10,
        return_embedding: bool = False
    ) -> list[Document]:
        """The documents with the nearest embeddings, with scores: greater is nearer."""
        # Most stores have no documents without embeddings, and then need no filter for them.
        has_bare = self.collection.count(F[_BARE].exists()) > 0
        matching = all_of([translated(filters), ~F[_BARE].exists() if has_bare else None])
        hits = self.collection.search(
            query_embedding, top_k, filter=matching, metadata=True, vectors=return_embedding)
        return [
            self._document(
                hit.key, hit.metadata, hit.vector, self._documents.similarity(hit.distance))
            for hit in hits]

    async def count_documents_async(self) -> int:
        """As :meth:`count_documents`, on another thread."""
        return await asyncio.to_thread(self.count_documents)

    async def filter_documents_async(self, filters: Filters = None) -> list[Document]:
        """As :meth:`filter_documents`, on another thread."""
        return await asyncio.to_thread(self.filter_documents, filters)

    async def write_documents_async(
        self, documents: list[Document], policy: DuplicatePolicy = DuplicatePolicy.NONE
    ) -> int:
        """As :meth:`write_documents`, on another thread."""
        return await asyncio.to_thread(self.write_documents, documents, policy)

    async def delete_documents_async(self, document_ids: list[str]) -> None:
        """As :meth:`delete_documents`, on another thread."""
        await asyncio.to_thread(self.delete_documents, document_ids)

    async def delete_all_documents_async(self) -> None:
        """As :meth:`delete_all_documents`, on another thread."""
        await asyncio.to_thread(self.delete_all_documents)

    async def delete_by_filter_async(self, filters: Filters) -> int:
        """As :meth:`delete_by_filter`, on another thread."""
        return await asyncio.to_thread(self.delete_by_filter, filters)

    async def update_by_filter_async(self, filters: Filters, meta: dict[str, Any]) -> int:
        """As :meth:`update_by_filter`, on another thread."""
        return await asyncio.to_thread(self.update_by_filter, filters, meta)

    async def count_documents_by_filter_async(self, filters: Filters) -> int:
        """As :meth:`count_documents_by_filter`, on another thread."""
        return await asyncio.to_thread(self.count_documents_by_filter, filters)

    async def count_unique_metadata_by_filter_async(
        self, filters: Filters, metadata_fields: list[str]
    ) -> dict[str, int]:
        """As :meth:`count_unique_metadata_by_filter`, on another thread."""
        return await asyncio.to_thread(
            self.count_unique_metadata_by_filter, filters, metadata_fields)

    async def get_metadata_fields_info_async(self) -> dict[str, dict[str, str]]:
        """As :meth:`get_metadata_fields_info`, on another thread."""
        return await asyncio.to_thread(self.get_metadata_fields_info)

    async def get_metadata_field_min_max_async(self, metadata_field: str) -> dict[str, Any]:
        """As :meth:`get_metadata_field_min_max`, on another thread."""
        return await asyncio.to_thread(self.get_metadata_field_min_max, metadata_field)

    async def get_metadata_field_unique_values_async(
        self, metadata_field: str, search_term: Optional[str] = None, from_: int = 0,
        size: Optional[int] = 10, filters: Filters = None
    ) -> tuple[list[Any], int]:
        """As :meth:`get_metadata_field_unique_values`, on another thread."""
        return await asyncio.to_thread(
            self.get_metadata_field_unique_values, metadata_field, search_term, from_, size, filters)

    async def embedding_retrieval_async(
        self, query_embedding: list[float], filters: Filters = None, top_k: int = 10,
        return_embedding: bool = False
    ) -> list[Document]:
        """As :meth:`embedding_retrieval`, on another thread."""
        return await asyncio.to_thread(
            self.embedding_retrieval, query_embedding, filters, top_k, return_embedding)


@component
class VecDBEmbeddingRetriever:
    """Finds the documents with the nearest embeddings, as a component of a pipeline.

    :param document_store: where they are.
    :param filters: for every run; those of a run replace them.
    """

    def __init__(
        self, document_store: VecDBDocumentStore, filters: Filters = None, top_k: int = 10,
        return_embedding: bool = False
    ) -> None:
        if not isinstance(document_store, VecDBDocumentStore):
            raise InvalidArgument(
                f"the store is {type(document_store).__name__}", "document_store",
                "Pass a VecDBDocumentStore.")
        self._store, self._filters = document_store, filters
        self._top_k, self._return_embedding = top_k, return_embedding

    def to_dict(self) -> dict[str, Any]:
        """The component's parameters, for pipelines that are saved."""
        found: dict[str, Any] = default_to_dict(
            self, document_store=self._store.to_dict(), filters=self._filters, top_k=self._top_k,
            return_embedding=self._return_embedding)
        return found

    @classmethod
    def from_dict(cls, data: dict[str, Any]) -> VecDBEmbeddingRetriever:
        """Makes the component again."""
        parameters = data["init_parameters"]
        parameters["document_store"] = VecDBDocumentStore.from_dict(parameters["document_store"])
        retriever: VecDBEmbeddingRetriever = default_from_dict(cls, data)
        return retriever

    @component.output_types(documents=list[Document])
    def run(
        self, query_embedding: list[float], filters: Optional[dict[str, Any]] = None,
        top_k: Optional[int] = None
    ) -> dict[str, list[Document]]:
        """The documents nearest to the embedding of the query."""
        return {"documents": self._store.embedding_retrieval(
            query_embedding, filters or self._filters, top_k or self._top_k, self._return_embedding)}

    @component.output_types(documents=list[Document])
    async def run_async(
        self, query_embedding: list[float], filters: Optional[dict[str, Any]] = None,
        top_k: Optional[int] = None
    ) -> dict[str, list[Document]]:
        """As :meth:`run`, on another thread."""
        return {"documents": await self._store.embedding_retrieval_async(
            query_embedding, filters or self._filters, top_k or self._top_k, self._return_embedding)}
