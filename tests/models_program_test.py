#!/usr/bin/python3
"""inlay models, run as a user runs it, with servers of its own on this machine: no test needs a network."""
import contextlib
import functools
import hashlib
import http.server
import json
import os
import re
import shutil
import signal
import ssl
import subprocess
import sys
import threading
import time

from program import INLAY, Skip, data, fails, folder_is_clean, main, works

NAME = "selfie_alphas_256_nchw_int8dyn"  # the smallest
FILE = NAME + ".onnx"
SUM = "9bc3d56b0b1397acbdafb631ab5c7bf14a889c00fbe2018e36503c65a2b65983"
BYTES = 223977


def content():
    """The published model, out of the test data."""
    with open(data("models/matting/" + FILE), "rb") as f:
        return f.read()


class Server:
    """Files by name; `ranges`: whether parts of them can be had; `cut`: how many bytes of an answer are sent;
    `slow`: seconds between two pieces of 16 KiB. Keeps the requested ranges."""

    def __init__(self, files, ranges=True, cut=None, slow=0, tls=None, redirect=None):
        self.ranges, self.seen = ranges, []
        outer = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def log_message(self, *args):
                pass

            def do_GET(self):
                wanted = self.headers.get("Range")
                outer.seen.append(wanted)
                if redirect:
                    self.send_response(302)
                    self.send_header("Location", redirect + self.path)
                    self.send_header("Content-Length", "0")
                    self.end_headers()
                    return
                body = files.get(os.path.basename(self.path))
                if body is None:
                    self.send_error(404)
                    return
                begin = int(re.fullmatch(r"bytes=(\d+)-", wanted)[1]) if wanted and outer.ranges else 0
                self.send_response(206 if begin else 200)
                if begin:
                    self.send_header("Content-Range", f"bytes {begin}-{len(body) - 1}/{len(body)}")
                self.send_header("Content-Length", str(len(body) - begin))
                self.end_headers()
                sent = body[begin:] if cut is None else body[begin:begin + cut]
                with contextlib.suppress(OSError):  # a client may have heard enough
                    for i in range(0, len(sent), 16384):
                        self.wfile.write(sent[i:i + 16384])
                        time.sleep(slow)

        self.http = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.http.daemon_threads = True
        if tls:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(tls)
            self.http.socket = context.wrap_socket(self.http.socket, server_side=True)
        self.url = f"{'https' if tls else 'http'}://127.0.0.1:{self.http.server_port}"
        self.http.handle_error = lambda *args: None
        threading.Thread(target=functools.partial(self.http.serve_forever, 0.05), daemon=True).start()

    def __enter__(self):
        return self

    def __exit__(self, *args):
        self.http.shutdown()
        self.http.server_close()


def environment(scratch, mirror=None, **more):
    """The scratch folder as the user's own, and nothing else of this machine's settings."""
    env = {k: v for k, v in os.environ.items() if k not in ("INLAY_MODELS", "INLAY_DATA", "SSL_CERT_FILE")}
    env.update(XDG_DATA_HOME=scratch, https_proxy="http://127.0.0.1:1", http_proxy="http://127.0.0.1:1", **more)
    return {**env, "INLAY_MODELS_MIRROR": mirror} if mirror else env


def own_folder(scratch):
    return os.path.join(scratch, "inlay", "models")


def put_part(scratch, content_):
    os.makedirs(own_folder(scratch), exist_ok=True)
    with open(os.path.join(own_folder(scratch), FILE + ".part"), "wb") as f:
        f.write(content_)


def expect_whole(path):
    with open(path, "rb") as f:
        assert hashlib.sha256(f.read()).hexdigest() == SUM
    folder_is_clean(os.path.dirname(path), os.path.basename(path))


def certificate(scratch):
    """A key and its certificate for 127.0.0.1, signed by itself, in one file; and the certificate alone."""
    both, alone = os.path.join(scratch, "both.pem"), os.path.join(scratch, "cert.pem")
    if not shutil.which("openssl"):
        raise Skip("openssl is not installed")
    subprocess.run(["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=127.0.0.1",
                    "-addext", "subjectAltName=IP:127.0.0.1", "-keyout", both, "-out", alone], check=True,
                   stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    with open(both, "a") as f, open(alone) as g:
        f.write(g.read())
    return both, alone


# ---- get ----

def a_model_is_fetched_once(scratch):
    path = os.path.join(own_folder(scratch), FILE)
    with Server({FILE: content()}) as server:
        env = environment(scratch, server.url)
        said = works("models", "get", NAME, env=env).stderr
        assert said == f"{path}: fetched, SHA-256 as published\n", said
        expect_whole(path)
        said = works("models", "get", FILE, env=env).stderr
        assert said == f"{path}: is here already, SHA-256 as published\n", said
        assert server.seen == [None]
        assert works("models", "get", NAME, "-q", env=env).stderr == ""
    text = works("models", "list", env=environment(scratch)).stdout.decode()
    assert re.search(rf"^{NAME} +0\.22 MB .* {path}$", text, re.M), text
    works("model", "info", path)


def outputs_go_where_they_are_told_to(scratch):
    folder = os.path.join(scratch, "out")
    os.mkdir(folder)
    with Server({FILE: content()}) as server:
        env = environment(scratch, server.url + "/some/where/")
        works("models", "get", NAME, "-o", folder, env=env)
        expect_whole(os.path.join(folder, FILE))
        os.remove(os.path.join(folder, FILE))
        works("models", "get", NAME, "-o", os.path.join(folder, "mine.onnx"), env=env)
        expect_whole(os.path.join(folder, "mine.onnx"))
        fails("models", "get", NAME, "-o", os.path.join(scratch, "none") + "/", env=env,
              says=f"none/{FILE}.part: cannot")
    folder_is_clean(scratch, "out")


def progress_counts_bytes(scratch):
    with Server({FILE: content()}, slow=0.05) as server:
        said = works("models", "get", NAME, "--progress", "always", env=environment(scratch, server.url)).stderr
    assert re.search(r"\d+%  0\.\d/0\.2 MB  \d+\.\d MB/s  ETA 0:\d\d", said), said
    assert "frames" not in said


def a_part_is_gone_on_with_or_not(scratch):
    whole, path = content(), os.path.join(own_folder(scratch), FILE)
    for ranges in (True, False):
        put_part(scratch, whole[:100001])
        with Server({FILE: whole}, ranges=ranges) as server:
            works("models", "get", NAME, env=environment(scratch, server.url))
            assert server.seen == ["bytes=100001-"], server.seen
        expect_whole(path)
        os.remove(path)


def a_server_that_breaks_off_is_asked_again(scratch):
    part = os.path.join(own_folder(scratch), FILE + ".part")
    with Server({FILE: content()}, cut=90000) as server:
        env = environment(scratch, server.url)
        for kept in (90000, 180000):
            fails("models", "get", NAME, env=env,
                  says=f"{kept} of {BYTES} bytes are here, the next run goes on from there")
            assert os.path.getsize(part) == kept
        works("models", "get", NAME, env=env)
        assert server.seen == [None, "bytes=90000-", "bytes=180000-"], server.seen
    expect_whole(os.path.join(own_folder(scratch), FILE))


def an_interrupt_keeps_the_part(scratch):
    part = os.path.join(own_folder(scratch), FILE + ".part")
    with Server({FILE: content()}, slow=0.5) as server:
        env = environment(scratch, server.url)
        for number in (signal.SIGINT, signal.SIGTERM):
            before = os.path.getsize(part) if os.path.exists(part) else 0
            with subprocess.Popen([INLAY, "models", "get", NAME], env=env, stderr=subprocess.PIPE) as process:
                deadline = time.monotonic() + 30
                while not os.path.exists(part) or os.path.getsize(part) <= before:
                    assert process.poll() is None and time.monotonic() < deadline
                    time.sleep(0.01)
                process.send_signal(number)
                said = process.communicate(timeout=30)[1].decode()
            assert process.returncode == 128 + number, (process.returncode, said)
            assert f"stopped at {os.path.getsize(part)} of {BYTES} bytes" in said, said
            assert before < os.path.getsize(part) < BYTES
    with Server({FILE: content()}) as server:
        kept = os.path.getsize(part)
        works("models", "get", NAME, env=environment(scratch, server.url))
        assert server.seen == [f"bytes={kept}-"], server.seen
    expect_whole(os.path.join(own_folder(scratch), FILE))


def a_killed_run_leaves_a_part_and_no_more(scratch):
    part = os.path.join(own_folder(scratch), FILE + ".part")
    with Server({FILE: content()}, slow=0.2) as server:
        with subprocess.Popen([INLAY, "models", "get", NAME], env=environment(scratch, server.url)) as process:
            while not os.path.exists(part) or not os.path.getsize(part):
                assert process.poll() is None
                time.sleep(0.01)
            process.kill()
    folder_is_clean(own_folder(scratch), FILE + ".part")
    with Server({FILE: content()}) as server:
        works("models", "get", NAME, env=environment(scratch, server.url))
    expect_whole(os.path.join(own_folder(scratch), FILE))


def wrong_content_is_refused(scratch):
    """Of the right length, so that only the sum tells; whole, and at the end of a part."""
    forged = bytes(BYTES)
    found = hashlib.sha256(forged).hexdigest()
    for part in (b"", forged[:1000]):
        put_part(scratch, part)
        with Server({FILE: forged}) as server:
            fails("models", "get", NAME, env=environment(scratch, server.url),
                  says=[server.url + "/" + FILE, f"its SHA-256 is {found}, expected {SUM}"])
        folder_is_clean(own_folder(scratch))
    with Server({FILE: b"<html>Please log in</html>"}) as server:
        fails("models", "get", NAME, env=environment(scratch, server.url), says="of 26 bytes, expected 223977")
    folder_is_clean(own_folder(scratch))


def other_content_is_not_replaced_unasked(scratch):
    path = os.path.join(own_folder(scratch), FILE)
    os.makedirs(own_folder(scratch))
    with open(path, "wb") as f:
        f.write(b"mine")
    found = hashlib.sha256(b"mine").hexdigest()
    text = works("models", "list", env=environment(scratch)).stdout.decode()
    assert f"{path} (4 bytes: not the published file)" in text, text
    fails("models", "get", NAME, env=environment(scratch, "http://127.0.0.1:1"),
          says=[path, found, SUM, "(-y replaces it)"])
    with open(path, "rb") as f:
        assert f.read() == b"mine"
    with Server({FILE: content()}) as server:
        works("models", "get", NAME, "-y", env=environment(scratch, server.url))
    expect_whole(path)


def servers_that_fail(scratch):
    with Server({}) as server:
        fails("models", "get", NAME, env=environment(scratch, server.url),
              says=[f"{server.url}/{FILE}: the server answered 404"])
        gone = server.url
    fails("models", "get", NAME, env=environment(scratch, gone), says=[gone, "127.0.0.1"])
    with Server({FILE: b""}) as plain, Server({}, redirect=plain.url) as server:
        fails("models", "get", NAME, env=environment(scratch, server.url), says=f"{server.url}/{FILE}: ")
        assert not plain.seen  # a redirect to plain http is not followed
    folder_is_clean(own_folder(scratch))


def tls_is_checked(scratch):
    both, alone = certificate(scratch)
    with Server({FILE: content()}, tls=both) as server:
        env = environment(scratch, server.url)
        fails("models", "get", NAME, env=env, says=[server.url, "--cafile FILE"])
        fails("models", "get", NAME, "--cafile", os.path.join(scratch, "no.pem"), env=env, says=["--cafile FILE"])
        assert not server.seen
        works("models", "get", NAME, "--cafile", alone, env=env)
        expect_whole(os.path.join(own_folder(scratch), FILE))
        works("models", "get", NAME, "-o", os.path.join(scratch, "2.onnx"), env={**env, "SSL_CERT_FILE": alone})
        with Server({}, redirect=server.url) as plain:  # https may be redirected to
            works("models", "get", NAME, "-o", os.path.join(scratch, "3.onnx"), "--cafile", alone,
                  env=environment(scratch, plain.url))
    with Server({FILE: content()}) as plain, Server({}, tls=both, redirect=plain.url) as server:
        fails("models", "get", NAME, "-o", os.path.join(scratch, "4.onnx"), "--cafile", alone,
              env=environment(scratch, server.url), says=server.url)
        assert server.seen and not plain.seen


def folders_that_cannot_be_written(scratch):
    if os.geteuid() == 0:  # whom permissions do not stop: a file where the folder should be
        with open(os.path.join(scratch, "inlay"), "w"):
            pass
        says = "inlay"
    else:
        os.mkdir(os.path.join(scratch, "inlay"), 0o500)
        says = own_folder(scratch)
    fails("models", "get", NAME, env=environment(scratch, "http://127.0.0.1:1"), says=[scratch, says])
    env = environment(scratch)
    del env["XDG_DATA_HOME"]
    fails("models", "get", NAME, env={**env, "HOME": ""}, says=["HOME", "--output"])


def a_full_disk_is_told(scratch):
    """A limit on the size of files does what a full disk does."""
    with Server({FILE: content()}) as server:
        done = subprocess.run(["bash", "-c", f'ulimit -f 100; exec "{INLAY}" models get {NAME}'], check=False,
                              env=environment(scratch, server.url), stderr=subprocess.PIPE)
    assert done.returncode == 1 and f"{FILE}.part: cannot write: " in done.stderr.decode(), done


def mirrors_are_https(scratch):
    for mirror in ("http://example.org/models", "ftp://127.0.0.1/", "models", "http://localhost@example.org"):
        fails("models", "get", NAME, env=environment(scratch, mirror),
              says=[f'INLAY_MODELS_MIRROR: "{mirror}"', "expected https://"])
    folder_is_clean(scratch)


def names_and_options_that_are_wrong(scratch):
    env = environment(scratch)
    fails("models", "get", "SINet_logitz", env=env, says='did you mean "SINet_logits"?')
    fails("models", "get", "rvm_mobilenetv3_192x320_dq", env=env, says="no public model that inlay knows")
    for args, says in ((("models",), '"list" or "get NAME"'), (("models", "get"), "which model?"),
                       (("models", "list", "x"), "one argument too many"), (("models", "find", "x"), "expected"),
                       (("models", "list", "-y"), "belong to"), (("models", "get", NAME, "--json"), "belongs to"),
                       (("models", "get", NAME, "--progress", "x"), "auto, always, never")):
        fails(*args, env=env, status=2, says=says)
    folder_is_clean(scratch)


# ---- list ----

def the_list_tells_what_is_where(scratch):
    folder = os.path.join(scratch, "more")
    os.mkdir(folder)
    for name in ("mine.onnx", "SINet_logits.onnx", "k\udce4se.onnx"):
        with open(os.path.join(folder, name), "wb") as f:
            f.write(b"12345")
    env = environment(scratch, INLAY_MODELS=folder)
    lines = works("models", "list", env=env).stdout.decode(errors="surrogateescape").splitlines()
    assert len(lines) == 9 and all(line.split()[1].replace(".", "").isdigit() for line in lines), lines
    assert sum("not here: inlay models get " in line for line in lines) == 6, lines
    assert [line for line in lines if line.startswith("mine ") and line.endswith(folder + "/mine.onnx")], lines
    found = json.loads(works("models", "list", "--json", env=env).stdout)
    assert found["folders"][:2] == [folder, own_folder(scratch)], found["folders"]
    models = {m["name"]: m for m in found["models"]}
    assert len(models) == 9 and len({tuple(m) for m in found["models"]}) == 1
    assert models[NAME]["bytes"] == BYTES and models[NAME]["sha256"] == SUM and models[NAME]["path"] is None
    assert models[NAME]["url"].startswith("https://") and models[NAME]["licence"].endswith("Apache-2.0")
    assert models["SINet_logits"]["path"] == os.path.join(folder, "SINet_logits.onnx")
    assert models["mine"]["bytes"] == 5 and models["mine"]["url"] is None and models["mine"]["licence"] is None
    assert "k?se" in models
    with open("/dev/full", "w") as full:
        done = subprocess.run([INLAY, "models", "list"], env=env, stdout=full, stderr=subprocess.PIPE, check=False)
    assert done.returncode == 1 and b"cannot write" in done.stderr


sys.exit(main([a_model_is_fetched_once, outputs_go_where_they_are_told_to, progress_counts_bytes,
               a_part_is_gone_on_with_or_not, a_server_that_breaks_off_is_asked_again, an_interrupt_keeps_the_part,
               a_killed_run_leaves_a_part_and_no_more, wrong_content_is_refused, other_content_is_not_replaced_unasked,
               servers_that_fail, tls_is_checked, folders_that_cannot_be_written, a_full_disk_is_told,
               mirrors_are_https, names_and_options_that_are_wrong, the_list_tells_what_is_where]))
