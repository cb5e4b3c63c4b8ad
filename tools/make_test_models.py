#!/usr/bin/python3
"""Write the small networks that the tests run.

usage: make_test_models.py FOLDER

None is trained. The same script gives the same files. Needs Debian's python3-onnx and python3-numpy.

  lipsync_*.onnx        the lip-sync contract in its variants, a few seeded layers each
  unet_*.onnx           the contract with inverted residuals, an encoder and skip connections, as unet_328 in small
  formula.onnx          the contract with a result that a test can compute: 0.5 roi + 0.25 masked + mean(audio)
  audio_encoder*.onnx   mel windows to feature rows
  matte_*.onnx          segmentation, matting and depth in their variants, with results that a test can compute
  types.onnx            tensors of many types and ranks
  wrong_*.onnx          what must be refused
  talker*.onnx          a mouth that is drawn, not learned, and opens with the energy of the speech
"""
import argparse
import os

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

F32 = TensorProto.FLOAT


class Graph:
    """Collects nodes and constants; every op returns the name of its result."""

    def __init__(self):
        self.nodes, self.constants, self.inputs, self.outputs = [], [], [], []

    def name(self):
        return "t%d" % (len(self.nodes) + len(self.constants))

    def input(self, name, shape, dtype=F32):
        self.inputs.append(helper.make_tensor_value_info(name, dtype, shape))
        return name

    def output(self, source, name, shape, dtype=F32):
        self.nodes.append(helper.make_node("Identity", [source], [name]))
        self.outputs.append(helper.make_tensor_value_info(name, dtype, shape))

    def const(self, value, dtype=np.float32):
        name = "c%d" % len(self.constants)
        self.constants.append(numpy_helper.from_array(np.asarray(value, dtype=dtype), name))
        return name

    def op(self, kind, *inputs, **attributes):
        name = self.name()
        sources = [i if isinstance(i, str) else self.const(i) for i in inputs]
        self.nodes.append(helper.make_node(kind, sources, [name], **attributes))
        return name

    def ints(self, *values):
        return self.const(values, np.int64)

    def clip01(self, x):
        return self.op("Clip", x, np.float32(0), np.float32(1))

    def channels(self, x, first, end):
        return self.op("Slice", x, self.ints(first), self.ints(end), self.ints(1))

    def save(self, folder, name):
        graph = helper.make_graph(self.nodes, name, self.inputs, self.outputs, self.constants)
        model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], producer_name="inlay")
        model.ir_version = 7
        onnx.checker.check_model(model)
        onnx.save(model, os.path.join(folder, name + ".onnx"))


def weights(rng, *shape):
    return rng.standard_normal(shape).astype(np.float32) * np.float32(np.sqrt(1.6 / np.prod(shape[1:])))


def small_network(g, picture, audio, audio_channels, seed):
    """Like the real one in outline: down, fused with the audio, up, sigmoid; 4 channels wide."""
    rng = np.random.default_rng(seed)
    x = g.op("Relu", g.op("Conv", picture, weights(rng, 4, 6, 4, 4), weights(rng, 4), strides=[4, 4]))
    a = g.op("GlobalAveragePool", g.op("Relu", g.op("Conv", audio, weights(rng, 4, audio_channels, 3, 3))))
    x = g.op("Relu", g.op("Conv", g.op("Add", x, a), weights(rng, 4, 4, 3, 3), pads=[1, 1, 1, 1]))
    x = g.op("Resize", x, "", g.const([1, 1, 4, 4]), mode="linear", coordinate_transformation_mode="align_corners")
    return g.op("Sigmoid", g.op("Conv", x, weights(rng, 3, 4, 1, 1), weights(rng, 3)))


def lipsync(folder, name, size=320, batch="n", audio=(32, 16, 16), seed=1):
    g = Graph()
    picture = g.input("input", [batch, 6, size, size])
    speech = g.input("audio", [batch, *audio])
    g.output(small_network(g, picture, speech, audio[0], seed), "output", [batch, 3, size, size])
    g.save(folder, name)


def residual(g, rng, x, channels, mid, out, stride=1, add=False, activation="Relu"):
    """An inverted residual: 1x1, depthwise 3x3, 1x1."""
    y = g.op(activation, g.op("Conv", x, weights(rng, mid, channels, 1, 1), weights(rng, mid)))
    y = g.op(activation, g.op("Conv", y, weights(rng, mid, 1, 3, 3), weights(rng, mid), group=mid,
                              strides=[stride, stride], pads=[1, 1, 1, 1]))
    y = g.op("Conv", y, weights(rng, out, mid, 1, 1), weights(rng, out))
    return g.op("Add", x, y) if add else y


def unet(folder, name, size, mode, widths=(12, 20, 7), activation="Relu", batch="n"):
    """unet_328 in small: an encoder of the picture whose tensors meet what is enlarged of the audio. Odd sizes do not
    divide by two, so what is enlarged is padded as PyTorch's code does it."""
    g, rng = Graph(), np.random.default_rng(size)
    picture = g.input("input", [batch, 6, size, size])
    audio = g.input("audio", [batch, 8, 8, 8])
    skips, x, channels = [], picture, 6
    for i, width in enumerate(widths):
        x = residual(g, rng, x, channels, 2 * width, width, 2 if i else 1, activation=activation)
        x = residual(g, rng, x, width, 2 * width, width, add=True, activation=activation)
        skips.append(x)
        channels = width
    a = g.op("Relu", g.op("Conv", audio, weights(rng, 9, 8, 3, 3), weights(rng, 9)))
    a = residual(g, rng, a, 9, 16, widths[-1], activation=activation)
    a = g.op("GlobalAveragePool", a)
    low = g.op("Concat", x, g.op("Expand", a, g.op("Shape", x)), axis=1)
    x = residual(g, rng, low, 2 * channels, 24, channels, activation=activation)
    for width, skip in zip(widths[-2::-1], skips[-2::-1]):
        x = g.op("Resize", x, "", g.const([1, 1, 2, 2]), mode="linear", coordinate_transformation_mode=mode)
        difference = g.op("Sub", g.op("Shape", skip), g.op("Shape", x))
        pads = g.op("Concat", g.ints(0, 0, 0, 0, 0, 0),
                    g.op("Slice", difference, g.ints(2), g.ints(4)), axis=0)
        x = g.op("Concat", g.op("Pad", x, pads), skip, axis=1)
        x = residual(g, rng, x, channels + width, 3 * width, width, activation=activation)
        x = residual(g, rng, x, width, 2 * width, width, add=True, activation=activation)
        channels = width
    g.output(g.op("Sigmoid", g.op("Conv", x, weights(rng, 3, channels, 1, 1), weights(rng, 3))), "output",
             [batch, 3, size, size])
    g.save(folder, name)


def unets(folder):
    unet(folder, "unet_align", 32, "align_corners")
    unet(folder, "unet_half", 40, "half_pixel", widths=(8, 16, 24), batch=1)
    unet(folder, "unet_odd", 35, "pytorch_half_pixel")
    unet(folder, "unet_leaky", 32, "align_corners", activation="LeakyRelu")


def formula(g, picture, audio):
    roi = g.op("Mul", g.channels(picture, 0, 3), np.float32(0.5))
    masked = g.op("Mul", g.channels(picture, 3, 6), np.float32(0.25))
    mean = g.op("ReduceMean", audio, axes=[1, 2, 3], keepdims=1)
    return g.op("Add", g.op("Add", roi, masked), mean)


def formula_net(folder, name, picture_shape, output_shape, audio_shape=("n", 2, 4, 4),
                names=("input", "audio", "output"), audio_first=False):
    g = Graph()
    tensors = [(names[0], picture_shape), (names[1], audio_shape)]
    for tensor in reversed(tensors) if audio_first else tensors:
        g.input(*tensor)
    g.output(formula(g, names[0], names[1]), names[2], output_shape)
    g.save(folder, name)


def lipsync_variants(folder):
    lipsync(folder, "lipsync_320")
    lipsync(folder, "lipsync_160", size=160)
    lipsync(folder, "lipsync_batch1", batch=1)
    lipsync(folder, "lipsync_batch4", batch=4)
    lipsync(folder, "lipsync_hubert", audio=(32, 32, 32))
    lipsync(folder, "lipsync_wenet", audio=(256, 16, 32))
    square, result = ["n", 6, 16, 16], ["n", 3, 16, 16]
    formula_net(folder, "formula", square, result)
    formula_net(folder, "formula_batch4", [4, 6, 16, 16], [4, 3, 16, 16], [4, 2, 4, 4])
    formula_net(folder, "lipsync_renamed", square, result, names=("visual_input", "audio_input", "mouth"),
                audio_first=True)
    formula_net(folder, "lipsync_free_size", ["n", 6, "h", "w"], ["n", 3, "h", "w"])
    formula_net(folder, "lipsync_size_of_output", ["n", 6, "h", "w"], ["n", 3, 160, 160])
    # The audio could be a picture too, and there are two results: names must choose.
    g = Graph()
    g.input("first", ["n", 6, 16, 16])
    g.input("second", ["n", 6, 16, 16])
    g.output(formula(g, "first", "second"), "one", result)
    g.output(formula(g, "second", "first"), "two", result)
    g.save(folder, "lipsync_ambiguous")


def cropped(folder):
    """Declares nothing about its result's size and gives 14x14 for a picture of 16x16."""
    g = Graph()
    g.input("input", ["n", 6, 16, 16])
    g.input("audio", ["n", 2, 4, 4])
    # A size that depends on the data, so that no shape inference can see it.
    zero = g.op("Mul", g.op("ReduceMean", "audio", keepdims=0), np.float32(0))
    end = g.op("Cast", g.op("Add", zero, np.float32(14)), to=TensorProto.INT64)
    ends = g.op("Concat", g.op("Reshape", end, g.ints(1)), g.op("Reshape", end, g.ints(1)), axis=0)
    x = g.op("Slice", formula(g, "input", "audio"), g.ints(0, 0), ends, g.ints(2, 3))
    g.output(x, "output", ["n", 3, "h", "w"])
    g.save(folder, "wrong_size_at_run")


def wrong_lipsync(folder):
    def two_inputs(name, picture, audio, picture_type=F32, audio_type=F32, output=("n", 3, 16, 16), third=None,
                   picture_name="data"):
        """Declares inputs and gives a constant: the metadata is what is at fault."""
        g = Graph()
        g.input(picture_name, picture, picture_type)
        if audio:
            g.input("sound", audio, audio_type)
        if third:
            g.input("mask", third)
        g.output(g.const(np.zeros([d if isinstance(d, int) else 1 for d in output])), "result", output)
        g.save(folder, name)

    picture, audio = ["n", 6, 16, 16], ["n", 2, 4, 4]
    two_inputs("wrong_channels", [1, 3, 16, 16], audio)
    two_inputs("wrong_not_square", ["n", 6, 16, 20], audio)
    two_inputs("wrong_rank", picture, ["n", 32])
    two_inputs("wrong_float16", picture, audio, picture_type=TensorProto.FLOAT16)
    two_inputs("wrong_int64_audio", picture, audio, audio_type=TensorProto.INT64)
    two_inputs("wrong_one_input", picture, None)
    two_inputs("wrong_three_inputs", picture, audio, third=["n", 1, 16, 16])
    two_inputs("wrong_free_audio", picture, ["n", 2, "t", 4])
    two_inputs("wrong_empty_audio", picture, ["n", 2, 0, 4])
    two_inputs("wrong_batches", [1, 6, 16, 16], [4, 2, 4, 4])
    two_inputs("wrong_empty_batch", [0, 6, 16, 16], [0, 2, 4, 4])
    two_inputs("wrong_huge", ["n", 6, 1 << 20, 1 << 20], audio)
    many = 1 << 20
    formula_net(folder, "wrong_huge_batch", [many, 6, 16, 16], [many, 3, 16, 16], [many, 2, 4, 4])
    two_inputs("wrong_output", picture, audio, output=["n", 1, 16, 16])
    two_inputs("wrong_output_size", picture, audio, output=["n", 3, 18, 18])
    two_inputs("wrong_long_name", picture, audio, output=["n", 5, 16, 16], picture_name="data\n" + 3000 * "x")
    cropped(folder)


def types(folder):
    g = Graph()
    kinds = {"f32": F32, "f16": TensorProto.FLOAT16, "u8": TensorProto.UINT8, "i32": TensorProto.INT32,
             "i64": TensorProto.INT64, "bool": TensorProto.BOOL}
    for i, (name, kind) in enumerate(kinds.items()):
        shape = ["n", 2, "t", 4, 5][:i]
        g.input(name, shape, kind)
        g.output(name, name + "_out", shape, kind)
    g.inputs.append(helper.make_tensor_sequence_value_info("sequence", F32, None))
    g.output(g.op("SequenceLength", "sequence"), "length", [], TensorProto.INT64)
    g.save(folder, "types")
    g = Graph()
    g.input("deep", [1] * 9)
    g.output("deep", "deep_out", [1] * 9)
    g.save(folder, "wrong_nine_dims")
    # Broadcasting that fails only once the shapes are known.
    g = Graph()
    g.input("a", ["n", 2])
    g.input("b", ["m", 2])
    g.output(g.op("Add", "a", "b"), "sum", [None, 2])
    g.save(folder, "add")


def audio_encoders(folder):
    def encoder(name, batch="n", window=(1, 80, 16), floats=512, dtype=F32):
        rng = np.random.default_rng(2)
        g = Graph()
        x = g.input("mel", [batch, *window], dtype)
        if dtype != F32:
            x = g.op("Cast", x, to=F32)
        x = g.op("Relu", g.op("Conv", x, weights(rng, 8, 1, *window[1:])))
        x = g.op("MatMul", g.op("Flatten", x), weights(rng, 8, floats))
        g.output(x, "row", [batch, floats])
        g.save(folder, name)

    encoder("audio_encoder")
    encoder("audio_encoder_batch1", batch=1)
    encoder("audio_encoder_small", floats=7)
    encoder("wrong_encoder_window", window=(1, 80, 20))
    encoder("wrong_encoder_batch", batch=4)
    encoder("wrong_encoder_float16", dtype=TensorProto.FLOAT16)
    # An encoder whose row is the window itself, its sum first.
    g = Graph()
    g.input("mel", ["n", 1, 80, 16])
    flat = g.op("Flatten", "mel")
    total = g.op("Reshape", g.op("ReduceSum", flat, g.ints(1)), g.ints(-1, 1))
    g.output(g.op("Concat", total, flat, axis=1), "row", ["n", 1281])
    g.save(folder, "audio_encoder_copy")


def person(g, picture, last=False):
    """2 first - second + 0.5 third - 0.5, of channels in 0..1: a logit that a test can compute."""
    weight = np.array([2, -1, 0.5])
    if last:
        return g.op("Add", g.op("MatMul", picture, weight.reshape(3, 1)), np.float32(-0.5))
    return g.op("Conv", picture, weight.reshape(1, 3, 1, 1), np.array([-0.5]))


def mattes(folder):
    """Pictures of 20x16; wherever a channel can be told by mistake, the result differs."""
    height, width = 16, 20

    def simple(name, result, shape, picture=("n", 3, height, width), output="mask", dtype=F32, out_type=F32):
        g = Graph()
        g.input("image", picture, dtype)
        g.output(result(g, "image"), output, shape, out_type)
        g.save(folder, name)

    planar, packed = [1, 1, height, width], [1, height, width, 1]
    bytes_to_unit = np.float32(1 / 255)

    def two_logits(g, x):
        logit = person(g, x, last=True)
        return g.op("Concat", g.op("Mul", logit, np.float32(-1)), logit, axis=3)

    def six_logits(g, x):
        logit = person(g, x)
        return g.op("Concat", *[g.op("Mul", logit, np.float32(k)) for k in (1, -1, 0.5, 2, -2, 0)], axis=1)

    simple("matte_sigmoid", lambda g, x: g.op("Sigmoid", person(g, x)), ["n", 1, height, width])
    simple("matte_logit", person, planar)
    simple("matte_two_logits", two_logits, [1, height, width, 2], picture=[1, height, width, 3])
    simple("matte_six_logits", six_logits, [1, 6, height, width])
    simple("matte_bytes", lambda g, x: g.op("Squeeze", g.op("Mul", g.op("Sigmoid", person(g, x)), np.float32(255)),
                                            g.ints(1)), [1, height, width])
    simple("matte_zero", lambda g, x: g.op("Relu", person(g, x)), planar)
    simple("matte_free_size", lambda g, x: g.op("Sigmoid", person(g, x)), ["n", 1, None, None],
           picture=["n", 3, "h", "w"])
    simple("matte_uint8", lambda g, x: g.op("Sigmoid", person(g, g.op("Mul", g.op("Cast", x, to=F32), bytes_to_unit),
                                                               last=True)),
           packed, picture=[1, height, width, 3], dtype=TensorProto.UINT8)
    simple("matte_uint8_planar", lambda g, x: g.op("Sigmoid", person(g, g.op("Mul", g.op("Cast", x, to=F32),
                                                                             bytes_to_unit))),
           planar, dtype=TensorProto.UINT8)
    simple("wrong_matte_gray", lambda g, x: g.op("Sigmoid", x), planar, picture=planar)
    simple("wrong_matte_batch", lambda g, x: g.op("Sigmoid", person(g, x)), [4, 1, height, width],
           picture=[4, 3, height, width])
    simple("wrong_matte_output", lambda g, x: g.op("Concat", x, x, axis=1), [1, 6, height, width])
    simple("wrong_matte_float16", lambda g, x: g.op("Sigmoid", person(g, g.op("Cast", x, to=F32))), planar,
           dtype=TensorProto.FLOAT16)
    simple("wrong_matte_classes", lambda g, x: g.op("ArgMax", x, axis=1), planar, out_type=TensorProto.INT64)
    simple("wrong_matte_axes", lambda g, x: g.op("Sigmoid", x), [1, 3, height, 3], picture=[1, 3, height, 3])

    def recurrent(name, picture, state, ratio=False, names=("src", "r1i", "r1o", "pha", "fgr")):
        """Half the picture's mean, half what was before; the foreground is the picture darkened."""
        src, before, after, matte, foreground = names
        g = Graph()
        g.input(src, picture)
        g.input(before, state)
        dark = g.const([0.5])
        if ratio:
            g.input("downsample_ratio", [1])
            dark = "downsample_ratio"
        mean = g.op("ReduceMean", src, axes=[1], keepdims=1)
        x = g.op("Add", g.op("Mul", mean, np.float32(0.5)), g.op("Mul", before, np.float32(0.5)))
        plane = [picture[0], 1, *picture[2:]]
        g.output(g.op("Mul", src, dark), foreground, picture)
        g.output(x, matte, plane)
        g.output(x, after, state)
        g.save(folder, name)

    def cutout(name, memory=False):
        """Red is the subject. With memory half of the matte is what it was before, and the subject is pure red."""
        g = Graph()
        g.input("src", [1, 3, 96, 160])
        red = g.channels("src", 0, 1)
        matte = g.clip01(g.op("Add", g.op("Mul", g.op("Sub", red, g.channels("src", 1, 2)), np.float32(8)),
                              np.float32(-2)))
        if memory:
            g.input("r1i", [1, 1, 96, 160])
            matte = g.op("Add", g.op("Mul", matte, np.float32(0.5)), g.op("Mul", "r1i", np.float32(0.5)))
            none = g.op("Mul", red, np.float32(0))
            g.output(g.op("Concat", g.op("Add", none, np.float32(1)), none, none, axis=1), "fgr", [1, 3, 96, 160])
            g.output(matte, "r1o", [1, 1, 96, 160])
        g.output(matte, "pha", [1, 1, 96, 160])
        g.save(folder, name)

    cutout("cutout")
    cutout("cutout_memory", memory=True)
    # Near is blue.
    simple("nearness", lambda g, x: g.op("Mul", g.channels(x, 2, 3), np.float32(7)), [1, 1, 48, 80],
           picture=[1, 3, 48, 80], output="depth")

    recurrent("matte_recurrent", [1, 3, height, width], planar)
    recurrent("matte_recurrent_free", ["b", 3, "h", "w"], ["b", "c", "h1", "w1"], ratio=True)
    recurrent("matte_recurrent_odd", [1, 3, height, width], planar, names=("a", "past", "future", "x", "colours"))


def talker_encoder(folder):
    """Three levels, 0 in silence and 1 in loud speech, spread over the row: 256 times the whole spectrum, 128 times
    the vowels' bands, 128 times the hiss."""
    middle = np.hanning(18)[1:-1]
    middle /= middle.sum()
    kernel, bias = np.zeros((3, 1, 80, 16)), np.zeros(3)
    for i, (low, high, silent, loud) in enumerate([(0, 80, -3.2, -1.0), (4, 30, -3.2, -0.8), (50, 80, -3.2, -0.8)]):
        kernel[i, 0, low:high] = middle / (high - low) / (loud - silent)
        bias[i] = -silent / (loud - silent)
    spread = np.zeros((3, 512))
    spread[0, :256] = spread[1, 256:384] = spread[2, 384:] = 1
    g = Graph()
    g.input("mel", ["n", 1, 80, 16])
    levels = g.clip01(g.op("Conv", "mel", kernel, bias))
    g.output(g.op("MatMul", g.op("Flatten", levels), spread), "row", ["n", 512])
    g.save(folder, "talker_encoder")


def talker(folder):
    """The picture with a mouth drawn at (0.50, 0.375) of its size. Without speech the picture itself."""
    size, centre_x, centre_y = 320, 160, 120
    # Row r of the 16 is channels 2r and 2r + 1; the frame's own is row 8. Result 0: how open, 1: how wide.
    kernel = np.zeros((2, 32, 16, 16))
    for row, share in ((7, 0.25), (8, 0.5), (9, 0.25)):
        kernel[0, 2 * row] = 0.5 * share / 256
        kernel[0, 2 * row + 1, :8] = 0.5 * share / 128
        kernel[1, 2 * row + 1, 8:] = share / 128
    g = Graph()
    g.input("input", ["n", 6, size, size])
    g.input("audio", ["n", 32, 16, 16])
    roi = g.channels("input", 0, 3)
    levels = g.clip01(g.op("Conv", "audio", kernel))
    opened, wide = g.channels(levels, 0, 1), g.channels(levels, 1, 2)
    shown = g.clip01(g.op("Mul", opened, np.float32(8)))

    def scaled(x, factor, offset):
        return g.op("Add", g.op("Mul", x, np.float32(factor)), np.float32(offset))

    half_height = scaled(opened, 28, 2)
    half_width = g.op("Add", scaled(opened, -8, 46), g.op("Mul", wide, np.float32(6)))
    across = g.const((np.arange(size) - centre_x).reshape(1, 1, 1, size))
    # The jaw falls more than the upper lip rises.
    down = g.op("Sub", g.const((np.arange(size) - centre_y).reshape(1, 1, size, 1)), scaled(opened, 10, 0))

    def ellipse(margin_x, margin_y, hardness):
        x = g.op("Div", across, scaled(half_width, 1, margin_x))
        y = g.op("Div", down, scaled(half_height, 1, margin_y))
        distance = g.op("Add", g.op("Mul", x, x), g.op("Mul", y, y))
        return g.op("Mul", g.clip01(scaled(distance, -hardness, hardness + 0.5)), shown)

    def blend(under, over, mask):
        return g.op("Add", under, g.op("Mul", mask, g.op("Sub", over, under)))

    def colour(blue, green, red):
        return g.const(np.array([blue, green, red]).reshape(1, 3, 1, 1))

    lip_colour = g.op("Add", g.op("Mul", roi, colour(0.72, 0.66, 0.88)), colour(0.02, 0.02, 0.07))
    inside = ellipse(0, 0, 3)
    upper = g.op("Div", down, half_height)
    teeth = g.op("Mul", inside, g.op("Mul", g.clip01(scaled(upper, -5, -2)), g.clip01(scaled(opened, 4, -0.8))))
    x = blend(roi, lip_colour, ellipse(8, 8, 2))
    x = blend(x, colour(0.07, 0.05, 0.13), inside)
    x = blend(x, colour(0.74, 0.78, 0.82), teeth)
    g.output(x, "output", ["n", 3, size, size])
    g.save(folder, "talker")


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder")
    folder = parser.parse_args().folder
    os.makedirs(folder, exist_ok=True)
    lipsync_variants(folder)
    unets(folder)
    wrong_lipsync(folder)
    mattes(folder)
    types(folder)
    audio_encoders(folder)
    talker_encoder(folder)
    talker(folder)
    os.utime(folder)  # overwriting alone would leave it older than this script, and the build would come back


if __name__ == "__main__":
    main()
