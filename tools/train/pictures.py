"""The presenter's lip-sync network: what it sees, and how it learns to draw.

The network is LipsyncNet that draws over its own input: before any training it copies the face, and what it learns is
the mouth. It has no batch normalisation (a CPU trains it six times faster so); its weights begin where normalisation
would have put them, one layer after the other on the first batch. A batch is a few frames of the loop with several
mouths each: the frame is encoded once, and only the part of the picture where the mouth moves is drawn.
"""
import multiprocessing
import os
import subprocess

import numpy as np
import torch
from torch import nn
from torch.nn import functional as F

import audio
import face
from networks import LipsyncNet

WIDTH = 0.25
CROP, EDGE, INPUT = 328, 4, 320
BLACK = (5, 5, 310, 305)  # x0, y0, x1, y1 of the black box in the input, both ends in it
FRAMES_A_BATCH, MOUTHS_A_FRAME = 2, 6
STRIPS = ((0, 0, INPUT, 32), (0, INPUT - 32, INPUT, INPUT), (0, 0, 32, INPUT), (INPUT - 32, 0, INPUT, INPUT))
MARGIN = 16  # pixels around the drawn part whose neighbours are cut off: they carry no loss


def within(x):
    """Levels 0..255 as 0..1, each in the middle of its 256th: what is cut to bytes gives the level again."""
    return x * (255 / 256) + 0.5 / 256


def logits(p):
    return torch.log(p) - torch.log(1 - p)


class PresenterNet(LipsyncNet):
    def forward(self, input, audio):
        return torch.sigmoid(self.draw(input, self.audio_model(audio)) + logits(within(input[:, :3])))


def to_network(picture):
    """A face rectangle's pixels [h,w,3] uint8, BGR -> [320,320,3]: as the program cuts it out."""
    x = torch.from_numpy(picture).permute(2, 0, 1)[None].float()
    x = F.interpolate(x, (CROP, CROP), mode="bilinear", align_corners=False)
    return x[0, :, EDGE:-EDGE, EDGE:-EDGE].round().clamp(0, 255).byte().permute(1, 2, 0).numpy()


def loop_faces(pack):
    """The network's view [FRAMES,320,320,3] of the pack's own video, decoded: with the encoder's marks."""
    raw = subprocess.run(["ffmpeg", "-v", "error", "-i", os.path.join(pack, "presenter.mp4"), "-f", "rawvideo",
                          "-pix_fmt", "bgr24", "-"], check=True, stdout=subprocess.PIPE).stdout
    frames = np.frombuffer(raw, np.uint8).reshape(face.FRAMES, face.HEIGHT, face.WIDTH, 3)
    views = []
    for i, frame in enumerate(frames):
        x0, y0, x1, y1 = face.rectangle(face.pose(i))
        views.append(to_network(np.ascontiguousarray(frame[y0:y1, x0:x1])))
    return np.stack(views)


def draw_truth(job):
    """(frame, mouth) -> the network's view [320,320,3] of the true drawing."""
    frame, mouth = job
    return to_network(face.draw(frame, face.Mouth(*(float(x) for x in mouth)), face.rectangle(face.pose(frame))))


def sounds(rng, takes, latents, count):
    """Features [count,16,LATENTS] around random frames of the takes, and the mouth [count,5] in them."""
    frames_of = np.array([len(t.mouth) for t in takes], float)
    take = rng.choice(len(takes), count, p=frames_of / frames_of.sum())
    at = [int(rng.integers(len(takes[k].mouth))) for k in take]
    features = np.stack([audio.frame_features(latents[k], i) for k, i in zip(take, at)])
    return features, np.stack([takes[k].mouth[i] for k, i in zip(take, at)])


class Examples:
    """`count` mouths out of the takes, each on a random frame of the loop, drawn truly.

    frame [count], truth uint8 [count,320,320,3], features [count,16,LATENTS], mouth [count,5].
    """

    def __init__(self, takes, latents, count, seed, workers=2):
        rng = np.random.default_rng(seed)
        self.features, self.mouth = sounds(rng, takes, latents, count)
        self.frame = np.sort(rng.integers(face.FRAMES, size=count))  # sorted: the drawing keeps layers of a frame
        # Fresh processes: one forked from a process that has computed with torch's threads hangs.
        with multiprocessing.get_context("spawn").Pool(workers, torch.set_num_threads, (1,)) as pool:
            drawn = pool.imap(draw_truth, zip(self.frame.tolist(), self.mouth), chunksize=64)
            self.truth = np.empty((count, INPUT, INPUT, 3), np.uint8)
            for i, picture in enumerate(drawn):
                self.truth[i] = picture
        self.of_frame = [np.flatnonzero(self.frame == i) for i in range(face.FRAMES)]

    def batch(self, rng, faces, frames, mouths):
        """Input [frames,6,320,320], features [n,16,LATENTS], truth [n,3,320,320], mouth [n,5]; n = frames * mouths."""
        chosen = rng.choice(face.FRAMES, frames, replace=False)
        picks = np.concatenate([rng.choice(self.of_frame[i], mouths) for i in chosen])
        return (network_input(faces[chosen]), torch.from_numpy(self.features[picks]), planes(self.truth[picks]),
                torch.from_numpy(self.mouth[picks]))


def planes(pictures):
    """uint8 [n,h,w,3] -> float [n,3,h,w] 0..1, channels last in memory."""
    return torch.from_numpy(pictures).permute(0, 3, 1, 2).float().div(255)


def network_input(faces):
    x = planes(faces)
    masked = x.clone()
    x0, y0, x1, y1 = BLACK
    masked[:, :, y0:y1 + 1, x0:x1 + 1] = 0
    return torch.cat([x, masked], 1).contiguous(memory_format=torch.channels_last)


def audio_input(spread, latents):
    """Latents [n,16,LATENTS] -> [n,32,16,16]: 16 rows of 512 features, flattened as the program does."""
    return (latents @ spread).reshape(-1, 32, 16, 16)


def without_norm(net):
    """Takes batch normalisation out and gives the convolutions before it a bias."""
    for module in net.modules():
        for name, child in list(module.named_children()):
            if isinstance(child, nn.BatchNorm2d):
                setattr(module, name, nn.Identity())
            elif isinstance(child, nn.Conv2d) and child.bias is None:
                child.bias = nn.Parameter(torch.zeros(child.out_channels))
    return net.to(memory_format=torch.channels_last)


@torch.no_grad()
def balance(net, x, audio_map):
    """Scales each convolution, in their order, to outputs of mean 0 and variance 1 a channel on this batch."""
    def scale(conv, _, out):
        mean, deviation = out.mean((0, 2, 3)), out.std((0, 2, 3)).clamp_min(1e-3)
        conv.weight /= deviation[:, None, None, None]
        conv.bias.sub_(mean).div_(deviation)
        return (out - mean[:, None, None]) / deviation[:, None, None]

    hooks = [m.register_forward_hook(scale) for m in net.modules() if isinstance(m, nn.Conv2d) and m is not net.outc.conv]
    net(x, audio_map)
    for hook in hooks:
        hook.remove()


def draw(net, skips, audio_map, box):
    """The picture's part `box` = (x0, y0, x1, y1), in pixels of 320, as logits to be added to the face's own.

    audio_map holds several mouths a frame of skips. The two last up-blocks see MARGIN pixels around the box.
    """
    mouths = len(audio_map) // len(skips[0])
    each = lambda t: t.repeat_interleave(mouths, 0)
    x = net.fuse_conv(torch.cat([each(skips[5]), audio_map], 1))
    for up, skip in ((net.up1, skips[4]), (net.up2, skips[3]), (net.up3, skips[2])):
        x = up(x, each(skip))
    x0, y0, x1, y1 = (max(0, box[0] - MARGIN), max(0, box[1] - MARGIN), min(INPUT, box[2] + MARGIN),
                      min(INPUT, box[3] + MARGIN))
    half = (slice(None), slice(None), slice(y0 // 2, y1 // 2), slice(x0 // 2, x1 // 2))
    x = net.up4.conv(torch.cat([net.up4.up(x)[half], each(skips[1][half])], 1))
    x = F.pad(x, (x0 // 2, (INPUT - x1) // 2, y0 // 2, (INPUT - y1) // 2))
    whole = (slice(None), slice(None), slice(y0, y1), slice(x0, x1))
    x = net.up5.conv(torch.cat([net.up5.up(x)[whole], each(skips[0][whole])], 1))
    return net.outc(x)[:, :, box[1] - y0:box[3] - y0, box[0] - x0:box[2] - x0]


def loss_of(drawn, truth, rest):
    """Absolute and squared error, counting more where the mouth differs from the resting one, and that of edges."""
    moved = (truth - rest).abs().amax(1, keepdim=True)
    weight = 1 + 6 * (moved * 10).clamp(max=1)
    error = drawn - truth
    flat = (weight * (error.abs() + 4 * error ** 2)).mean()
    edges = sum((weight.narrow(d, 1, weight.shape[d] - 1) * error.diff(dim=d).abs()).mean() for d in (2, 3))
    return flat + edges


def random_box(rng, moving):
    """Mostly the part that moves; else a strip along one side, where the black box ends, or any other part."""
    kind = rng.random()
    if kind < 0.6:
        return moving
    if kind < 0.8:
        return STRIPS[rng.integers(len(STRIPS))]
    w, h = moving[2] - moving[0], moving[3] - moving[1]
    x0, y0 = 4 * rng.integers(0, (INPUT - w) // 4 + 1), 4 * rng.integers(0, (INPUT - h) // 4 + 1)
    return int(x0), int(y0), int(x0 + w), int(y0 + h)


def moving_box(examples):
    """Where drawings of the same frame often differ much, to the next 16 pixels: the mouth and the chin."""
    moved = np.mean([(np.ptp(examples.truth[picks[:20]], axis=0).max(2) > 60) for picks in examples.of_frame[::5]], 0)
    ys, xs = np.flatnonzero(moved.max(1) > 0.5), np.flatnonzero(moved.max(0) > 0.5)
    return (int(xs[0] // 16 * 16), int(ys[0] // 16 * 16), int(-(-(xs[-1] + 1) // 16) * 16),
            int(-(-(ys[-1] + 1) // 16) * 16))


def tell(telling, audio_map):
    return torch.sigmoid(telling(audio_map.mean((2, 3))))


def teach_stem(net, telling, spread, features, mouths, rng, log, steps=500, batch=48):
    """The audio stem alone first: what it cannot tell, nothing behind it can draw."""
    parameters = list(net.audio_model.parameters()) + list(telling.parameters())
    optimizer, schedule = optimizer_of(parameters, steps)
    total = 0.0
    for step in range(1, steps + 1):
        picks = rng.choice(len(mouths), batch)
        heard = audio_input(spread, torch.from_numpy(features[picks]))
        loss = audio.loss_of(tell(telling, net.audio_model(heard)), torch.from_numpy(mouths[picks]))
        optimizer.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(parameters, 1.0)
        optimizer.step()
        schedule.step()
        total += float(loss.detach())
        if step % 100 == 0:
            log(f"stem step {step:5d} mouth {total / 100:.4f}")
            total = 0.0


def optimizer_of(parameters, steps, rate=2e-3):
    optimizer = torch.optim.AdamW(parameters, rate, weight_decay=1e-4)
    return optimizer, torch.optim.lr_scheduler.OneCycleLR(optimizer, rate, steps, pct_start=0.05)


def telling_of(net):
    """The mouth out of the stem's maps, by one layer: training only. The stem learns sooner so."""
    return nn.Linear(net.audio_model.conv7.conv[6].out_channels, 5)


def new_net(encoder, examples, faces, rng, width=WIDTH):
    """Begins as a copy of the face, everything before its last layer in balance."""
    net = without_norm(PresenterNet(width))
    x, features, _, _ = examples.batch(rng, faces, 4, 2)
    x, heard = x.repeat_interleave(2, 0), audio_input(encoder.spread, features)
    balance(net, x, heard)
    with torch.no_grad():  # what is trained in parts is what will be exported whole
        audio_map = net.audio_model(heard)
        assert torch.allclose(draw(net, net.encode(x), audio_map, (0, 0, INPUT, INPUT)), net.draw(x, audio_map), atol=1e-4)
    nn.init.zeros_(net.outc.conv.weight)
    nn.init.zeros_(net.outc.conv.bias)
    return net


def train(net, telling, encoder, examples, faces, steps, rate, rng, log):
    box = moving_box(examples)
    log(f"pictures: the mouth moves within {box}")
    optimizer, schedule = optimizer_of(list(net.parameters()) + list(telling.parameters()), steps, rate)
    sums = np.zeros(3)
    for step in range(1, steps + 1):
        x, features, truth, mouth = examples.batch(rng, faces, FRAMES_A_BATCH, MOUTHS_A_FRAME)
        part = random_box(rng, box)
        cut = (slice(None), slice(None), slice(part[1], part[3]), slice(part[0], part[2]))
        audio_map = net.audio_model(audio_input(encoder.spread, features))
        truth = within(truth[cut])
        rest = within(x[:, :3][cut]).repeat_interleave(MOUTHS_A_FRAME, 0)
        drawn = torch.sigmoid(draw(net, net.encode(x), audio_map, part) + logits(rest))
        picture_loss, mouth_loss = loss_of(drawn, truth, rest), audio.loss_of(tell(telling, audio_map), mouth)
        optimizer.zero_grad()
        (picture_loss + 0.2 * mouth_loss).backward()
        nn.utils.clip_grad_norm_(net.parameters(), 1.0)
        optimizer.step()
        schedule.step()
        psnr = -10 * torch.log10(((drawn - truth) ** 2).mean((1, 2, 3))).mean()
        sums += (float(picture_loss.detach()), float(mouth_loss.detach()), float(psnr.detach()))
        if step % 50 == 0:
            log(f"pictures step {step:5d} loss {sums[0] / 50:.4f} mouth {sums[1] / 50:.4f} psnr {sums[2] / 50:.2f} dB")
            sums[:] = 0
