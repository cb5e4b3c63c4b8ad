"""What is done to ONNX files after a network became one. Needs python3-onnx and python3-numpy, no torch."""
import os

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

HALF_FROM = 1024  # elements: below, a cast costs more than it saves


def half_weights(model):
    """A copy of the model whose float32 initialisers of HALF_FROM elements or more are kept as float16, a Cast to
    float32 behind each. Nothing else changes: a runtime folds the casts when it loads the file and then computes in
    float32 as before. What float16 cannot hold (65504 is its largest) stays float32."""
    result = onnx.ModelProto()
    result.CopyFrom(model)
    graph = result.graph
    inputs = {i.name for i in graph.input}  # an initialiser that is one is only a default
    outputs = {o.name for o in graph.output}
    casts = []
    for tensor in graph.initializer:
        if tensor.data_type != TensorProto.FLOAT or tensor.name in inputs or tensor.name in outputs:
            continue
        if int(np.prod(tensor.dims)) < HALF_FROM:
            continue
        values = numpy_helper.to_array(tensor)
        with np.errstate(over="ignore"):
            halves = values.astype(np.float16)
        if np.isinf(halves).any():
            continue
        name = tensor.name
        casts.append(helper.make_node("Cast", [name + "_half"], [name], name + "_cast", to=TensorProto.FLOAT))
        tensor.CopyFrom(numpy_helper.from_array(halves, name + "_half"))
    nodes = list(graph.node)
    del graph.node[:]
    graph.node.extend(casts + nodes)
    return result


def save(model, path):
    """Whole under its name, or not at all."""
    part = path + ".part"
    try:
        with open(part, "wb") as f:
            f.write(model.SerializeToString())
        os.replace(part, path)
    except BaseException:
        if os.path.exists(part):
            os.unlink(part)
        raise
