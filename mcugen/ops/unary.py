"""unary: an element-wise function of one input: x [...] -> y [...].

Attribute: function, an expression (ops/functions.py). Integer form: a table of 256 bytes. Where the whole
function is one that TFLM has, its definition (LOGISTIC, TANH, HARD_SWISH, LEAKY_RELU, RELU, ELU, ABS, RSQRT); else
y = clamp(round(f(s_x * (q - z_x)) / s_y) + z_y) in float64, with z_y where f is not a number.
Of int16: ops/unary16.py.
Exact float form: the expression's steps (float_program.py), each a function of mcugen/float_math.py.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np

from mcugen import fixed
from mcugen.fixed_math import abs_table, elu_table, rsqrt_table
from mcugen.ir import Array, Attr, DType, Graph, Node, Quant, TensorType
from mcugen.ops.float_program import fault, program
from mcugen.ops.functions import Expression, X, evaluate
from mcugen.ops.op import Op
from mcugen.ops.unary16 import OUTPUT_QUANT, reference16

if TYPE_CHECKING:
    from mcugen.read.onnx_import import Importer, OnnxNode
    from mcugen.read.tflite_import import TfliteImporter, TfliteNode

FIXED_QUANTS = {
    DType.INT8: {"sigmoid": Quant((1 / 256,), (-128,)), "tanh": Quant((1 / 128,), (0,))},
    DType.INT16: dict.fromkeys(("sigmoid", "tanh"), OUTPUT_QUANT),
}
RATIO_LIMIT = 2.0**20  # of input to output scale; beyond it TFLM's left shift would leave int32
SELU_ALPHA, SELU_GAMMA = 1.67326319217681884765625, 1.05070102214813232421875  # ONNX's defaults
FLOAT32_MAX = float(np.finfo(np.float32).max)


def emit_unary(ctx: Importer, n: OnnxNode, x: str, function: Expression) -> str:
    """A unary node, or its value where x is constant, or x itself where the function is none."""
    value = ctx.value(x)
    if value is not None:
        return ctx.add(n, evaluate(function, value))
    return ctx.emit(n, "unary", [x], {"function": function}) if function != X else x


def scalar_input(ctx: Importer, n: OnnxNode, index: int, what: str, default: float) -> float:
    """A constant input of one element; `default` where it is left out. It may be infinite."""
    if not n.has_input(index):
        return default
    value = ctx.value(n.inputs[index])
    data = ctx.constant_input(n, index, what) if value is None else np.asarray(value, np.float64)
    if data.size != 1 or np.isnan(data).any():
        ctx.invalid(n, f"{what} must be one number")
    return float(data.reshape(()))


def import_clip(ctx: Importer, n: OnnxNode) -> Sequence[str]:
    """ONNX Clip: bounds are attributes before opset 11, optional inputs after."""
    lo, hi = n.attr("min", -math.inf), n.attr("max", math.inf)
    if ctx.opset >= 11:
        lo = scalar_input(ctx, n, 1, "min", -math.inf)
        hi = scalar_input(ctx, n, 2, "max", math.inf)
    lo = -math.inf if lo <= -FLOAT32_MAX else min(lo, hi)  # ONNX: where min > max, all becomes max
    hi = math.inf if hi >= FLOAT32_MAX else hi
    none = (lo, hi) == (-math.inf, math.inf)
    return [emit_unary(ctx, n, n.inputs[0], X if none else ("clip", X, lo, hi))]


def _with_rank(ctx: Importer, n: OnnxNode, y: str, rank: int) -> str:
    """y with axes of size 1 before its own: what broadcasting with a constant of one element can do."""
    shape = ctx.shape(y)
    return ctx.reshape(n, y, (1,) * (rank - len(shape)) + shape)


def import_pow(ctx: Importer, n: OnnxNode) -> Sequence[str]:
    """ONNX Pow with a constant exponent."""
    exponent = ctx.constant_input(n, 1, "exponents")
    if exponent.size != 1:
        ctx.unsupported(n, "an exponent per element is not supported", "use one exponent for all elements")
    y = emit_unary(ctx, n, n.inputs[0], ("pow", X, float(exponent.reshape(()))))
    return [_with_rank(ctx, n, y, exponent.ndim)]


def _swish(n: OnnxNode) -> Expression:
    alpha = n.attr("alpha", 1.0)
    return ("silu", X) if alpha == 1.0 else ("mul", X, ("sigmoid", ("mul", X, alpha)))


_PLAIN = {
    **{name.capitalize(): name for name in ("sigmoid", "tanh", "mish", "erf", "softplus", "softsign")},
    **{
        name.capitalize(): name
        for name in ("exp", "log", "sqrt", "abs", "neg", "sign", "floor", "ceil", "round")
    },
    **{name.capitalize(): name for name in ("sin", "cos", "tan", "asin", "acos", "atan")},
    **{name.capitalize(): name for name in ("sinh", "cosh", "asinh", "acosh", "atanh")},
    "HardSwish": "hard_swish",
}
_WITH_ATTRIBUTES: dict[str, Callable[[OnnxNode], Expression]] = {
    "Relu": lambda n: ("clip", X, 0.0, math.inf),
    "LeakyRelu": lambda n: ("leaky_relu", X, n.attr("alpha", 0.01)),
    "HardSigmoid": lambda n: ("hard_sigmoid", X, n.attr("alpha", 0.2), n.attr("beta", 0.5)),
    "Swish": _swish,
    "Elu": lambda n: ("elu", X, n.attr("alpha", 1.0)),
    "Selu": lambda n: ("selu", X, n.attr("alpha", SELU_ALPHA), n.attr("gamma", SELU_GAMMA)),
    "Celu": lambda n: ("celu", X, n.attr("alpha", 1.0)),
    "ThresholdedRelu": lambda n: ("thresholded_relu", X, n.attr("alpha", 1.0)),
    "Shrink": lambda n: ("shrink", X, n.attr("lambd", 0.5), n.attr("bias", 0.0)),
    "Gelu": lambda n: ("gelu_tanh" if n.attr("approximate", "none") == "tanh" else "gelu", X),
    "Reciprocal": lambda n: ("div", 1.0, X),
}


def _import_function(ctx: Importer, n: OnnxNode) -> Sequence[str]:
    if n.op_type in _PLAIN:
        return [emit_unary(ctx, n, n.inputs[0], (_PLAIN[n.op_type], X))]
    return [emit_unary(ctx, n, n.inputs[0], _WITH_ATTRIBUTES[n.op_type](n))]


def import_tflite_function(ctx: TfliteImporter, n: TfliteNode) -> Sequence[str]:
    """TFLite's functions of one input."""
    x, y = n.inputs[0], ctx.type(n.outputs[0])
    if ctx.is_quantized(n.outputs[0]):
        ctx.require_integers(n, x, n.outputs[0])
    plain = _TFLITE_PLAIN.get(n.op_type)
    function = (plain, X) if plain else _TFLITE[n.op_type](n.options)
    if not all(math.isfinite(p) for p in function[2:] if isinstance(p, float) and function[0] != "clip"):
        ctx.invalid(n, f"the parameters {function[2:]}")
    attrs = {"function": function}
    if n.op_type == "RELU6" and y.quant != ctx.type(x).quant:  # TFLM clamps and does not rescale
        clamped = ctx.emit_typed(n, "unary", [x], attrs, ctx.type(x))
        return [ctx.emit(n, "reshape", [clamped], {"shape": y.shape})]
    return [ctx.emit(n, "unary", [x], attrs)]


_TFLITE: dict[str, Callable[[Mapping[str, Attr]], Expression]] = {
    "LOGISTIC": lambda o: ("sigmoid", X),
    "TANH": lambda o: ("tanh", X),
    "RELU": lambda o: ("clip", X, 0.0, math.inf),
    "RELU6": lambda o: ("clip", X, 0.0, 6.0),
    "RELU_N1_TO_1": lambda o: ("clip", X, -1.0, 1.0),
    "RELU_0_TO_1": lambda o: ("clip", X, 0.0, 1.0),
    "LEAKY_RELU": lambda o: ("leaky_relu", X, o["alpha"]),
    "HARD_SWISH": lambda o: ("hard_swish", X),
    "ELU": lambda o: ("elu", X, 1.0),
    "GELU": lambda o: ("gelu_tanh" if o["approximate"] else "gelu", X),
    "SQUARE": lambda o: ("mul", X, X),
}
_TFLITE_PLAIN = {
    name.upper(): name
    for name in ("exp", "log", "sqrt", "rsqrt", "abs", "neg", "sign", "floor", "ceil", "round", "sin", "cos")
}


def clip_bounds(node: Node) -> tuple[float, float] | None:
    """The bounds of a unary node that is a clip and nothing else."""
    function = node.attrs.get("function") if node.op == "unary" else None
    if not function or function[:2] != ("clip", X) or any(isinstance(a, tuple) for a in function[2:]):
        return None
    return float(function[2]), float(function[3])


def _exact_table(function: Expression, x: TensorType, y: TensorType) -> Array | None:
    """TFLM's own table, where it has the function."""
    name, parameters = function[0], function[2:]
    if function[1:2] != (X,) or any(isinstance(p, tuple) for p in parameters):
        return None
    if name in FIXED_QUANTS[DType.INT8] and y.quant == FIXED_QUANTS[DType.INT8][name]:
        build = fixed.logistic_table if name == "sigmoid" else fixed.tanh_table
        return build(x.scale, x.zero_point)
    quants = (x.scale, x.zero_point, y.scale, y.zero_point)
    ratio = x.scale / y.scale
    if name == "hard_swish" and ratio < 128.0:  # TFLM refuses more
        return fixed.hard_swish_table(*quants)
    if name == "clip" and ratio < RATIO_LIMIT:
        return fixed.relu_table(*quants, *parameters)
    if name == "leaky_relu" and ratio * max(1.0, abs(parameters[0])) < RATIO_LIMIT:
        return fixed.leaky_relu_table(*quants, *parameters)
    if name == "abs" and ratio < RATIO_LIMIT:
        return abs_table(*quants)
    if function == ("elu", X, 1.0):
        return elu_table(*quants)
    if name == "rsqrt":
        return rsqrt_table(*quants)
    return None


def table(node: Node, graph: Graph) -> Array:
    """The outputs int8 [256] of a unary node: that of the input q at index q + 128."""
    x, y = graph.type(node.inputs[0]), graph.type(node.outputs[0])
    function = node.attrs["function"]
    exact = _exact_table(function, x, y)
    if exact is not None:
        return exact
    real = np.broadcast_to(evaluate(function, x.scale * (fixed.ALL_INT8 - x.zero_point)), 256)
    steps = np.clip(np.where(np.isnan(real), 0.0, real) / y.scale, -1024.0, 1024.0)
    return np.clip(fixed.round_half_away(steps) + y.zero_point, -128, 127).astype(np.int8)


class Unary(Op):
    name = "unary"
    restrictions = ("Pow: one constant exponent for all elements",)
    onnx = {
        **dict.fromkeys((*_PLAIN, *_WITH_ATTRIBUTES), _import_function),
        "Clip": import_clip,
        "Pow": import_pow,
    }

    tflite = dict.fromkeys((*_TFLITE, *_TFLITE_PLAIN), import_tflite_function)

    def infer(self, node: Node, inputs: Sequence[TensorType]) -> tuple[TensorType, ...]:
        return (TensorType(inputs[0].shape),)

    def float_reference(self, node: Node, graph: Graph, xs: Sequence[Array]) -> tuple[Array, ...]:
        y = np.broadcast_to(evaluate(node.attrs["function"], xs[0]), xs[0].shape)
        with np.errstate(over="ignore"):
            return (y.astype(np.float32),)

    def float_exact(self, node: Node, graph: Graph, xs: Sequence[Array]) -> tuple[Array, ...]:
        function = node.attrs["function"]
        if fault(function) is not None:
            return self.float_reference(node, graph, xs)
        return (program(function).run(xs[0]),)

    def reference(self, node: Node, graph: Graph, xs: Sequence[Array]) -> tuple[Array, ...]:
        if graph.type(node.outputs[0]).dtype is DType.INT16:
            return (reference16(node, graph, xs[0]),)
        return (table(node, graph)[xs[0].astype(np.int64) + 128],)

    def fixed_quant(self, node: Node, dtype: DType = DType.INT8) -> Quant | None:
        return FIXED_QUANTS[dtype].get(node.attrs["function"][0])
