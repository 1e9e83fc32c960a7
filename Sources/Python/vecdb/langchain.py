"""A vector store for LangChain: ``pip install 'vecdb[langchain]'``.

>>> from vecdb.langchain import VecDBVectorStore
>>> store = VecDBVectorStore("notes.vecdb", embeddings)         # doctest: +SKIP
>>> store.add_texts(["whales", "castles"], [{"year": 1851}, {"year": 1926}])  # doctest: +SKIP
>>> store.similarity_search("sea", k=1, filter={"year": 1851})  # doctest: +SKIP
"""

from __future__ import annotations

import math
import uuid
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any, Union

from ._collection import Collection
from ._documents import Documents, Place, all_of, missing, packed, unpacked
from ._errors import InvalidArgument
from ._filters import Field, Filter

try:
    from langchain_core.documents import Document
    from langchain_core.embeddings import Embeddings
    from langchain_core.vectorstores import VectorStore
except ImportError as error:
    raise missing("LangChain", "langchain-core", "langchain", error) from error

#: A text or an expression of ``F``; or a dict of fields and the values that they must have.
AnyFilter = Union[str, Filter, dict[str, Any], None]


def _filter(filter: AnyFilter) -> str | Filter | None:
    if not isinstance(filter, dict):
        return filter
    for name, value in filter.items():
        if isinstance(value, dict) or str(name).startswith("$"):
            raise InvalidArgument(
                f"{name!r} has no value to compare with", "filter",
                "Pass a dict of fields and values, or an expression such as F.year >= 2020.")
    return all_of(Field(name) == value for name, value in filter.items())


class VecDBVectorStore(VectorStore):
    """Documents of LangChain in a collection of vecdb. Added documents are on disk.

    Filters are dicts of fields and values, texts such as ``year >= 2020``, or expressions of
    :data:`vecdb.F`. Fields within fields have dots in their names: ``author.name``.

    :param database: a path, which :meth:`close` closes; or an open :class:`vecdb.Database`.
    :param embedding: makes vectors of texts.
    :param collection: its name. It is created with the first documents.
    :param metric: ``cosine``, ``dot`` or ``l2``.
    """

    def __init__(
        self, database: Place, embedding: Embeddings, collection: str = "langchain",
        metric: str = "cosine"
    ) -> None:
        self._documents = Documents(database, collection, metric)
        self._embedding = embedding

    def close(self) -> None:
        """Closes the database if it was given as a path."""
        self._documents.close()

    def __enter__(self) -> VecDBVectorStore:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @property
    def embeddings(self) -> Embeddings:
        """What makes vectors of texts."""
        return self._embedding

    @property
    def collection(self) -> Collection | None:
        """The collection; None before the first documents."""
        return self._documents.found

    @classmethod
    def from_texts(
        cls, texts: list[str], embedding: Embeddings, metadatas: list[dict[str, Any]] | None = None,
        *, ids: list[str] | None = None, **kwargs: Any
    ) -> VecDBVectorStore:
        """A store with these texts. The keyword arguments are those of the class; `database` is the
        place."""
        if "database" not in kwargs:
            raise InvalidArgument(
                "there is no place for the database", "database", "Pass database=PATH.")
        store = cls(kwargs.pop("database"), embedding, **kwargs)
        store.add_texts(texts, metadatas, ids=ids)
        return store

    def add_texts(
        self, texts: Iterable[str], metadatas: list[dict[str, Any]] | None = None, *,
        ids: Sequence[str | None] | None = None, **kwargs: Any
    ) -> list[str]:
        """Adds texts, or replaces those with the same identifiers. Returns when they are on disk."""
        listed = list(texts)
        for name, given in (("metadatas", metadatas), ("ids", ids)):
            if given is not None and len(given) != len(listed):
                raise InvalidArgument(
                    f"there are {len(given)} {name} for {len(listed)} texts", name,
                    "Pass one for each text.")
        keys = [key or str(uuid.uuid4()) for key in (ids or [None] * len(listed))]
        if not listed:
            return []
        fields = [
            packed(text, (metadatas[place] if metadatas else None) or {}, f"document {place}")
            for place, text in enumerate(listed)]
        vectors = self._embedding.embed_documents(listed)
        # Of equal identifiers the last one counts.
        last = {key: place for place, key in enumerate(keys)}
        places = list(last.values())
        self._documents.require(len(vectors[0])).upsert(
            list(last), [vectors[place] for place in places], [fields[place] for place in places])
        return keys

    def add_documents(self, documents: list[Document], **kwargs: Any) -> list[str]:
        """Adds documents, or replaces those with the same identifiers."""
        ids = kwargs.pop("ids", None)
        return self.add_texts(
            [document.page_content for document in documents],
            [document.metadata for document in documents],
            ids=[document.id for document in documents] if ids is None else ids, **kwargs)

    def delete(
        self, ids: list[str] | None = None, *, filter: AnyFilter = None, **kwargs: Any
    ) -> bool:
        """Deletes the documents with these identifiers, or those that match the filter."""
        if ids is None and filter is None:
            raise InvalidArgument(
                "delete takes ids or a filter", "delete", "Pass one of both; for all: filter='true'.")
        collection = self._documents.found
        if collection is not None:
            if ids is not None and filter is not None:
                raise InvalidArgument("delete got ids and a filter", "delete", "Pass one of both.")
            if ids is not None:
                collection.delete(ids)
            else:
                # An empty dict matches all, as in a search.
                matching = _filter(filter)
                collection.delete(filter="true" if matching is None else matching)
        return True

    def get_by_ids(self, ids: Sequence[str], /) -> list[Document]:
        """The documents with these identifiers, without those that are not there."""
        collection = self._documents.found
        records = [] if collection is None else collection.get(ids, vectors=False)
        return [self._document(record.key, record.metadata) for record in records if record]

    @staticmethod
    def _document(key: str, fields: dict[str, Any] | None) -> Document:
        text, metadata = unpacked(fields)
        return Document(id=key, page_content=text or "", metadata=metadata)

    def _search(
        self, vector: Sequence[float], k: int, filter: AnyFilter, options: dict[str, Any]
    ) -> Iterator[tuple[Document, float]]:
        known = {name: options[name] for name in ("ef", "recall", "exact") if name in options}
        if self._documents.found is not None:
            for hit in self._documents.found.search(
                    list(vector), k, filter=_filter(filter), metadata=True, **known):
                yield self._document(hit.key, hit.metadata), hit.distance

    def similarity_search(
        self, query: str, k: int = 4, filter: AnyFilter = None, **kwargs: Any
    ) -> list[Document]:
        """The k documents nearest to the query. `ef`, `recall` and `exact` are those of
        :meth:`vecdb.Collection.search`."""
        return [one for one, _ in self.similarity_search_with_score(query, k, filter, **kwargs)]

    def similarity_search_with_score(
        self, query: str, k: int = 4, filter: AnyFilter = None, **kwargs: Any
    ) -> list[tuple[Document, float]]:
        """The same with distances: smaller is nearer."""
        return list(self._search(self._embedding.embed_query(query), k, filter, kwargs))

    def similarity_search_by_vector(
        self, embedding: list[float], k: int = 4, filter: AnyFilter = None, **kwargs: Any
    ) -> list[Document]:
        """The k documents nearest to a vector."""
        return [one for one, _ in self._search(embedding, k, filter, kwargs)]

    def max_marginal_relevance_search(
        self, query: str, k: int = 4, fetch_k: int = 20, lambda_mult: float = 0.5,
        filter: AnyFilter = None, **kwargs: Any
    ) -> list[Document]:
        """k documents that are near to the query and unlike each other, of the `fetch_k` nearest."""
        return self.max_marginal_relevance_search_by_vector(
            self._embedding.embed_query(query), k, fetch_k, lambda_mult, filter, **kwargs)

    def max_marginal_relevance_search_by_vector(
        self, embedding: list[float], k: int = 4, fetch_k: int = 20, lambda_mult: float = 0.5,
        filter: AnyFilter = None, **kwargs: Any
    ) -> list[Document]:
        """The same for a vector."""
        if self._documents.found is None:
            return []
        hits = self._documents.found.search_diverse(
            embedding, k, relevance=lambda_mult, candidates=max(k, fetch_k), filter=_filter(filter),
            metadata=True)
        return [self._document(hit.key, hit.metadata) for hit in hits]

    def _select_relevance_score_fn(self) -> Callable[[float], float]:
        scores: dict[str, Callable[[float], float]] = {
            "cosine": lambda distance: max(0.0, 1 - distance),
            # The distance is a square; vectors of length 1 are at most 2 apart.
            "l2": lambda distance: 1 - math.sqrt(max(0.0, distance)) / 2,
            "dot": lambda distance: (1 - distance) / 2}
        return scores[self._documents.metric]
