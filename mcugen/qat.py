"""Quantization-aware training with PyTorch, for the very integers that the compiler makes.

A quantizer for torchao's PT2E quantization that annotates exactly the tensors that the generated C has, and three
calls around torchao's own:

    prepared = qat.prepare(model, example_inputs)  # fake quantization; trains like any module
    ...                                            # the user's own training loop
    converted = qat.convert(prepared)              # int8 weights, Q/DQ pairs
    qat.export(converted, "net.onnx", example_inputs)

`mcugen build net.onnx` then needs no calibration data: weights, scales and zero points are those that were trained
with. The fake quantization itself is torchao's. Needs torch, torchao and onnxscript, which are the extra `qat`.
"""

from __future__ import annotations

import copy
import os
import tempfile
import types
from collections.abc import Sequence
from fnmatch import fnmatchcase
from pathlib import Path

try:
    import onnxscript  # noqa: F401  # torch.onnx.export asks for it
    import torch
    from torch.fx import GraphModule, Node
    from torchao.quantization import pt2e
    from torchao.quantization.pt2e import quantizer as specs
    from torchao.quantization.pt2e.quantize_pt2e import convert_pt2e, prepare_qat_pt2e
except ImportError as error:
    raise ImportError(
        f"mcugen.qat needs torch, torchao and onnxscript ({error}): pip install torch torchao onnxscript",
        name=error.name,
    ) from error

import onnx

from mcugen.model_file import read_model
from mcugen.quantize.annotated import spread_annotations

ANNOTATION = "quantization_annotation"  # the key under which torchao looks for annotations
BN_EPS = 1e-5  # the only one that torchao folds
TRAINING = {"batch_norm": 5, "dropout": 2, "feature_dropout": 2}  # which argument says whether it trains

# Names of aten operators, without the underscore of those in place.
# Those with weights, and the weights' axis of output channels.
WEIGHTED = {"conv1d": 0, "conv2d": 0, "conv_transpose1d": 1, "conv_transpose2d": 1, "linear": 0}
CLIPS = frozenset({"relu", "relu6", "hardtanh", "clamp", "clamp_min", "clamp_max"})
# The compiler fuses a clip into them (mcugen/normalise/fuse_clamp.py).
CLAMPED = frozenset({*WEIGHTED, "matmul", "mm", "bmm", "add", "sub", "mul", "div"})
# fmt: off
# Their output is elements of their input: it has its input's scale, and there is nothing to round.
MOVES = frozenset({
    "view", "reshape", "flatten", "unflatten", "permute", "transpose", "t", "squeeze", "unsqueeze", "movedim", "slice",
    "select", "narrow", "split", "split_with_sizes", "chunk", "unbind", "getitem", "index_select", "expand",
    "expand_as", "flip", "pad", "constant_pad_nd", "reflection_pad1d", "reflection_pad2d", "pixel_shuffle",
    "pixel_unshuffle", "max_pool1d", "max_pool2d", "adaptive_max_pool1d", "adaptive_max_pool2d", "amax", "amin",
    "upsample_nearest1d", "upsample_nearest2d", "clone", "contiguous", "detach", "alias", "to", "dropout",
    "feature_dropout",
})
AVERAGES = frozenset({"avg_pool1d", "avg_pool2d", "upsample_bilinear2d"})  # they round, on their input's scale
JOINS = frozenset({"cat", "concat", "stack", "maximum", "minimum"})  # all inputs and the output have one scale
# The scale and zero point of TensorFlow Lite's definitions.
FIXED = {"softmax": (1 / 256, -128), "sigmoid": (1 / 256, -128), "tanh": (1 / 128, 0), "log_softmax": (1 / 16, 127)}
# fmt: on


class Reach(pt2e.MovingAverageMinMaxObserver):
    """The range of an activation in recent batches: grows at once, shrinks by a hundredth of the difference per batch.

    A moving average would settle between the ranges of tensors that share a scale, and cut the largest off. In
    evaluation mode it stays as it is.
    """

    def forward(self, x_orig: torch.Tensor) -> torch.Tensor:
        if self.training and x_orig.numel():
            low, high = torch.aminmax(x_orig.detach().to(self.min_val.dtype))
            if self.min_val.isfinite():
                low = torch.minimum(low, self.min_val + self.averaging_constant * (low - self.min_val))
                high = torch.maximum(high, self.max_val + self.averaging_constant * (high - self.max_val))
            self.min_val.copy_(low)
            self.max_val.copy_(high)
        return x_orig


def _weights(axis: int) -> specs.QuantizationSpec:
    """int8, symmetric, per output channel; the scale is that of the weights as they are now."""
    observer = pt2e.MovingAveragePerChannelMinMaxObserver
    fake = pt2e.FakeQuantize.with_args(observer=observer, averaging_constant=1.0, ch_axis=axis)
    return specs.QuantizationSpec(torch.int8, fake, -127, 127, torch.per_channel_symmetric, axis)


def _name(node: Node) -> str:
    """The name of a node's operator; "" of inputs, outputs and constants."""
    if node.op != "call_function":
        return ""
    schema = getattr(node.target, "_schema", None)
    name = schema.name.split("::")[-1] if schema is not None else node.target.__name__
    return str(name).split(".")[0].rstrip("_")


def _real(node: Node) -> bool:
    """Whether a node's value is one tensor of real numbers."""
    value = node.meta.get("val")
    return isinstance(value, torch.Tensor) and value.is_floating_point()


def _sole_user(node: Node) -> Node | None:
    return next(iter(node.users)) if len(node.users) == 1 else None


def _region(first: Node) -> list[Node]:
    """The nodes that the compiler computes as one, from the operator to the clip fused into it."""
    nodes = [first]
    if _name(first) not in CLAMPED:
        return nodes
    while (user := _sole_user(nodes[-1])) is not None and user.args[0] is nodes[-1]:
        after = _sole_user(user)
        normalized = _name(user) == "batch_norm" and nodes[-1] is first and _name(first) in WEIGHTED
        if _name(user) in CLIPS or normalized:
            nodes.append(user)
        elif _name(user).startswith("max_pool") and after is not None and _name(after) in CLIPS:
            nodes += [user, after]  # the compiler clips before the pooling
        else:
            break
    return nodes


class McuQuantizer(specs.Quantizer):
    """Annotates what the compiler makes of a model: every activation of the C once, int8 and asymmetric; weights of
    convolutions and dense layers, int8 and symmetric per output channel. Other constants are left to the compiler.

    * BatchNormalization behind a convolution or dense layer and a ReLU (clip) behind those or behind an addition or
      product belong to that layer: only what leaves it is rounded.
    * Operators that only move or choose values (reshape, pad, slice, max pooling ...) have no scale of their own;
      average pooling keeps its input's; all that a concatenation (minimum, maximum) joins shares one.
    * Softmax, sigmoid, tanh and log_softmax have the fixed scales of TensorFlow Lite.

    `layers`: names of submodules, `*` and `?` stand for anything; only these are annotated, with their inputs. None:
    the whole model. For use with torchao's own prepare_qat_pt2e or prepare_pt2e; `prepare` does the rest.
    """

    def __init__(self, layers: Sequence[str] | None = None) -> None:
        super().__init__()
        self.layers = layers

    def _chosen(self, nodes: Sequence[Node]) -> bool:
        if self.layers is None:
            return True
        stacks = [node.meta.get("nn_module_stack") or {} for node in nodes]
        paths = {path.removeprefix("L['self'].") for stack in stacks for path, _ in stack.values()}
        return any(fnmatchcase(path, layer) for path in paths for layer in self.layers)

    def annotate(self, model: GraphModule) -> GraphModule:
        """Write annotations into the nodes of an exported model."""
        order = {node: i for i, node in enumerate(model.graph.nodes)}
        maker: dict[Node, Node] = {}  # of the tensor that a node's value is made of
        inputs: dict[Node, list[Node]] = {}
        wanted: set[Node] = set()
        for node in order:
            sources = [maker[i] for i in node.all_input_nodes if i in maker]
            if node in maker or node.op == "output" or not (sources or node.op == "placeholder"):
                continue
            if _name(node) in MOVES or not _real(node):
                maker.update(zip([node], sources, strict=False))
                continue
            region = _region(node)
            last = region[-1]
            inputs[last] = [maker[i] for i in node.all_input_nodes if i in maker]
            maker.update(dict.fromkeys(region, last))
            if self._chosen(region):
                wanted |= {last, *inputs[last]}
                if _name(node) in WEIGHTED:  # torchao takes inputs by their order
                    weights = {node.args[0]: None, node.args[1]: _weights(WEIGHTED[_name(node)])}
                    node.meta[ANNOTATION] = specs.QuantizationAnnotation(weights, _annotated=True)
        for node in reversed(order):
            if node in wanted and _name(node) in AVERAGES | JOINS:
                wanted.update(inputs[node])
        self._annotate_activations({node: inputs.get(node, []) for node in order if node in wanted})
        return model

    def _annotate_activations(self, inputs: dict[Node, list[Node]]) -> None:
        """One annotation for each of the nodes, which come in the order of computation, with their inputs."""
        order = {node: i for i, node in enumerate(inputs)}
        shared: dict[Node, Node] = {}

        def root(node: Node) -> Node:
            return root(shared[node]) if node in shared else node

        for node in inputs:
            for source in inputs[node] if _name(node) in AVERAGES | JOINS else []:
                a, b = sorted((root(source), root(node)), key=order.__getitem__)
                fixed = _name(a) in FIXED or _name(b) in FIXED
                if a is not b and (not fixed or _name(node) in AVERAGES):
                    shared[b] = a
        for node in inputs:
            if node in shared:
                spec = specs.SharedQuantizationSpec(root(node))
            elif _name(node) in FIXED:
                code = FIXED[_name(node)]
                spec = specs.FixedQParamsQuantizationSpec(
                    torch.int8, *code, -128, 127, torch.per_tensor_affine
                )
            else:
                fake = pt2e.FakeQuantize.with_args(observer=Reach)
                spec = specs.QuantizationSpec(torch.int8, fake, -128, 127, torch.per_tensor_affine)
            note = node.meta.setdefault(ANNOTATION, specs.QuantizationAnnotation(_annotated=True))
            note.output_qspec = spec

    def validate(self, model: GraphModule) -> None:
        """Nothing to do: `export` reads the file as the compiler does."""


def _switch(self: GraphModule, mode: bool = True) -> GraphModule:
    """train() and eval() of a prepared model: BatchNormalization, Dropout, and whether ranges follow the data."""
    for node in self.graph.nodes:
        if (place := TRAINING.get(_name(node))) is not None:
            node.args = (*node.args[:place], mode, *node.args[place + 1 :])
    self.recompile()
    torch.nn.Module.train(self, mode)
    return self


def _batch_norms(model: GraphModule) -> dict[str, Node]:
    """The BatchNormalizations by the names of their running means."""
    return {n.args[3].target: n for n in model.graph.nodes if _name(n) == "batch_norm"}


def prepare(
    model: torch.nn.Module, example_inputs: tuple[torch.Tensor, ...], layers: Sequence[str] | None = None
) -> GraphModule:
    """A copy of a float model with fake quantization, in training mode, ready to be trained.

    `example_inputs`: a batch of each input [N, ...], any N; axis 0 becomes the batch, of any size. `layers`: names of
    submodules as in `model.named_modules()`, `*` and `?` stand for anything: only these are quantized, with their
    inputs; the others stay float, and `mcugen build --calib` calibrates them. None: the whole model.

    `train()` and `eval()` of the result switch BatchNormalization and Dropout, as usual; in eval mode the ranges of
    activations stay as they are, too, so that the last epochs of a training are best run in it. Keep copies as
    state_dict(); a deepcopy would not switch. Raises ValueError for names that are no submodules, and what torch.export
    raises for models that it cannot capture.
    """
    names = [name for name, _ in model.named_modules() if name]
    unknown = [layer for layer in layers or () if not any(fnmatchcase(name, layer) for name in names)]
    if unknown:
        raise ValueError(f"{', '.join(map(repr, unknown))}: no such submodule; there are {', '.join(names)}")
    ready = copy.deepcopy(model).train()
    for module in ready.modules():  # the same function, with the eps that torchao folds
        if isinstance(module, torch.nn.modules.batchnorm._BatchNorm) and module.running_var is not None:
            module.running_var += module.eps - BN_EPS
            module.eps = BN_EPS
    batch = tuple(x if x.shape[0] > 1 else torch.cat([x, x]) for x in example_inputs)
    free = tuple({0: torch.export.Dim.AUTO} for _ in batch)
    exported = torch.export.export(ready, batch, dynamic_shapes=free).module(check_guards=False)
    momenta = {name: node.args[6] for name, node in _batch_norms(exported).items()}
    prepared = prepare_qat_pt2e(exported, McuQuantizer(layers))
    for name, node in _batch_norms(prepared).items():  # torchao puts 0.1
        node.args = (*node.args[:6], momenta[name], *node.args[7:])
    prepared.train = types.MethodType(_switch, prepared)
    prepared.eval = types.MethodType(lambda self: _switch(self, False), prepared)
    return prepared.train()


def convert(prepared: GraphModule) -> GraphModule:
    """The quantized model of a trained one: int8 weights and Q/DQ pairs. The given model stays as it is.

    Raises ValueError if a range is unknown since no batch went through the model in training mode.
    """
    unseen = [n for n, m in prepared.named_modules() if isinstance(m, Reach) and not m.min_val.isfinite()]
    if unseen:
        raise ValueError(f"{len(unseen)} ranges are unknown: run batches through the model after train()")
    return convert_pt2e(_switch(copy.deepcopy(prepared), False))


def export(
    converted: GraphModule, path: str | os.PathLike[str], example_inputs: tuple[torch.Tensor, ...]
) -> tuple[str, ...]:
    """Write a converted model as QDQ ONNX with a batch of 1; gives the names of the tensors that `mcugen build --calib`
    has to calibrate, none where the whole model was quantized.

    Raises ValueError for a model that `convert` has not made, and what the compiler's import raises: UnsupportedError
    naming the operators that it does not know.
    """
    if not any("dequantize" in _name(node) for node in converted.graph.nodes):
        raise ValueError("the model has no quantized layer: export takes what convert gives")
    one = tuple(x[:1] for x in example_inputs)
    model = torch.onnx.export(converted, one, dynamo=True, verbose=False).model_proto
    graph = model.graph
    for item in (graph, *graph.node, *graph.input, *graph.output, *graph.value_info):
        del item.metadata_props[:]  # places in the user's source code
    target = Path(path)
    with tempfile.TemporaryDirectory(dir=target.parent) as folder:
        written = Path(folder) / target.name
        onnx.save(model, written)
        spread = spread_annotations(read_model(written).graph)
        written.replace(target)
    return tuple(dict.fromkeys(spread.graph.tensors[name].source or name for name in spread.missing))
