"""Elements of one type as those of another, in plain C for every core: requantize where input or output is not int8,
quantize and dequantize. One kernel per pair of types, all from the same template."""

from __future__ import annotations

from mcugen.access import Access
from mcugen.boards import Board
from mcugen.ir import DType, Graph, Node
from mcugen.kernels.kernel import Call, Kernel, Tables, Value, elementwise_access
from mcugen.ops.requantize import multiplier


class _Conversion(Kernel):
    """`types` holds one pair, which the template is printed for."""

    template = "requantize_wide"

    def cycles(self, node: Node, graph: Graph, board: Board) -> float:
        return 20.0 * graph.type(node.outputs[0]).elements

    def access(self, node: Node, graph: Graph) -> tuple[Access | None, ...]:
        x, y = graph.type(node.inputs[0]), graph.type(node.outputs[0])
        return (elementwise_access(y.elements, x.dtype.size, y.dtype.size),)

    def calls(self, node: Node, graph: Graph, tables: Tables, layer: str) -> list[Call]:
        x, y = graph.type(node.inputs[0]), graph.type(node.outputs[0])
        fields: dict[str, Value] = {"elements": y.elements}
        if node.op == "quantize":
            fields |= {"scale": y.scale, "zero_point": y.zero_point}
        elif node.op == "dequantize":
            fields |= {"scale": x.scale, "zero_point": x.zero_point}
        else:
            fields["multiplier"], fields["shift"] = multiplier(node, graph)
            fields |= {"x_zero_point": x.zero_point, "y_zero_point": y.zero_point}
        return [Call(fields, node.inputs, node.outputs[0])]


def _conversion(op: str, x: DType, y: DType) -> type[Kernel]:
    limits = {"int8": (-128, 127), "uint8": (0, 255), "int16": (-32768, 32767)}.get(y.value, (0, 0))
    context = {"op": op, "x": _short(x), "y": _short(y), "low": str(limits[0]), "high": str(limits[1])}
    name = f"{op}_{_short(x)}_{_short(y)}"
    headers = ("mcugen_wide.h",) if op == "requantize" else ("mcugen_float.h", "mcugen_wide.h")
    members = {"name": name, "ops": (op,), "types": ((x, y),), "headers": headers, "context": context}
    return type(name, (_Conversion,), {**members, "__module__": __name__})


def _short(dtype: DType) -> str:
    """As in mcugen_wide.h."""
    return "float" if dtype is DType.FLOAT32 else dtype.value


RequantizeUint8Int8 = _conversion("requantize", DType.UINT8, DType.INT8)
RequantizeInt8Uint8 = _conversion("requantize", DType.INT8, DType.UINT8)
RequantizeInt16Int8 = _conversion("requantize", DType.INT16, DType.INT8)
RequantizeInt8Int16 = _conversion("requantize", DType.INT8, DType.INT16)
RequantizeInt16Int16 = _conversion("requantize", DType.INT16, DType.INT16)
RequantizeUint8Int16 = _conversion("requantize", DType.UINT8, DType.INT16)
RequantizeInt16Uint8 = _conversion("requantize", DType.INT16, DType.UINT8)
QuantizeInt8 = _conversion("quantize", DType.FLOAT32, DType.INT8)
QuantizeUint8 = _conversion("quantize", DType.FLOAT32, DType.UINT8)
QuantizeInt16 = _conversion("quantize", DType.FLOAT32, DType.INT16)
DequantizeInt8 = _conversion("dequantize", DType.INT8, DType.FLOAT32)
DequantizeUint8 = _conversion("dequantize", DType.UINT8, DType.FLOAT32)
DequantizeInt16 = _conversion("dequantize", DType.INT16, DType.FLOAT32)
