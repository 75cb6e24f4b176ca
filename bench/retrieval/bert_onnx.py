"""A BERT encoder of a folder (model.safetensors, config.json) as an ONNX graph in 32-bit floats: ids and mask to vectors of unit length, by the mean over tokens."""

import json
import math
import struct

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper


def weights(path):
    """The tensors of a safetensors file whose numbers are floats of 32 bits."""
    raw = path.read_bytes()
    size = struct.unpack("<Q", raw[:8])[0]
    entries = {name: entry for name, entry in json.loads(raw[8:8 + size]).items() if name != "__metadata__" and entry["dtype"] == "F32"}
    place = lambda entry: slice(8 + size + entry["data_offsets"][0], 8 + size + entry["data_offsets"][1])  # noqa: E731
    return {name: np.frombuffer(raw[place(entry)], np.float32).reshape(entry["shape"]) for name, entry in entries.items()}


class Graph:
    """The nodes are named and ordered as exporters write them, so that optimizers know the parts again."""

    def __init__(self, tensors, config):
        self.tensors, self.nodes, self.constants = tensors, [], {}
        self.width, self.heads, self.epsilon = config["hidden_size"], config["num_attention_heads"], config["layer_norm_eps"]
        self.layers = config["num_hidden_layers"]

    def op(self, kind, *inputs, **attributes):
        name = f"{kind}_{len(self.nodes)}"
        self.nodes.append(helper.make_node(kind, list(inputs), [name], name=name, **attributes))
        return name

    def constant(self, value, kind=np.float32):
        array = np.asarray(value, kind)
        return self.given(f"constant_{array.dtype}_{array.shape}_{array.tobytes().hex()}", array)

    def given(self, name, array):
        self.constants[name] = array
        return name

    def tensor(self, name):
        return self.given(name, self.tensors[name])

    def dense(self, x, name):
        return self.op("Add", self.op("MatMul", x, self.given(name + ".weight_t", np.ascontiguousarray(self.tensors[name + ".weight"].T))), self.tensor(name + ".bias"))

    def norm(self, x, name):
        return self.op("LayerNormalization", x, self.tensor(name + ".weight"), self.tensor(name + ".bias"), axis=-1, epsilon=self.epsilon)

    def embeddings(self):
        at = "embeddings."
        length = self.op("Gather", self.op("Shape", "input_ids"), self.constant([1], np.int64), axis=0)
        positions = self.op("Slice", self.given("positions", np.arange(512, dtype=np.int64)[None]), self.constant([0], np.int64), length, self.constant([1], np.int64))
        words = self.op("Gather", self.tensor(at + "word_embeddings.weight"), "input_ids", axis=0)
        types = self.op("Gather", self.tensor(at + "token_type_embeddings.weight"), "token_type_ids", axis=0)
        places = self.op("Gather", self.tensor(at + "position_embeddings.weight"), positions, axis=0)
        return self.norm(self.op("Add", self.op("Add", words, types), places), at + "LayerNorm")

    def layer(self, x, mask, index):
        at = f"encoder.layer.{index}."
        split = self.constant([0, 0, self.heads, self.width // self.heads], np.int64)
        head = lambda name, order: self.op("Transpose", self.op("Reshape", self.dense(x, at + "attention.self." + name), split), perm=order)  # noqa: E731
        q, k, v = head("query", [0, 2, 1, 3]), head("key", [0, 2, 3, 1]), head("value", [0, 2, 1, 3])
        scores = self.op("Add", self.op("Div", self.op("MatMul", q, k), self.constant(math.sqrt(self.width // self.heads))), mask)
        mixed = self.op("Transpose", self.op("MatMul", self.op("Softmax", scores, axis=-1), v), perm=[0, 2, 1, 3])
        joined = self.op("Reshape", mixed, self.constant([0, 0, self.width], np.int64))
        x = self.norm(self.op("Add", self.dense(joined, at + "attention.output.dense"), x), at + "attention.output.LayerNorm")
        wide = self.dense(x, at + "intermediate.dense")
        erf = self.op("Add", self.op("Erf", self.op("Div", wide, self.constant(math.sqrt(2)))), self.constant(1))
        gelu = self.op("Mul", self.op("Mul", wide, erf), self.constant(0.5))
        return self.norm(self.op("Add", self.dense(gelu, at + "output.dense"), x), at + "output.LayerNorm")

    def model(self):
        ones = self.op("Cast", self.op("Unsqueeze", self.op("Unsqueeze", "attention_mask", self.constant([1], np.int64)), self.constant([2], np.int64)), to=TensorProto.FLOAT)
        mask = self.op("Mul", self.op("Sub", self.constant(1), ones), self.constant(-10000))
        x = self.embeddings()
        for index in range(self.layers):
            x = self.layer(x, mask, index)
        seen = self.op("Cast", self.op("Unsqueeze", "attention_mask", self.constant([-1], np.int64)), to=TensorProto.FLOAT)
        first = self.constant([1], np.int64)
        mean = self.op("Div", self.op("ReduceSum", self.op("Mul", x, seen), first, keepdims=0), self.op("ReduceSum", seen, first, keepdims=0))
        self.nodes.append(helper.make_node("Div", [mean, self.op("ReduceL2", mean, axes=[1], keepdims=1)], ["vectors"], name="scaled"))
        inputs = [helper.make_tensor_value_info(name, TensorProto.INT64, ["batch", "length"]) for name in ("input_ids", "token_type_ids", "attention_mask")]
        graph = helper.make_graph(self.nodes, "bert", inputs, [helper.make_tensor_value_info("vectors", TensorProto.FLOAT, ["batch", self.width])],
                                  [numpy_helper.from_array(array, name) for name, array in self.constants.items()])
        return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)


def write(folder, plain, optimized):
    """Writes the graph as it is, and as onnxruntime's optimizer of transformers leaves it. Gives how often it fused what."""
    from onnxruntime.transformers import optimizer

    config = json.loads((folder / "config.json").read_text())
    onnx.save(Graph(weights(folder / "model.safetensors"), config).model(), plain)
    fused = optimizer.optimize_model(str(plain), model_type="bert", num_heads=config["num_attention_heads"], hidden_size=config["hidden_size"], opt_level=0)
    fused.save_model_to_file(str(optimized))
    return fused.get_fused_operator_statistics()
