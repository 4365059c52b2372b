"""A torch.export program (.pt2) to ONNX, by the PyTorch of the Python that this runs in.

torch.export.load unpickles, evaluates expressions and calls what the file names. Here tensors are read with
weights_only, other pickles are refused, and so are names of functions that are no operators and expressions that are
not of sizes, before torch sees them.
"""

from __future__ import annotations

import importlib
import json
import logging
import re
import warnings
import zipfile
from typing import Any

from refusal import Refusal, first_line

SAMPLES = 3
_AGAIN = "save it again: torch.export.save(torch.export.export(model.eval(), (example,)), 'model.pt2')"
_BY_HAND = "export it to ONNX where it was made: torch.onnx.export(model.eval(), (example,), 'model.onnx', dynamo=True)"
# They define the operators of torch's quantized networks, and are there in some versions only.
_OPERATORS = (
    "torch.ao.quantization.fx._decomposed",
    "torchao.quantization.pt2e._decomposed",
    "torchao.quantization.pt2e.quantize_pt2e",
)
_TARGET = re.compile(r"(torch\.ops\.\w+\.\w+(\.\w+)?|_operator\.\w+|math\.\w+|torch\.sym_\w+)")
_SIZE = re.compile(
    r"(Symbol\('[a-z]+\d+'(, [a-z]+=(True|False)\b)*\)|(s|u|zuf)\d+\b|[A-Z][A-Za-z]*\b|[-+*/(),<>= .%&|\d])*"
)


def convert(model: str, target: str, samples: str, signature: str | None) -> list[str]:
    """Writes the ONNX file; gives notes."""
    del signature
    warnings.simplefilter("ignore")
    logging.disable(logging.WARNING)
    try:
        import torch
    except ImportError as error:
        raise Refusal("missing", ("torch", first_line(error), "pip install torch onnxscript")) from None
    missing = [name for name in ("onnx", "onnxscript") if not _importable(name)]
    if missing:
        raise Refusal("missing", *((n, "torch.onnx.export needs it", f"pip install {n}") for n in missing))
    program = _load(torch, model)
    _check_mode(program)
    try:
        names = _output_names(program)
        exported = torch.onnx.export(
            program, (), output_names=names, dynamo=True, verbose=False, optimize=True
        )
        exported.save(target, external_data=False)
    except Exception as error:
        cause = first_line(error.__cause__ or error)
        operator = re.search(r"translating node .*?target=(torch\.ops\.[\w.]+)", cause)
        why = f"there is no ONNX for {operator[1]}" if operator else f"torch.onnx.export: {cause}"
        fix = "replace it, or cut the model before it" if operator else _BY_HAND
        raise Refusal("unsupported", ("", why, fix)) from None
    _write_samples(torch, program, exported, samples)
    return [f"converted to ONNX by PyTorch {torch.__version__}"]


def _importable(name: str) -> bool:
    try:
        importlib.import_module(name)
    except ImportError:
        return False
    return True


def _load(torch: Any, path: str) -> Any:
    _check_archive(path)
    pickle: Any = importlib.import_module("pickle")
    load = torch.load

    def load_weights(*args: Any, **kwargs: Any) -> Any:
        return load(*args, **{**kwargs, "weights_only": True})

    def refuse(*args: Any, **kwargs: Any) -> Any:
        raise Refusal(
            "unsupported", ("", "holds pickled Python objects, which mcugen does not run", _BY_HAND)
        )

    for name in _OPERATORS:
        _importable(name)
    torch.load, loads, pickle.loads = load_weights, pickle.loads, refuse
    try:
        return torch.export.load(path)
    except Refusal:
        raise
    except Exception as error:
        why = f"PyTorch {torch.__version__} cannot load it: {first_line(error)}"
        raise Refusal("model", ("", why, _AGAIN)) from None
    finally:
        torch.load, pickle.loads = load, loads


def _check_archive(path: str) -> None:
    """Raises Refusal for what is no program, and for what would run code of the file."""
    try:
        with zipfile.ZipFile(path) as archive:
            names = archive.namelist()
            models = [
                n for n in names if n.endswith(".json") and ("/models/" in n or "exported_program" in n)
            ]
            described = [json.loads(archive.read(name)) for name in models]
    except Exception as error:
        raise Refusal("model", ("", f"it is damaged, or no .pt2 file: {first_line(error)}", _AGAIN)) from None
    if any("aotinductor/" in name for name in names):
        why = "holds machine code that was compiled from the network (AOTInductor)"
        raise Refusal("unsupported", ("", why, _AGAIN))
    if not described:
        raise Refusal("model", ("", "there is no exported program in it", _AGAIN))
    faults: list[tuple[str, str, str]] = []
    pending: list[Any] = list(described)
    while pending:
        part = pending.pop()
        if isinstance(part, list):
            pending += part
        elif isinstance(part, dict):
            pending += part.values()
            called, expression = part.get("target"), part.get("expr_str")
            if isinstance(called, str) and "inputs" in part and not _TARGET.fullmatch(called):
                faults.append(
                    (str(part.get("name", "")), f"calls {called!r}, which is no operator", _BY_HAND)
                )
            if isinstance(expression, str) and not _SIZE.fullmatch(expression):
                faults.append(("", f"a size is {expression[:80]!r}, which is no formula", _BY_HAND))
    if faults:
        raise Refusal("unsupported", *dict.fromkeys(faults))


def _check_mode(program: Any) -> None:
    """Raises Refusal for a program of the network in training."""
    for node in program.graph.nodes:
        if "batch_norm" in str(node.target) and any(a is True for a in node.args[5:6]):
            why = "was exported in training mode: its BatchNormalization changes with every sample"
            raise Refusal("model", (node.name, why, "call model.eval() before torch.export.export"))


def _output_names(program: Any) -> list[str] | None:
    """The keys of a network that gives a dict of tensors; else torch finds names."""
    made = program.call_spec.out_spec
    flat = made.type is dict and made.num_leaves == made.num_children
    return [str(key) for key in made.context] if flat and made.num_leaves > 0 else None


def _write_samples(torch: Any, program: Any, exported: Any, path: str) -> None:
    """What PyTorch computes: arrays `in:NAME` and `out:NAME` of [SAMPLES, ...], named as in the ONNX file."""
    import numpy as np

    graph = exported.model_proto.graph
    constants = {tensor.name for tensor in graph.initializer}
    inputs = [value for value in graph.input if value.name not in constants]
    shapes = [[d.dim_value or 1 for d in v.type.tensor_type.shape.dim] for v in inputs]
    if any(value.type.tensor_type.elem_type != 1 for value in inputs):
        return
    rng = np.random.default_rng(0)
    feeds = [rng.standard_normal((SAMPLES, *shape)).astype(np.float32) for shape in shapes]
    run = program.module()
    results = []
    with torch.no_grad():
        for i in range(SAMPLES):
            flat = [torch.from_numpy(x[i]) for x in feeds]
            args, kwargs = torch.utils._pytree.tree_unflatten(flat, program.call_spec.in_spec)
            results.append([y.numpy() for y in torch.utils._pytree.tree_leaves(run(*args, **kwargs))])
    arrays: dict[str, Any] = {f"in:{v.name}": x for v, x in zip(inputs, feeds, strict=True)}
    arrays.update({f"out:{v.name}": np.stack([r[i] for r in results]) for i, v in enumerate(graph.output)})
    np.savez(path, **arrays)
