"""Writes what the service loads: python -m training.reading.export --weights FOLDER --out FOLDER.

The network as ONNX by torch's exporter, its weights in 8-bit integers by ONNX Runtime's quantizer. Weights use seven of
the eight bits: processors without VNNI add two products in 16 bits, which would overflow.
"""

import argparse
import shutil
import tempfile
import warnings
from collections.abc import Sequence
from pathlib import Path

import onnx
import torch
from onnxruntime.quantization import QuantType, quantize_dynamic
from onnxruntime.transformers.optimizer import optimize_model

from training.reading.base import base_folder
from training.reading.network import ReaderNetwork

INPUTS = ("input_ids", "attention_mask", "token_type_ids")
OUTPUTS = ("relation", "type", "values", "verdict", "vector")


def export(network: ReaderNetwork, out: Path) -> None:
    """Writes model.onnx and tokenizer.json into a folder."""
    out.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as folder:
        full, fused = Path(folder) / "full.onnx", Path(folder) / "fused.onnx"
        write_onnx(network, full)
        optimize_model(str(full), model_type="bert", num_heads=12, hidden_size=384).save_model_to_file(str(fused))
        quantize_dynamic(
            fused,
            out / "model.onnx",
            weight_type=QuantType.QInt8,
            per_channel=True,
            reduce_range=True,
            extra_options={"DefaultTensorType": onnx.TensorProto.FLOAT},  # of the fused operators' outputs
        )
    shutil.copyfile(base_folder() / "tokenizer.json", out / "tokenizer.json")


def write_onnx(network: ReaderNetwork, path: Path) -> None:
    """The network in 32-bit floats."""
    ids = torch.ones(2, 7, dtype=torch.long)
    axes = {name: {0: "texts", 1: "tokens"} for name in INPUTS} | {name: {0: "texts"} for name in OUTPUTS}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of the tracer, about what doesn't depend on the input
        torch.onnx.export(
            network.eval(),
            (ids, torch.ones_like(ids), torch.zeros_like(ids)),
            str(path),
            input_names=list(INPUTS),
            output_names=list(OUTPUTS),
            dynamic_axes=axes,
            opset_version=17,
            dynamo=False,
        )


def load_network(folder: Path) -> ReaderNetwork:
    """The network with the weights that `train` wrote."""
    network = ReaderNetwork(base_folder())
    network.load_state_dict(torch.load(folder / "reader.pt", weights_only=True))
    return network.eval()


def main(arguments: Sequence[str] | None = None) -> None:
    """Exports."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--weights", type=Path, required=True, help="folder that train wrote")
    parser.add_argument("--out", type=Path, required=True, help="folder for model.onnx and tokenizer.json")
    given = parser.parse_args(arguments)
    export(load_network(given.weights), given.out)
    shutil.copyfile(given.weights / "training.json", given.out / "training.json")


if __name__ == "__main__":
    main()
