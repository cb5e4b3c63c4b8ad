"""The lip-sync networks of SyncTalk_2D and Ultralight-Digital-Human at any width, and SyncTalk_2D's audio encoder.

LipsyncNet(1.0) has the modules, names and shapes of SyncTalk_2D's unet_328, LipsyncNet(1.0, mode="hubert", picture=160)
those of Ultralight-Digital-Human, so that checkpoints of theirs load into it (tools/train/export). Narrower ones keep
the shape: an encoder of inverted residuals down to 10x10, an audio stem of the same size, their fusion, and up-blocks
with skips.

    input  [n,6,S,S]  BGR 0..1: the face (channels 0-2) and the face with its middle black (3-5); S is 320 or 160
    audio  [n,C,H,W]  a window of audio features, 8 rows before the frame and 8 from it on (4 and 4 of the older ones)
    output [n,3,S,S]  BGR 0..1

    mode    a row of features  audio of 16 rows  of 8 rows
    ave     512                [n,32,16,16]      [n,16,16,16]
    hubert  2x1024             [n,32,32,32]      [n,16,32,32]
    wenet   16x512             [n,256,16,32]     [n,128,16,32]
"""
import torch
from torch import nn

AUDIO_SIZE = {"ave": (16, 16), "hubert": (32, 32), "wenet": (16, 32)}
CHANNELS_PER_ROW = {"ave": 2, "hubert": 2, "wenet": 16}
STEM_STRIDE = {"ave": 1, "hubert": 2, "wenet": (1, 2)}  # of conv3: each makes 16x16


class InvertedResidual(nn.Module):
    """1x1 to expand, 3x3 depthwise, 1x1 to project; adds its input where `residual`."""

    def __init__(self, inputs, outputs, stride=1, expand=2, residual=False):
        super().__init__()
        hidden = round(inputs * expand)
        self.residual = residual
        self.conv = nn.Sequential(
            nn.Conv2d(inputs, hidden, 1, bias=False), nn.BatchNorm2d(hidden), nn.ReLU(inplace=True),
            nn.Conv2d(hidden, hidden, 3, stride, 1, groups=hidden, bias=False), nn.BatchNorm2d(hidden),
            nn.ReLU(inplace=True),
            nn.Conv2d(hidden, outputs, 1, bias=False), nn.BatchNorm2d(outputs))

    def forward(self, x):
        return x + self.conv(x) if self.residual else self.conv(x)


class DoubleConv(nn.Module):
    def __init__(self, inputs, outputs, stride=1):
        super().__init__()
        self.double_conv = nn.Sequential(InvertedResidual(inputs, outputs, stride),
                                         InvertedResidual(outputs, outputs, residual=True))

    def forward(self, x):
        return self.double_conv(x)


class In(nn.Module):
    def __init__(self, inputs, outputs):
        super().__init__()
        self.inconv = nn.Sequential(InvertedResidual(inputs, outputs))

    def forward(self, x):
        return self.inconv(x)


class Down(nn.Module):
    def __init__(self, inputs, outputs):
        super().__init__()
        self.maxpool_conv = nn.Sequential(DoubleConv(inputs, outputs, 2))

    def forward(self, x):
        return self.maxpool_conv(x)


class Up(nn.Module):
    """Doubles the size (bilinear, corners aligned), then joins the skip: channels are up first, skip second."""

    def __init__(self, inputs, outputs):
        super().__init__()
        self.up = nn.Upsample(scale_factor=2, mode="bilinear", align_corners=True)
        self.conv = DoubleConv(inputs, outputs)

    def forward(self, x, skip):
        return self.conv(torch.cat([self.up(x), skip], 1))


class Out(nn.Module):
    def __init__(self, inputs):
        super().__init__()
        self.conv = nn.Conv2d(inputs, 3, 1)

    def forward(self, x):
        return self.conv(x)


class AudioStem(nn.Module):
    """Features [n,channels,H,W] to [n,c4,10,10]; `stride` of conv3 brings H x W to 16x16."""

    def __init__(self, channels, widths, stride=1):
        super().__init__()
        c1, c2, c3, c4 = widths
        self.conv1 = InvertedResidual(channels, c1, residual=channels == c1)
        self.conv2 = InvertedResidual(c1, c2, residual=c1 == c2)
        self.conv3 = nn.Conv2d(c2, c3, 3, stride, 1)
        self.bn3 = nn.BatchNorm2d(c3)
        self.conv4 = InvertedResidual(c3, c3, residual=True)
        self.conv5 = nn.Conv2d(c3, c4, 3, 2, 3)
        self.bn5 = nn.BatchNorm2d(c4)
        self.relu = nn.ReLU()
        self.conv6 = InvertedResidual(c4, c4, residual=True)
        self.conv7 = InvertedResidual(c4, c4, residual=True)

    def forward(self, x):
        x = self.conv2(self.conv1(x))
        x = self.conv4(self.relu(self.bn3(self.conv3(x))))
        return self.conv7(self.conv6(self.relu(self.bn5(self.conv5(x)))))


class LipsyncNet(nn.Module):
    """`width` 1 is unet_328: 12.2 M parameters. `rows` of audio features a frame: 16 or 8. `stem`: the four widths of
    the audio stem where they are not the mode's own."""

    def __init__(self, width=1.0, rows=16, mode="ave", picture=320, stem=None):
        super().__init__()
        b = round(32 * width)
        widths = [b] + [b] * (picture == 320) + [2 * b, 4 * b, 8 * b, 16 * b]
        outputs = [4 * b, 2 * b, b, b] + [b // 2] * (picture == 320)
        if stem is None:
            stem = (8 * b, 8 * b, 8 * b, 16 * b) if mode == "wenet" else (2 * b, 4 * b, 8 * b, 16 * b)
        self.levels = len(outputs)
        self.inc = In(6, b)
        for i in range(self.levels):
            setattr(self, f"down{i + 1}", Down(widths[i], widths[i + 1]))
        self.audio_model = AudioStem(CHANNELS_PER_ROW[mode] * rows, stem, STEM_STRIDE[mode])
        self.fuse_conv = nn.Sequential(DoubleConv(32 * b, 16 * b), DoubleConv(16 * b, 8 * b))
        for i in range(self.levels):  # each joins what is below it with a skip of the same width
            setattr(self, f"up{i + 1}", Up(2 * widths[-2 - i], outputs[i]))
        self.outc = Out(outputs[-1])

    def forward(self, input, audio):
        return torch.sigmoid(self.draw(input, self.audio_model(audio)))

    def draw(self, input, audio):
        """Logits of the output; audio [n,16b,h/32,w/32] as the stem makes it."""
        return self.decode(self.encode(input), audio)

    def encode(self, input):
        """What the picture alone decides, from the largest map to the smallest."""
        maps = [self.inc(input)]
        for i in range(self.levels):
            maps.append(getattr(self, f"down{i + 1}")(maps[-1]))
        return maps

    def decode(self, maps, audio):
        x = self.fuse_conv(torch.cat([maps[-1], audio], 1))
        for i in range(self.levels):
            x = getattr(self, f"up{i + 1}")(x, maps[-2 - i])
        return self.outc(x)


class ConvBlock(nn.Module):
    def __init__(self, inputs, outputs, kernel=3, stride=1, padding=1):
        super().__init__()
        self.conv_block = nn.Sequential(nn.Conv2d(inputs, outputs, kernel, stride, padding), nn.BatchNorm2d(outputs))
        self.act = nn.ReLU()
        self.residual = inputs == outputs and kernel == 3

    def forward(self, x):
        y = self.conv_block(x)
        return self.act(x + y if self.residual else y)


class SyncTalkAudioEncoder(nn.Module):
    """Mel windows [n,1,80,16] to rows [n,512]: the network in SyncTalk_2D's audio_visual_encoder.pth."""

    def __init__(self):
        super().__init__()
        self.audio_encoder = nn.Sequential(
            ConvBlock(1, 32), ConvBlock(32, 32), ConvBlock(32, 32),
            ConvBlock(32, 64, stride=(3, 1)), ConvBlock(64, 64), ConvBlock(64, 64),
            ConvBlock(64, 128, stride=3), ConvBlock(128, 128), ConvBlock(128, 128),
            ConvBlock(128, 256, stride=(3, 2)), ConvBlock(256, 256),
            ConvBlock(256, 512, padding=0), ConvBlock(512, 512, kernel=1, padding=0))

    def forward(self, mel):
        return self.audio_encoder(mel).flatten(1)
