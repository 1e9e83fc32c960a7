"""Data sets as arrays, and the files that every engine reads."""

import gzip
import json
from pathlib import Path

import numpy as np


def write_vecs(path, array):
    """Writes .fvecs (float32) or .ivecs (int32): an int32 count in front of every row."""
    array = np.ascontiguousarray(array)
    rows = np.empty((len(array), array.shape[1] + 1), "<i4")
    rows[:, 0] = array.shape[1]
    rows[:, 1:] = array.view("<i4")
    rows.tofile(path)


def read_vecs(path, dtype=np.float32):
    raw = np.fromfile(path, "<i4")
    return raw.reshape(-1, raw[0] + 1)[:, 1:].copy().view(dtype)


def unit(array):
    return array / np.linalg.norm(array.astype(np.float64), axis=1, keepdims=True)


def distances(metric, query, vectors):
    """Float64 distances from one query to rows."""
    if metric == "cosine":
        return 1 - unit(vectors.astype(np.float64)) @ unit(query[None].astype(np.float64))[0]
    difference = vectors.astype(np.float64) - query
    return (difference * difference).sum(1)


def hits(metric, base, queries, truth, found, k):
    """How many of the rows found are no farther than the true k-th: ties count as found."""
    if metric == "cosine":
        base, queries = unit(base).astype(np.float32), unit(queries).astype(np.float32)
    count = 0
    for query, true, rows in zip(queries, truth, found):
        rows = np.unique(rows[(rows >= 0) & (rows < len(base))])
        near = distances("l2", query, base[rows])
        radius = distances("l2", query, base[true[k - 1 : k]])[0]
        count += min(k, int((near <= radius + 1e-6 * (1 + radius)).sum()))
    return count


def exact(metric, base, queries, k=100):
    """Row numbers of the exact nearest neighbours; ties go to the lower row."""
    base = base.astype(np.float64)
    queries = queries.astype(np.float64)
    if metric == "cosine":
        base, queries = unit(base), unit(queries)
    norms = (base * base).sum(1)
    found = []
    for start in range(0, len(queries), 100):
        scores = norms - 2 * queries[start : start + 100] @ base.T
        near = np.argpartition(scores, min(2 * k, len(base) - 1), axis=1)[:, : 2 * k]
        near.sort(axis=1)
        order = np.argsort(np.take_along_axis(scores, near, 1), axis=1, kind="stable")[:, :k]
        found.append(np.take_along_axis(near, order, 1))
    return np.concatenate(found).astype("<i4")


def fashion_mnist(directory):
    def images(name):
        raw = gzip.open(Path(directory) / name).read()
        return np.frombuffer(raw, np.uint8, offset=16).reshape(-1, 784).astype(np.float32)

    base = images("train-images-idx3-ubyte.gz")
    return "l2", base, images("t10k-images-idx3-ubyte.gz")[:1000]


def sample(directory):
    load = lambda name: np.load(gzip.open(Path(directory) / name)).astype(np.float32)
    return "l2", load("base.npy.gz"), load("queries.npy.gz")


def minilm(directory):
    directory = Path(directory)
    load = lambda part: read_vecs(directory / f"minilm-debian-20k_{part}.fvecs")
    return "cosine", load("base"), load("query")


LOADERS = {"fashion-mnist": fashion_mnist, "fashion-mnist-10k": sample, "minilm-debian-20k": minilm}


def prepare(name, source, target):
    """Converts a set once into base.fvecs, query.fvecs, truth.ivecs and set.json."""
    target = Path(target) / name
    if not (target / "set.json").exists():
        target.mkdir(parents=True, exist_ok=True)
        metric, base, queries = LOADERS[name](source)
        write_vecs(target / "base.fvecs", base)
        write_vecs(target / "query.fvecs", queries)
        write_vecs(target / "truth.ivecs", exact(metric, base, queries))
        facts = {"metric": metric, "count": len(base), "dimensions": base.shape[1]}
        (target / "set.json").write_text(json.dumps(facts))
    return target, json.loads((target / "set.json").read_text())
