"""A Keras file or a SavedModel to .tflite, by the TensorFlow of the Python that this runs in.

TensorFlow's own converter is used: it needs nothing but TensorFlow, and keeps the channels last. Every input gets a
batch of 1. Networks trained with tfmot's fake quantization become int8, all others stay float.

A Keras file is read in Keras' safe mode, and refused before that if it names Python code: Keras versions differ in
how well they keep to that mode.
"""

from __future__ import annotations

import contextlib
import json
import os
import tempfile
import zipfile
from collections.abc import Mapping
from typing import Any

from refusal import Refusal, first_line

SAMPLES = 3
_KEEP_OUT = (
    "export it to .tflite where its Python code is: tf.lite.TFLiteConverter.from_keras_model(model).convert()"
)
# Packages whose classes a Keras file may name: Keras itself, and tfmot's, which are checked by class.
_TRUSTED = ("keras", "tf_keras", "tensorflow_model_optimization")
_TRUSTED_PACKAGES = ("keras",)  # as classes are registered
_RUNS_CODE = ("Lambda", "__lambda__", "TorchModuleWrapper", "JaxLayer", "FlaxLayer", "TFSMLayer")
_QUANTIZED = ("QuantizeLayer", "QuantizeWrapper", "QuantizeWrapperV2")


def convert(model: str, target: str, samples: str, signature: str | None) -> list[str]:
    """Writes the .tflite file; gives notes."""
    for name, value in (
        ("TF_CPP_MIN_LOG_LEVEL", "3"),
        ("TF_ENABLE_ONEDNN_OPTS", "0"),
        ("CUDA_VISIBLE_DEVICES", "-1"),
    ):
        os.environ.setdefault(name, value)
    os.environ["KERAS_BACKEND"] = "tensorflow"
    try:
        import tensorflow as tf
    except ImportError as error:
        raise Refusal("missing", ("tensorflow", first_line(error), "pip install tensorflow")) from None
    notes = [f"converted to .tflite by TensorFlow {tf.__version__}"]
    if os.path.isdir(model):
        module, function, specs = _saved_model(tf, model, signature)
        quantized = _has_fake_quantization(function)
    else:
        module, function, specs, quantized = _keras_model(tf, model)
    if quantized:
        notes.append("trained for int8: the converter made integers of the scales that it learned")
    try:
        call = tf.function(function, autograph=False).get_concrete_function(**specs)
    except Exception as error:
        raise Refusal(
            "unsupported", ("", f"cannot be called with a batch of 1: {first_line(error)}", _KEEP_OUT)
        ) from None
    with tempfile.TemporaryDirectory() as work:
        tf.saved_model.save(module, work, signatures={"serving_default": call})
        converter = tf.lite.TFLiteConverter.from_saved_model(work, signature_keys=["serving_default"])
        # What has no operator of TensorFlow Lite's comes out under its own name, and mcugen names all such together.
        converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS, tf.lite.OpsSet.SELECT_TF_OPS]
        converter.allow_custom_ops = True
        if quantized:
            converter.optimizations = [tf.lite.Optimize.DEFAULT]
            converter.inference_input_type = converter.inference_output_type = tf.int8
        try:
            content = converter.convert()
        except Exception as error:
            raise Refusal(
                "unsupported", ("", f"TensorFlow's converter: {first_line(error)}", _KEEP_OUT)
            ) from None
    with open(target, "wb") as file:
        file.write(content)
    if not quantized:
        _write_samples(tf, call, specs, samples)
    return notes


def _write_samples(tf: Any, call: Any, specs: Mapping[str, Any], path: str) -> None:
    """What TensorFlow computes: arrays `in:NAME` and `out:NAME` of [SAMPLES, 1, ...]."""
    import numpy as np

    if any(not spec.dtype.is_floating for spec in specs.values()):
        return
    rng = np.random.default_rng(0)
    feeds = {n: rng.standard_normal((SAMPLES, *s.shape)).astype(np.float32) for n, s in specs.items()}
    results = [call(**{n: tf.constant(x[i]) for n, x in feeds.items()}) for i in range(SAMPLES)]
    arrays: dict[str, Any] = {f"in:{n}": x for n, x in feeds.items()}
    arrays.update({f"out:{n}": np.stack([r[n].numpy() for r in results]) for n in results[0]})
    np.savez(path, **arrays)


def _fixed(tf: Any, name: str, shape: Any, dtype: Any) -> Any:
    """A TensorSpec with a batch of 1, or why there is none."""
    if shape is None or any(size is None for size in tuple(shape)[1:]):
        shown = "unknown" if shape is None else [size if size is not None else "?" for size in shape]
        fix = "build the model with fixed sizes, e.g. keras.Input((96, 96, 3)); only the batch may be open"
        return Refusal("model", (f'input "{name}"', f"has the dynamic shape {shown}", fix))
    return tf.TensorSpec((1, *tuple(shape)[1:]), dtype, name=name)


def _specs(tf: Any, inputs: Any) -> dict[str, Any]:
    """{name: TensorSpec} of (name, shape, dtype)."""
    specs = {name: _fixed(tf, name, shape, dtype) for name, shape, dtype in inputs}
    faults = [fault for spec in specs.values() if isinstance(spec, Refusal) for fault in spec.faults]
    if faults:
        raise Refusal("model", *faults)
    return specs


# --- SavedModel ---


def _saved_model(tf: Any, folder: str, signature: str | None) -> tuple[Any, Any, dict[str, Any]]:
    try:
        loaded = tf.saved_model.load(folder)
    except Exception as error:
        fix = "save it again, and copy the whole folder"
        raise Refusal("model", ("", f"TensorFlow cannot load it: {first_line(error)}", fix)) from None
    found = sorted(loaded.signatures)
    wanted = signature or ("serving_default" if "serving_default" in found or len(found) != 1 else found[0])
    if wanted not in found:
        why = f'has no signature "{wanted}"; there are: {", ".join(found) or "none"}'
        fix = "choose one with --signature" if found else "save it with model.export(folder)"
        raise Refusal("usage" if signature else "model", ("", why, fix))
    inner = loaded.signatures[wanted]
    inputs = inner.structured_input_signature[1]
    shapes = [(n, None if s.shape.rank is None else s.shape.as_list(), s.dtype) for n, s in inputs.items()]
    module = tf.Module()
    module.loaded = loaded  # keeps its variables
    return module, lambda **feeds: inner(**feeds), _specs(tf, shapes)


def _has_fake_quantization(function: Any) -> bool:
    definition = function.__closure__[0].cell_contents.graph.as_graph_def()
    nodes = [*definition.node, *(n for f in definition.library.function for n in f.node_def)]
    return any(node.op.startswith("FakeQuant") for node in nodes)


# --- Keras ---


def _keras_model(tf: Any, path: str) -> tuple[Any, Any, dict[str, Any], bool]:
    config, version = _read_config(path)
    classes = _check_config(config)
    quantized = bool(classes.intersection(_QUANTIZED))
    keras = _keras(version, quantized)
    scope = contextlib.nullcontext()
    if quantized:
        os.environ["TF_USE_LEGACY_KERAS"] = "1"
        try:
            import tensorflow_model_optimization as tfmot
        except ImportError:
            why = "it was trained with tensorflow-model-optimization, which is not installed"
            raise Refusal(
                "missing", ("", why, "pip install tensorflow-model-optimization tf-keras")
            ) from None
        scope = tfmot.quantization.keras.quantize_scope()
    try:
        with scope:
            network = keras.models.load_model(path, compile=False, safe_mode=True)
    except Exception as error:
        lost = "Could not locate" in str(error) or "Unknown" in str(error)
        why = f"Keras {keras.__version__} cannot load it: {first_line(error)}"
        if quantized and zipfile.is_zipfile(
            path
        ):  # tf_keras restores fewer variables than tfmot's layers have
            raise Refusal(
                "model", ("", why, "save it as model.h5, or as a SavedModel: model.save('folder')")
            ) from None
        fix = (
            _KEEP_OUT
            if lost
            else f"load it with the Keras that saved it ({version}), and export it to .tflite there"
        )
        raise Refusal("unsupported" if lost else "model", ("", why, fix)) from None
    inputs = getattr(network, "inputs", None) if network.built else None
    if not inputs:
        why = "it does not say what it takes: it was never built"
        raise Refusal(
            "model", ("", why, "begin it with keras.Input(shape), or call it once before you save it")
        )
    specs = _specs(tf, [(_name(x), x.shape, tf.as_dtype(x.dtype)) for x in inputs])
    try:
        taken = network.input  # perhaps a dict
    except AttributeError:  # a Sequential that was loaded
        taken = inputs if len(inputs) > 1 else inputs[0]

    def function(**feeds: Any) -> dict[str, Any]:
        results = network(_pack(taken, feeds), training=False)
        if isinstance(results, dict) and not any(
            isinstance(y, (dict, list, tuple)) for y in results.values()
        ):
            return results
        results = tf.nest.flatten(results)
        called = list(getattr(network, "output_names", ()))
        if len(set(called)) != len(results):
            called = [f"output_{i}" for i in range(len(results))]
        return dict(zip(called, results, strict=True))

    module = tf.Module()
    module.kept = [v if isinstance(v, tf.Variable) else v.value for v in network.variables]
    return module, function, specs, quantized


def _pack(structure: Any, feeds: Mapping[str, Any]) -> Any:
    """The feeds by name in the structure in which the network takes them."""
    if isinstance(structure, dict):
        return {key: _pack(part, feeds) for key, part in structure.items()}
    if isinstance(structure, (list, tuple)):
        return [_pack(part, feeds) for part in structure]
    return feeds[_name(structure)]


def _name(tensor: Any) -> str:
    return str(tensor.name).split(":")[0]


def _keras(version: str, legacy: bool) -> Any:
    """The Keras that reads what another wrote: version 2 is tf_keras today."""
    import keras

    if not legacy and not (version.startswith("2") and keras.__version__.startswith("3")):
        return keras
    try:
        import tf_keras

        return tf_keras
    except ImportError:
        if keras.__version__.startswith("2"):
            return keras
        why = f"it was saved by Keras {version}, which is the package tf-keras today"
        raise Refusal("missing", ("", why, "pip install tf-keras")) from None


def _read_config(path: str) -> tuple[Any, str]:
    """The network as Keras describes it, and the version that did; no code runs."""
    again = "save the whole network again: model.save('model.keras')"
    try:
        if zipfile.is_zipfile(path):
            with zipfile.ZipFile(path) as archive:
                config = json.loads(archive.read("config.json"))
                version = json.loads(archive.read("metadata.json")).get("keras_version", "")
            return config, str(version)
        import h5py

        with h5py.File(path, "r") as file:
            config = file.attrs.get("model_config")
            if config is None:
                raise Refusal("model", ("", "holds weights alone, without the network", again))
            text = config.decode() if isinstance(config, bytes) else config
            version = file.attrs.get("keras_version", "")
            return json.loads(text), version.decode() if isinstance(version, bytes) else str(version)
    except Refusal:
        raise
    except Exception as error:
        raise Refusal("model", ("", f"it is damaged, or no Keras file: {first_line(error)}", again)) from None


def _check_config(config: Any) -> set[str]:
    """The names of all classes. Raises Refusal for each that is or may be Python code."""
    classes: set[str] = set()
    faults: list[tuple[str, str, str]] = []
    pending = [config]
    while pending:
        part = pending.pop()
        if isinstance(part, list):
            pending += part
        if not isinstance(part, dict):
            continue
        inner = part.get("config")
        name, module = part.get("class_name"), part.get("module") or "keras"
        where = inner.get("name") if isinstance(inner, dict) else None
        where = f'layer "{where}"' if where else ""
        if not isinstance(name, str):
            pending += part.values()
            continue
        classes.add(name)
        registered = str(part.get("registered_name") or name).split(">")
        if name in _RUNS_CODE or (isinstance(inner, dict) and inner.get("class_name") == "__lambda__"):
            why = f"is a {name.strip('_')}: Python code in the file, which mcugen does not run"
            faults.append((where, why, _KEEP_OUT))
        elif not isinstance(module, str) or module.split(".")[0] not in (*_TRUSTED, "builtins"):
            faults.append((where, f"is of the class {name} of {module}, which is not Keras' own", _KEEP_OUT))
        elif len(registered) > 1 and registered[0] not in _TRUSTED_PACKAGES:
            faults.append(
                (where, f"is of the class {name} of {registered[0]}, which is not Keras' own", _KEEP_OUT)
            )
        else:
            pending += part.values()
    if faults:
        raise Refusal("unsupported", *dict.fromkeys(faults))
    return classes
