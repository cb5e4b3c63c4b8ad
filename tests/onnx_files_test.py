#!/usr/bin/python3
"""tools/train/onnx_files.py: weights kept in half the bytes, files written whole. On networks of make_test_models."""
import os
import sys

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from program import SPEECH, digests, lipsync, main, model, works

sys.dont_write_bytecode = True
sys.path.insert(0, os.path.join(os.path.dirname(os.path.realpath(__file__)), "..", "tools", "train"))
import onnx_files  # noqa: E402


def rounded(source):
    """The same network, its large weights rounded to what float16 holds but kept as float32."""
    result = onnx.ModelProto()
    result.CopyFrom(source)
    for tensor in result.graph.initializer:
        values = numpy_helper.to_array(tensor)
        if values.dtype == np.float32 and values.size >= onnx_files.HALF_FROM:
            tensor.CopyFrom(numpy_helper.from_array(values.astype(np.float16).astype(np.float32), tensor.name))
    return result


def features(scratch, network, name):
    path, rows = os.path.join(scratch, name + ".onnx"), os.path.join(scratch, name + ".npy")
    onnx_files.save(network, path)
    works("features", SPEECH, "-o", rows, "--audio-encoder", path)
    return np.load(rows), os.path.getsize(path)


def an_encoder_of_half_the_bytes(scratch):
    source = onnx.load(model("audio_encoder"))
    before = source.SerializeToString()
    half = onnx_files.half_weights(source)
    assert source.SerializeToString() == before, "the model given was changed"
    onnx.checker.check_model(half)
    full, full_size = features(scratch, source, "full")
    small, small_size = features(scratch, half, "half")
    assert 0.45 < small_size / full_size < 0.6, (small_size, full_size)
    assert 0 < np.abs(small - full).max() < 2e-3 * np.abs(full).max()
    expected, _ = features(scratch, rounded(source), "rounded")
    assert np.array_equal(small, expected), "not computed in float32 on the rounded weights"


def a_lipsync_network_draws_the_same(scratch):
    """The talker's weights are powers of two and whole numbers: float16 holds them exactly."""
    path = os.path.join(scratch, "talker.onnx")
    half = onnx_files.half_weights(onnx.load(model("talker")))
    onnx_files.save(half, path)
    assert os.path.getsize(path) < 0.6 * os.path.getsize(model("talker"))
    assert digests(*lipsync("--frames", "8", "--model", path)) == digests(*lipsync("--frames", "8"))


def what_stays_as_it_is(scratch):
    def weight(name, values, dtype=np.float32):
        return numpy_helper.from_array(np.asarray(values, dtype), name)

    n = onnx_files.HALF_FROM
    weights = [weight("exact", np.ones(n)), weight("small", np.ones(n - 1)), weight("huge", np.full(n, 1e5)),
               weight("whole", np.ones(n), np.int64), weight("default", np.ones(n)), weight("result", np.ones(n))]
    graph = helper.make_graph([], "g", [helper.make_tensor_value_info("default", TensorProto.FLOAT, [n])],
                              [helper.make_tensor_value_info("result", TensorProto.FLOAT, [n])], weights)
    done = onnx_files.half_weights(helper.make_model(graph)).graph
    kinds = {t.name: t.data_type for t in done.initializer}
    assert kinds == {"exact_half": TensorProto.FLOAT16, "small": TensorProto.FLOAT, "huge": TensorProto.FLOAT,
                     "whole": TensorProto.INT64, "default": TensorProto.FLOAT, "result": TensorProto.FLOAT}, kinds
    assert [(list(c.input), list(c.output)) for c in done.node] == [(["exact_half"], ["exact"])]
    again = onnx_files.half_weights(onnx_files.half_weights(helper.make_model(graph)))
    assert again.graph == done, "twice is not the same as once"


def files_are_whole_or_absent(scratch):
    network = onnx.load(model("formula"))
    path = os.path.join(scratch, "formula.onnx")
    onnx_files.save(network, path)
    with open(path, "rb") as f:
        assert f.read() == network.SerializeToString()

    class Unwritable:
        def SerializeToString(self):
            raise ValueError("no")

    try:
        onnx_files.save(Unwritable(), path)
        raise AssertionError("should have failed")
    except ValueError:
        pass
    assert os.listdir(scratch) == ["formula.onnx"]
    assert onnx.load(path) == network


if __name__ == "__main__":
    sys.exit(main([an_encoder_of_half_the_bytes, a_lipsync_network_draws_the_same, what_stays_as_it_is,
                   files_are_whole_or_absent]))
