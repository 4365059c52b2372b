"""Files of Keras, TensorFlow and PyTorch, converted to .tflite or ONNX by the user's own installation of those.

`recognise` says what a file is, `convert` has it converted in a process of its own: `worker.py` with
`from_tensorflow.py` or `from_torch.py`, which run in any Python and import nothing of mcugen.
"""
