"""Run the original float model with onnxruntime."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import onnx
import onnxruntime

from mcugen.errors import Fault, ModelError
from mcugen.ir import Array, Quant
from mcugen.ops.fake_quant import fake_quantized
from mcugen.read.onnx_file import LoadedModel
from mcugen.read.quantized import Code


class OnnxRunner:
    """A session on the original file, inputs in the file's shapes with a batch of 1. Inputs and outputs that are
    integers by one of `codes` are taken and given as the real numbers that they stand for.

    Raises ModelError if onnxruntime refuses the file.
    """

    def __init__(self, loaded: LoadedModel, codes: Mapping[str, Code] | None = None) -> None:
        self.codes = codes or {}
        options = onnxruntime.SessionOptions()
        options.log_severity_level = 4
        options.intra_op_num_threads = 1
        # its fusion of Pad into pooling makes some valid files invalid, and an oracle had better do what the file says
        options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
        model = onnx.ModelProto()
        model.CopyFrom(loaded.model)
        # onnxruntime 1.31 refuses IR versions above 13, whose novelties our models do not use
        model.ir_version = min(model.ir_version, 10)
        try:
            self.session: Any = onnxruntime.InferenceSession(
                model.SerializeToString(), options, providers=["CPUExecutionProvider"]
            )
        except Exception as error:  # its own exception types are not public
            raise ModelError(
                f"{loaded.path.name}: onnxruntime refuses the model",
                [
                    Fault(
                        loaded.path.name,
                        str(error).splitlines()[0][:300],
                        "check the export with onnx.checker",
                    )
                ],
            ) from None

    def run(self, samples: Sequence[Mapping[str, Array]]) -> list[Array]:
        """Outputs, each with the samples stacked in front: [N, *shape]. A file with a fixed batch sees each sample that
        many times, and the first of its results is taken. Raises ModelError if the model fails."""
        shapes = {i.name: i.shape for i in self.session.get_inputs()}
        results = []
        for sample in samples:
            repeats = {
                shapes[n][0]
                for n, a in sample.items()
                if a.shape[:1] == (1,) and isinstance(shapes[n][0], int)
            }
            batch = repeats.pop() if len(repeats) == 1 else 1
            try:
                feeds = {
                    n: self._coded(n, np.repeat(a, batch, axis=0) if batch > 1 else a)
                    for n, a in sample.items()
                }
                outputs = self.session.run(None, feeds)
            except Exception as error:  # its own exception types are not public
                raise ModelError(
                    "onnxruntime cannot run the model",
                    [Fault("model", str(error).splitlines()[0][:300], "check the export with onnx.checker")],
                ) from None
            results.append([o[:1] for o in outputs] if batch > 1 else outputs)
        names = [o.name for o in self.session.get_outputs()]
        return [self._real(n, np.stack([r[i] for r in results])) for i, n in enumerate(names)]

    def _coded(self, name: str, values: Array) -> Array:
        code = self.codes.get(name)
        if code is None:
            return values
        real = fake_quantized(values, Quant((code.scale,), (code.zero_point,)), code.signed)
        steps = np.rint(real / np.float32(code.scale))
        return np.asarray((steps + code.file_zero_point).astype(code.dtype.numpy))

    def _real(self, name: str, values: Array) -> Array:
        code = self.codes.get(name)
        if code is None or code.dynamic:
            return values
        steps = values.astype(np.float32) - np.float32(code.file_zero_point)
        return np.asarray(np.float32(code.scale) * steps)
