"""Declares torchvision's compiled operators where its library can't be loaded.

The torchvision wheel of the Python package index is built for CUDA. Beside a CPU build of torch its compiled library
does not load, and ``import torchvision`` then fails with "operator torchvision::nms does not exist", because it
registers Python kernels for operators that nobody declared. Only torchvision's pure-Python transforms are used here,
so declaring the two operators is enough. A ``.pth`` file imports this module in every process of the environment,
vLLM's worker processes among them. It is installed only where the import fails; builds of PyTorch's own CPU index
don't need it.
"""

import importlib.abc
import importlib.machinery
import sys
import types
from collections.abc import Sequence

_OPERATORS = ("nms(Tensor dets, Tensor scores, float iou_threshold) -> Tensor",
              "qnms(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")  # fmt: skip
_libraries: list[object] = []  # a declaration lives as long as its library object


class _DeclareBeforeImport(importlib.abc.MetaPathFinder):
    """Finds nothing; declares the operators when torchvision is first looked for."""

    def find_spec(
        self, fullname: str, path: Sequence[str] | None = None, target: types.ModuleType | None = None
    ) -> importlib.machinery.ModuleSpec | None:
        if fullname == "torchvision":
            sys.meta_path.remove(self)
            import torch

            library = torch.library.Library("torchvision", "DEF")
            for schema in _OPERATORS:
                library.define(schema)
            _libraries.append(library)
        return None


sys.meta_path.insert(0, _DeclareBeforeImport())
