"""What the script asks of a store."""

from __future__ import annotations

import importlib
import shutil
from importlib.metadata import version

import numpy


class Engine:
    """One store in one directory."""

    name = ""
    package = ""
    #: What is imported before the first call is measured.
    modules = ""
    settings = ""
    #: How a store that is open is copied, in the words of its documentation.
    backup_method = "copy of the files; nothing else is documented"

    def __init__(self, path: str, dimensions: int) -> None:
        self.path, self.dimensions = path, dimensions
        self.open()

    @classmethod
    def load(cls) -> None:
        for module in cls.modules.split():
            importlib.import_module(module)

    @classmethod
    def label(cls) -> str:
        return f"{cls.name} {version(cls.package)}"

    def open(self) -> None:
        raise NotImplementedError

    def insert(self, first: int, rows: numpy.ndarray) -> None:
        raise NotImplementedError

    def rows(self, numbers: list[int]) -> dict[int, numpy.ndarray]:
        """Those of the records that are there."""
        raise NotImplementedError

    def search(self, vector: numpy.ndarray, k: int) -> list[int]:
        raise NotImplementedError

    def settle(self) -> None:
        """What the documentation recommends after a large import."""

    def backup(self, target: str) -> None:
        shutil.copytree(self.path, target)

    @staticmethod
    def restore(source: str, target: str) -> None:
        shutil.copytree(source, target)

    def close(self) -> None:
        pass
