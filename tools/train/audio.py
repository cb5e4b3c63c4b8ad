"""The presenter's audio encoder: one mel window [n,1,80,16] -> 512 features [n,512], and how it learns.

It learns by telling the mouth's five parameters from the 16 windows around a frame; a small head that only training
needs reads them off. What the encoder knows of a window are LATENTS numbers. They are spread over the 512 features so
that the [32,16,16] tensor which the lip-sync network makes of 16 rows shows all of them in each 2x2 corner of a map.
"""
import numpy as np
import torch
from torch import nn

import data

LATENTS = 8
CHUNK = 50     # frames of a training piece; a multiple of 5, so that windows fall on the same mel rows
CONTEXT = 10   # frames before and after it that its windows of features reach into; a multiple of 5
MEL_MIN, MEL_MAX = -4.0, 4.0
MEL_A_DECIBEL = 0.08


class Encoder(nn.Module):
    def __init__(self):
        super().__init__()
        self.maps = nn.Sequential(
            nn.Conv2d(1, 16, 3, (2, 1), 1), nn.ReLU(),
            nn.Conv2d(16, 24, 3, 2, 1), nn.ReLU(),
            nn.Conv2d(24, 48, 3, 2, 1), nn.ReLU(),
            nn.Conv2d(48, 64, 3, 2, 1), nn.ReLU())
        self.join = nn.Sequential(nn.Flatten(), nn.Linear(64 * 5 * 2, 128), nn.ReLU(), nn.Linear(128, LATENTS))
        spread = torch.zeros(LATENTS, 2, 16, 16)
        for k in range(LATENTS):
            spread[k, k // 4, (k % 4) // 2::2, k % 2::2] = 1
        self.register_buffer("spread", spread.flatten(1))

    def latents(self, mel):
        return self.join(self.maps(mel))

    def forward(self, mel):
        return self.latents(mel) @ self.spread


class Head(nn.Module):
    """The mouth in a frame's middle out of the latents [n,16,LATENTS] around it; training only."""

    def __init__(self):
        super().__init__()
        self.layers = nn.Sequential(nn.Flatten(), nn.Linear(16 * LATENTS, 128), nn.ReLU(), nn.Linear(128, 128),
                                    nn.ReLU(), nn.Linear(128, 5))

    def forward(self, latents):
        return torch.sigmoid(self.layers(latents))


def disturb(rng, mel):
    """The same speech from another microphone: louder or softer, another colour, another room's noise."""
    bands = np.linspace(0, 1, mel.shape[1])
    change = rng.uniform(-12, 6) + rng.uniform(-8, 8) * (bands - 0.5)
    for _ in range(3):
        change = change + rng.uniform(-3, 3) * np.sin(np.pi * (rng.uniform(0.5, 4) * bands + rng.uniform(0, 2)))
    silent = mel <= MEL_MIN
    mel = np.where(silent, mel, mel + MEL_A_DECIBEL * change)
    if rng.random() < 0.5:
        floor = rng.uniform(MEL_MIN - 0.5, -1.8) + rng.uniform(-1, 0) * bands
        mel = np.maximum(mel, floor + rng.normal(0, 0.25, mel.shape))
    return np.clip(mel, MEL_MIN, MEL_MAX).astype(np.float32)


def chunk(rng, take):
    """Windows [CHUNK + 2 CONTEXT,80,16], which of them exist, and the mouth [CHUNK,5] of a random piece of a take.

    Sometimes the piece is taken for a whole recording: then there is nothing before it, or nothing after it.
    """
    length = CHUNK + 2 * CONTEXT
    count = min(len(take.mouth), len(data.window_starts(len(take.mel))))
    first = 5 * rng.integers(0, (count - length) // 5)
    rows = data.window_starts(len(take.mel))[first:first + length]
    mel = disturb(rng, take.mel[rows[0]:rows[-1] + data.WINDOW_ROWS])
    windows = np.stack([mel[r - rows[0]:r - rows[0] + data.WINDOW_ROWS].T for r in rows])
    there = np.ones(length, np.float32)
    if rng.random() < 0.1:
        there[:CONTEXT - 1] = 0
    if rng.random() < 0.1:
        there[CONTEXT + CHUNK + 1:] = 0
    return windows, there, take.mouth[first + CONTEXT:first + CONTEXT + CHUNK]


def around(latents, there):
    """Latents [n,CHUNK + 2 CONTEXT,L] -> [n * CHUNK,16,L]: for each frame the windows -9..+6, as data.feature_rows."""
    latents = latents * there[..., None]
    first = CONTEXT - data.WINDOWS_BEFORE - 1
    pieces = latents.unfold(1, 16, 1)[:, first:first + CHUNK]
    return pieces.transpose(2, 3).flatten(0, 1)


def loss_of(mouth, truth):
    """Mean square, the opening counting most, and most where the mouth is shut: that is what an eye sees first."""
    weight = truth.new_tensor([4.0, 1.0, 1.5, 1.0, 0.7])
    shut = (truth[:, :1] < 0.03).float()
    return (((mouth - truth) ** 2) * weight * (1 + shut)).mean()


def train(takes, steps, seed, log, batch=16):
    torch.manual_seed(seed)
    rng = np.random.default_rng(seed)
    encoder, head = Encoder(), Head()
    parameters = list(encoder.parameters()) + list(head.parameters())
    optimizer = torch.optim.AdamW(parameters, 2e-3, weight_decay=1e-3)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, 2e-3, steps, pct_start=0.1)
    share = np.array([len(t.mouth) for t in takes], float)
    total = 0.0
    for step in range(1, steps + 1):
        pieces = [chunk(rng, takes[i]) for i in rng.choice(len(takes), batch, p=share / share.sum())]
        windows, there, truth = (torch.from_numpy(np.stack(x)) for x in zip(*pieces))
        latents = encoder.latents(windows.flatten(0, 1).unsqueeze(1)).unflatten(0, windows.shape[:2])
        loss = loss_of(head(around(latents, there)), truth.flatten(0, 1))
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        schedule.step()
        total += float(loss.detach())
        if step % 100 == 0:
            log(f"audio step {step:5d} loss {total / 100:.5f}")
            total = 0.0
    return encoder.eval()


@torch.no_grad()
def features(encoder, take):
    """Latents [windows,LATENTS] of a whole take."""
    mel = torch.from_numpy(data.windows(take.mel)).unsqueeze(1)
    return torch.cat([encoder.latents(part) for part in mel.split(512)]).numpy()


def frame_features(latents, frame):
    """[16,LATENTS] that a frame sees."""
    index, there = data.feature_rows(frame, len(latents))
    return latents[index] * there[:, None].astype(np.float32)
