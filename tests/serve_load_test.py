#!/usr/bin/python3
"""Three minutes of clients who want 11,000 avatars after Zipf's law, of which memory holds twenty.

usage: serve_load_test.py [SECONDS]
"""
import json
import os
import sys
import time

from program import main, works
from serving import Server, avatars_folder, eventually, tensor_request, windows

LINKS, HELD = 11000, 20
SECONDS = int(sys.argv[1]) if len(sys.argv) > 1 else 180
os.environ["MALLOC_PERTURB_"] = "0"  # Meson's filler touches memory that nobody uses; here memory is what is measured.


def avatar_bytes(folder, state):
    """What one loaded avatar takes, of the larger kind."""
    with Server("--avatars", folder, "--state", state) as server:
        stub = server.stub("GRPCInferenceService")
        sizes = []
        for avatar in ("pack", "compiled"):
            stub.ModelInfer(tensor_request(avatar, [0], windows(1)), timeout=60)
            sizes.append(server.json("GET", "/v1/avatars/" + avatar)["bytes"])
        assert server.stop() == 0
        return max(sizes)


def many_avatars(scratch):
    folder, state = avatars_folder(scratch, LINKS), os.path.join(scratch, "state")
    budget_mb = HELD * avatar_bytes(folder, state) // (1 << 20) + 1
    begun = time.time()
    with Server("--avatars", folder, "--state", state, "--memory-mb", budget_mb) as server:
        assert time.time() - begun < 3, "the folder's index takes too long"
        idle = server.memory(whole=True)
        assert idle < 300e6, idle
        assert server.json("GET", "/v1/avatars?limit=1")["total"] == LINKS + 2
        out = os.path.join(scratch, "load.json")
        # Warm up, then watch memory while the load goes on.
        works("loadgen", "--url", server.grpc, "--clients", 8, "--fps", 5, "--batch", 1, "--sentence", 1, "--seconds", 20)
        warm = server.memory()
        peaks = []
        rounds = max(1, SECONDS // 20)
        total = {"frames": 0, "errors": 0, "late": 0}
        for _ in range(rounds):
            works("loadgen", "--url", server.grpc, "--clients", 8, "--fps", 5, "--batch", 1, "--sentence", 1,
                  "--seconds", SECONDS / rounds, "--json", out, timeout=SECONDS + 120)
            with open(out) as f:
                figures = json.load(f)
            total["frames"] += figures["frames"]
            total["errors"] += figures["errors"]
            total["late"] += figures["late_frames"]
            peaks.append(server.memory())
            peak, budget = server.metric("inlay_store_peak_bytes"), server.metric("inlay_store_budget_bytes")
            assert peak <= 1.05 * budget, (peak, budget)
            assert figures["errors"] == 0, figures["error_kinds"]
        print(f"# {total['frames']} frames, {total['late']} late; evictions {server.metric('inlay_store_evictions_total'):.0f}; "
              f"budget {budget_mb} MB; {idle >> 20} MB idle; own memory {warm >> 20} MB warm, then "
              f"{' '.join(str(p >> 20) for p in peaks)}", flush=True)
        assert server.metric("inlay_store_evictions_total") > 20
        assert total["frames"] > SECONDS * 8
        # Beside the avatars: the runtime, threads, buffers, avatars under way in and out.
        assert max(peaks) < (1.05 * budget_mb + 256) * (1 << 20), (budget_mb, warm >> 20, [p >> 20 for p in peaks])
        half = len(peaks) // 2
        assert sum(peaks[half:]) / (len(peaks) - half) < 1.25 * sum(peaks[:half or 1]) / (half or 1), peaks
        eventually(lambda: server.get("/readyz") is not None)
        assert server.stop() == 0, server.text()


if __name__ == "__main__":
    sys.exit(main([many_avatars]))
