#!/usr/bin/python3
"""inlay model info | optimize | diff: any ONNX model through the program."""
import json
import os
import sys

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from program import data, fails, folder_is_clean, main, model, run, works

FLOAT = TensorProto.FLOAT


def save(path, nodes, inputs, outputs, weights, defaults=()):
    infos = [helper.make_tensor_value_info(name, FLOAT, shape) for name, shape in inputs + list(defaults)]
    results = [helper.make_tensor_value_info(name, FLOAT, shape) for name, shape in outputs]
    constants = [numpy_helper.from_array(np.asarray(value), name) for name, value in weights.items()]
    made = helper.make_model(helper.make_graph(nodes, "g", infos, results, constants),
                             opset_imports=[helper.make_opsetid("", 13)], producer_name="test")
    made.ir_version = 7
    onnx.checker.check_model(made)
    onnx.save(made, path)
    return path


def convolution(scratch, name="plain.onnx", shift=0.0, **options):
    """Convolution, batch normalisation, a Dropout and a Reshape that do nothing; free batch."""
    rng = np.random.default_rng(5)
    f32 = np.float32
    weights = {"w": rng.standard_normal((4, 3, 3, 3)).astype(f32), "s": rng.random(4).astype(f32) + f32(0.5),
               "b": rng.standard_normal(4).astype(f32) + f32(shift), "m": rng.standard_normal(4).astype(f32),
               "v": rng.random(4).astype(f32) + f32(0.5), "to": np.array([-1, 4, 6, 6])}
    nodes = [helper.make_node("Conv", ["x", "w"], ["c"], name="first"),
             helper.make_node("BatchNormalization", ["c", "s", "b", "m", "v"], ["n"]),
             helper.make_node("Dropout", ["n"], ["d"]), helper.make_node("Reshape", ["d", "to"], ["r"]),
             helper.make_node("Relu", ["r"], ["y"])]
    return save(os.path.join(scratch, name), nodes, [("x", ["batch", 3, 8, 8])], [("y", ["batch", 4, 6, 6])], weights,
                **options)


def operators(path):
    return sorted(node.op_type for node in onnx.load(path).graph.node)


def difference(a, b, *options):
    return json.loads(works("model", "diff", a, b, "--json", *options).stdout)


def answers_no(*args):
    """Exit status 1 that is an answer and no error: nothing on standard error."""
    done = run(*args)
    assert done.returncode == 1 and done.stderr == "", (done.returncode, done.stderr)
    return done.stdout


# ---- what works ----

def a_model_becomes_smaller(scratch):
    path, out = convolution(scratch), os.path.join(scratch, "out.onnx")
    said = works("model", "optimize", path, "-o", out, "-v").stderr
    assert "nodes 5 -> 2" in said and "1 batch normalisations folded" in said, said
    assert operators(out) == ["Conv", "Relu"]
    made = onnx.load(out)
    onnx.checker.check_model(made)
    assert made.graph.input[0].type.tensor_type.shape.dim[0].dim_param == "batch"
    assert sorted(t.name for t in made.graph.initializer) == sorted(made.graph.node[0].input[1:])
    found = difference(path, out, "--input", "x=3x3x8x8")
    assert found["same"] and 0 < found["relative_max"] < 1e-5, found
    folder_is_clean(scratch, "plain.onnx", "out.onnx")


def inputs_may_be_fixed(scratch):
    path, out = convolution(scratch), os.path.join(scratch, "out.onnx")
    works("model", "optimize", path, "-o", out, "--input", "x=2x3x8x8")
    assert [d.dim_value for d in onnx.load(out).graph.input[0].type.tensor_type.shape.dim] == [2, 3, 8, 8]
    fails("model", "diff", path, out, says=["plain.onnx", "input x is", "[n,3,8,8]", "[2,3,8,8]"])
    assert difference(path, out, "--input", "x=2x3x8x8")["same"]


def defaults_may_be_frozen(scratch):
    path = convolution(scratch, defaults=[(name, [4]) for name in "sbmv"])
    out = os.path.join(scratch, "out.onnx")
    works("model", "optimize", path, "-o", out)
    assert "BatchNormalization" in operators(out), "a caller may give other numbers"
    works("model", "optimize", path, "-o", out, "-y", "--freeze")
    assert operators(out) == ["Conv", "Relu"] and [i.name for i in onnx.load(out).graph.input] == ["x"]


def differences_are_measured(scratch):
    a, b = convolution(scratch, "a.onnx"), convolution(scratch, "b.onnx", shift=0.125)
    found = json.loads(answers_no("model", "diff", a, b, "--json"))
    assert not found["same"] and abs(found["outputs"][0]["max"] - 0.125) < 1e-5, found
    text = works("model", "diff", a, b, "--tolerance", "0.2").stdout.decode()
    assert text.splitlines()[1].split()[3] == "y" and "1.250e-01" in text, text
    assert difference(a, a)["relative_max"] == 0


def info_counts(scratch):
    path = convolution(scratch)
    found = json.loads(works("model", "info", path, "--json", "--nodes", "--time").stdout)
    assert found["opsets"] == {"ai.onnx": 13} and found["ir_version"] == 7 and found["nodes"] == 5, found
    assert {o["operator"]: o["count"] for o in found["operators"]}["Conv"] == 1
    assert found["parameters"] == 4 * 27 + 16 and found["weight_bytes"] == 4 * (4 * 27 + 16) + 4 * 8
    # 4x6x6 results: 2*27 each for the convolution, 2 for the normalisation, 1 for Relu
    assert found["flop"] == 144 * (54 + 2 + 1), found["flop"]
    assert found["output_bytes"] == 5 * 4 * 144 and found["unknown_nodes"] == 0
    conv = found["node_list"][0]
    assert conv["name"] == "first" and conv["output"] == [1, 4, 6, 6] and conv["flop"] == 144 * 54, conv
    assert found["time"]["run_ms"] > 0 and found["time"]["kernels"]
    assert found["inputs"] == [{"name": "x", "tensor": "float32 [n,3,8,8]"}]
    text = works("model", "info", path, "--nodes").stdout.decode()
    for part in ("format    ONNX version 7, opset 13; by test", "nodes     5: ", " 1 Conv", "1x4x6x6", "first"):
        assert part in text, (part, text)
    text = works("model", "info", model("talker")).stdout.decode()
    assert "matting   not a matting network: " in text and "found inputs: input float32 [n,6,320,320]" in text, text
    assert os.listdir(scratch) == ["plain.onnx"], "the profile is gone"


def real_models(scratch):
    """Those with bodies, of 8-bit integers, recurrent, of free sizes. All of them: src/infer/optimize_test.c."""
    out = os.path.join(scratch, "out.onnx")
    for name, *options in (("audio/silero_vad_16k_op15", "--input", "input=2x576", "--input", "state=2x2x128", "--input",
                            "sr=:16000"),
                           ("matting/selfie_alphas_256_nchw_int8dyn",), ("audio/dtln_model_1",), ("face/pfld_68",)):
        path = data(f"models/{name}.onnx")
        works("model", "optimize", path, "-o", out, "-y", *options)
        before, after = (json.loads(works("model", "info", p, "--json").stdout) for p in (path, out))
        assert after["nodes"] <= before["nodes"] and after["weight_bytes"] <= 1.01 * before["weight_bytes"], name
        assert difference(path, out, *options)["same"], name


def weights_listed_as_inputs_are_none(scratch):
    """As up to version 3 of the format, where every weight is an input too."""
    path, out = os.path.join(scratch, "three.onnx"), os.path.join(scratch, "out.onnx")
    made = onnx.load(convolution(scratch))
    made.graph.input.extend(helper.make_tensor_value_info(t.name, t.data_type, t.dims) for t in made.graph.initializer)
    made.ir_version = 3
    onnx.save(made, path)
    works("model", "optimize", path, "-o", out)
    done = onnx.load(out)
    assert [i.name for i in done.graph.input] == ["x"] and done.ir_version == 4 and len(done.graph.node) < 5, done
    assert json.loads(works("model", "info", path, "--json").stdout)["ir_version"] == 3
    assert difference(path, out)["same"]


# ---- what goes wrong ----

def what_is_there_stays(scratch):
    path, out = convolution(scratch), os.path.join(scratch, "out.onnx")
    with open(out, "w") as f:
        f.write("mine")
    fails("model", "optimize", path, "-o", out, says=["out.onnx", "-y"])
    fails("model", "optimize", path, "-o", path, "-y", says=["plain.onnx", "is read"])
    fails("model", "optimize", path, "-o", out, "-y", "--tolerance", "0", says=["plain.onnx", "differ", "Nothing"])
    fails("model", "optimize", path, "-o", out, "-y", "--input", "z=1x2", says="no input is named z")
    fails("model", "optimize", path, "-o", out, "-y", "--input", "x=1x2x8x8", says=["input x", "dim 1 is 3"])
    fails("model", "optimize", path, "-o", os.path.join(scratch, "absent", "o.onnx"), says="absent")
    with open(out) as f:
        assert f.read() == "mine"
    folder_is_clean(scratch, "plain.onnx", "out.onnx")


def wrong_models(scratch):
    path, out = convolution(scratch), os.path.join(scratch, "out.onnx")
    cut, garbage = os.path.join(scratch, "cut.onnx"), os.path.join(scratch, "garbage.onnx")
    with open(path, "rb") as f, open(cut, "wb") as g:
        g.write(f.read()[:-60])
    with open(garbage, "wb") as f:
        f.write(os.urandom(3000))
    for wrong in (cut, garbage, scratch, os.path.join(scratch, "absent.onnx")):
        fails("model", "optimize", wrong, "-o", out, says=os.path.basename(wrong))
        fails("model", "diff", path, wrong, says=os.path.basename(wrong))
    fails("model", "diff", path, model("talker"), says=["plain.onnx", "talker.onnx"])
    apart = onnx.load(path)
    for tensor in apart.graph.initializer:
        onnx.external_data_helper.set_external_data(tensor, "weights.bin")
    with open(cut, "wb") as f:
        f.write(apart.SerializeToString())
    fails("model", "optimize", cut, "-o", out, says=["cut.onnx", "file of their own"])
    folder_is_clean(scratch, "plain.onnx", "cut.onnx", "garbage.onnx")


def wrong_command_lines(scratch):
    path = convolution(scratch)
    fails("model", "optimize", says="which model?", status=2)
    fails("model", "optimize", path, says="-o OUT.onnx", status=2)
    fails("model", "optimize", path, path, "-o", "x", says="too many", status=2)
    fails("model", "diff", path, says="which models?", status=2)
    for text in ("x", "x=", "=1x2", "x=1x", "x=ax2", "x=1x2:", "x=1x2:a", "x=-1", "x=1x1x1x1x1x1x1x1x1"):
        fails("model", "diff", path, path, "--input", text, says=["--input", "NAME=1x3x256x256"], status=2)
    for text in ("-1", "nan", "inf", "1x", ""):
        fails("model", "diff", path, path, "--tolerance", text, says=["--tolerance", "a number from 0"], status=2)
    fails("model", "run", path, "--image", "a.png", "-o", "b.npy", "--nodes", says="--nodes", status=2)
    text = works("model", "optimize", "--help").stdout.decode()
    assert "Usage: inlay model optimize" in text and "--freeze" in text, text
    assert "Usage: inlay model diff" in works("model", "diff", "--help").stdout.decode()
    assert "optimize MODEL -o OUT.onnx" in works("model", "--help").stdout.decode()


if __name__ == "__main__":
    sys.exit(main([a_model_becomes_smaller, inputs_may_be_fixed, defaults_may_be_frozen,
                   weights_listed_as_inputs_are_none, differences_are_measured, info_counts, real_models,
                   what_is_there_stays, wrong_models, wrong_command_lines]))
