"""Writes the computation of a BERT sentence encoder as an ONNX graph, without its weights.

Weights stay in the model's own safetensors file; the runtime is handed views of it. So no converted copy of a model has
to be shipped or made, and torch isn't needed.

The computation is that of BERT (arXiv 1810.04805) and mean pooling as in Sentence-BERT (arXiv 1908.10084):
token, position and segment embeddings, L layers of self-attention and a two-layer network with residuals and layer
normalisation after each, the mean over a sentence's tokens, length 1.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import onnx
from onnx import TensorProto, helper

_OPSET = 20  # the first with Gelu as one operator
_IR_VERSION = 9
_MASKED = -1e9
"""Added to the score of a padding token before the softmax."""


@dataclass(frozen=True)
class BertShape:
    """Sizes of a BERT encoder, as its config.json names them."""

    hidden_size: int
    num_hidden_layers: int
    num_attention_heads: int
    layer_norm_eps: float


class _Graph:
    """Nodes in the order of computation; each method returns the name of its result."""

    def __init__(self) -> None:
        self.nodes: list[onnx.NodeProto] = []
        self.weights: set[str] = set()
        self._constants: dict[str, onnx.TensorProto] = {}

    def node(self, operator: str, *inputs: str, **attributes: Any) -> str:
        name = f"{operator}_{len(self.nodes)}"
        self.nodes.append(helper.make_node(operator, list(inputs), [name], **attributes))
        return name

    def weight(self, name: str) -> str:
        self.weights.add(name)
        return name

    def floats(self, value: float) -> str:
        return self._constant(helper.make_tensor(f"float_{value}", TensorProto.FLOAT, [], [value]))

    def integers(self, *values: int) -> str:
        name = "integers_" + "_".join(map(str, values))
        return self._constant(helper.make_tensor(name, TensorProto.INT64, [len(values)], list(values)))

    def linear(self, rows: str, layer: str) -> str:
        """Rows times a layer's matrix, which is stored as (out, in), plus its bias."""
        matrix, bias = self.weight(f"{layer}.weight"), self.weight(f"{layer}.bias")
        return self.node("Gemm", rows, matrix, bias, transB=1)

    def layer_norm(self, rows: str, layer: str, epsilon: float) -> str:
        scale, shift = self.weight(f"{layer}.weight"), self.weight(f"{layer}.bias")
        return self.node("LayerNormalization", rows, scale, shift, axis=-1, epsilon=epsilon)

    def constants(self) -> Sequence[onnx.TensorProto]:
        return list(self._constants.values())

    def _constant(self, tensor: onnx.TensorProto) -> str:
        name = str(tensor.name)
        self._constants.setdefault(name, tensor)
        return name


class EncoderGraph(NamedTuple):
    """A serialised ONNX model and the names of the weights that it asks for."""

    model: bytes
    weights: tuple[str, ...]


def sentence_encoder(shape: BertShape, weight_shapes: dict[str, tuple[int, ...]]) -> EncoderGraph:
    """The encoder as an ONNX model whose weights are external, to be given to the session by name.

    Inputs: ``ids`` int64 (sentences, tokens), ``mask`` float32 of the same shape, 1 for a token and 0 for padding.
    Output: ``embedding`` float32 (sentences, hidden size), each row of length 1.

    Raises:
        KeyError: If a weight that the computation needs is not in `weight_shapes`.
    """
    graph = _Graph()
    rows = _embeddings(graph, shape)
    bias = graph.node("Sub", "mask", graph.floats(1.0))
    bias = graph.node("Mul", bias, graph.floats(-_MASKED))
    bias = graph.node("Unsqueeze", bias, graph.integers(1, 2))
    tokens = graph.node("Shape", "ids")
    for index in range(shape.num_hidden_layers):
        rows = _layer(graph, shape, f"encoder.layer.{index}", rows, bias, tokens)
    _pool(graph, shape, rows, tokens)

    external = [_external(name, weight_shapes[name]) for name in sorted(graph.weights)]
    model = helper.make_model(
        helper.make_graph(
            graph.nodes,
            "sentence-encoder",
            [
                helper.make_tensor_value_info("ids", TensorProto.INT64, ["sentences", "tokens"]),
                helper.make_tensor_value_info("mask", TensorProto.FLOAT, ["sentences", "tokens"]),
            ],
            [helper.make_tensor_value_info("embedding", TensorProto.FLOAT, ["sentences", shape.hidden_size])],
            initializer=[*graph.constants(), *external],
        ),
        opset_imports=[helper.make_opsetid("", _OPSET)],
        ir_version=_IR_VERSION,
    )
    return EncoderGraph(model.SerializeToString(), tuple(sorted(graph.weights)))


def _embeddings(graph: _Graph, shape: BertShape) -> str:
    """Rows (sentences × tokens, hidden) of what goes into the first layer."""
    words = graph.node("Gather", graph.weight("embeddings.word_embeddings.weight"), "ids")
    length = graph.node("Gather", graph.node("Shape", "ids"), graph.integers(1))
    positions = graph.node(
        "Slice", graph.weight("embeddings.position_embeddings.weight"), graph.integers(0), length, graph.integers(0)
    )
    # One text at a time, so every token is of the first segment.
    segment = graph.node(
        "Slice",
        graph.weight("embeddings.token_type_embeddings.weight"),
        graph.integers(0),
        graph.integers(1),
        graph.integers(0),
    )
    total = graph.node("Add", graph.node("Add", words, positions), segment)
    rows = graph.node("Reshape", total, graph.integers(-1, shape.hidden_size))
    return graph.layer_norm(rows, "embeddings.LayerNorm", shape.layer_norm_eps)


def _layer(graph: _Graph, shape: BertShape, layer: str, rows: str, bias: str, tokens: str) -> str:
    """One transformer layer: rows in, rows out."""
    width = shape.hidden_size // shape.num_attention_heads
    split = graph.node("Concat", tokens, graph.integers(shape.num_attention_heads, width), axis=0)

    def heads(part: str, order: list[int]) -> str:
        projected = graph.linear(rows, f"{layer}.attention.self.{part}")
        return graph.node("Transpose", graph.node("Reshape", projected, split), perm=order)

    query, key, value = heads("query", [0, 2, 1, 3]), heads("key", [0, 2, 3, 1]), heads("value", [0, 2, 1, 3])
    scores = graph.node("Mul", graph.node("MatMul", query, key), graph.floats(1 / math.sqrt(width)))
    shares = graph.node("Softmax", graph.node("Add", scores, bias), axis=-1)
    mixed = graph.node("Transpose", graph.node("MatMul", shares, value), perm=[0, 2, 1, 3])
    attended = graph.linear(
        graph.node("Reshape", mixed, graph.integers(-1, shape.hidden_size)), f"{layer}.attention.output.dense"
    )
    rows = graph.layer_norm(
        graph.node("Add", attended, rows), f"{layer}.attention.output.LayerNorm", shape.layer_norm_eps
    )
    widened = graph.node("Gelu", graph.linear(rows, f"{layer}.intermediate.dense"))
    narrowed = graph.linear(widened, f"{layer}.output.dense")
    return graph.layer_norm(graph.node("Add", narrowed, rows), f"{layer}.output.LayerNorm", shape.layer_norm_eps)


def _pool(graph: _Graph, shape: BertShape, rows: str, tokens: str) -> None:
    """The mean over each sentence's tokens, scaled to length 1: ``embedding``."""
    cube = graph.node("Reshape", rows, graph.node("Concat", tokens, graph.integers(shape.hidden_size), axis=0))
    weights = graph.node("Unsqueeze", "mask", graph.integers(2))
    # The sum points where the mean does, and only the direction is kept.
    total = graph.node("ReduceSum", graph.node("Mul", cube, weights), graph.integers(1), keepdims=0)
    length = graph.node("ReduceL2", total, graph.integers(1), keepdims=1)
    graph.nodes.append(helper.make_node("Div", [total, length], ["embedding"]))


def _external(name: str, shape: tuple[int, ...]) -> onnx.TensorProto:
    tensor = onnx.TensorProto(name=name, data_type=TensorProto.FLOAT, dims=shape)
    tensor.data_location = TensorProto.EXTERNAL
    tensor.external_data.add(key="location", value="given-to-the-session")
    return tensor
