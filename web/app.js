// The page of inlay serve: orders videos, shows how they come along, and what the server does.
const $ = (selector, root = document) => root.querySelector(selector);
const POINTS = 120; // of a chart, one a second

// ---- the server ----

const url = new URL(location.href);
if (url.searchParams.has("token")) {
  sessionStorage.setItem("token", url.searchParams.get("token"));
  url.searchParams.delete("token");
  history.replaceState(null, "", url);
}
const token = () => sessionStorage.getItem("token");
// Links and videos cannot send headers.
const linked = (path) => (token() ? `${path}${path.includes("?") ? "&" : "?"}token=${encodeURIComponent(token())}` : path);

let asking = null;
function askToken() {
  asking ??= new Promise((resolve) => {
    const dialog = $("#login");
    $("#login-fault").textContent = token() ? "That token is not the one." : "";
    dialog.addEventListener("close", () => {
      sessionStorage.setItem("token", $("input", dialog).value.trim());
      asking = null;
      showLinks();
      resolve();
    }, { once: true });
    dialog.showModal();
  });
  return asking;
}

async function call(path, options = {}) {
  for (;;) {
    const headers = { ...options.headers, ...(token() && { Authorization: `Bearer ${token()}` }) };
    const response = await fetch(path, { ...options, headers });
    if (response.status === 401) {
      await askToken();
    } else if (response.ok) {
      return response;
    } else {
      const body = await response.json().catch(() => ({}));
      const retry = response.headers.get("Retry-After");
      throw new Error((body.error ?? `${response.status} ${response.statusText}`) + (retry ? ` – again in ${retry} s` : ""));
    }
  }
}
const json = async (path, options) => (await call(path, options)).json();
const avatarPath = (id, more = "") => `/v1/avatars/${encodeURIComponent(id)}${more}`;
const videoPath = (id, more = "") => `/v1/videos/${encodeURIComponent(id)}${more}`;

// ---- words and elements ----

function element(name, properties = {}, ...children) {
  const made = Object.assign(document.createElement(name), properties);
  made.append(...children);
  return made;
}

function button(text, act) {
  const made = element("button", { type: "button", textContent: text });
  made.addEventListener("click", async () => {
    made.disabled = true;
    try {
      await act(made);
    } catch (fault) {
      report(fault.message);
    }
    made.disabled = false;
  });
  return made;
}

function sized(bytes) {
  const units = ["B", "kB", "MB", "GB", "TB"];
  let i = 0;
  for (; bytes >= 1000 && i < units.length - 1; i++) bytes /= 1000;
  return `${bytes.toFixed(bytes < 10 && i ? 1 : 0)} ${units[i]}`;
}
const timed = (s) => (s < 1 ? `${(s * 1000).toFixed(s < 0.01 ? 1 : 0)} ms` : `${s.toFixed(1)} s`);
const count = (n) => (n < 10 && n % 1 ? n.toFixed(1) : Math.round(n).toLocaleString());

function report(text, fault = true) {
  const state = $("#order-state");
  state.className = fault ? "fault" : "quiet";
  state.textContent = text;
}

// Rows stay the same elements while their text does, so that focus and videos are not lost each second.
function fill(list, items, make) {
  const old = new Map([...list.children].map((row) => [row.dataset.id, row]));
  const rows = items.map((item) => {
    const text = JSON.stringify(item), known = old.get(item.id);
    if (known?.dataset.text === text || known?.update?.(item)) return known;
    const row = make(item);
    Object.assign(row.dataset, { id: item.id, text });
    return row;
  });
  if (rows.length !== list.children.length || rows.some((row, i) => row !== list.children[i])) list.replaceChildren(...rows);
}

// ---- figures ----

function parseMetrics(text) {
  const found = new Map();
  for (const line of text.split("\n")) {
    const match = /^(\w+)(?:\{(.*)\})? (\S+)$/.exec(line);
    if (!match) continue;
    if (!found.has(match[1])) found.set(match[1], []);
    found.get(match[1]).push({ le: /(?:^|,)le="([^"]*)"/.exec(match[2] ?? "")?.[1], value: Number(match[3]) });
  }
  return found;
}

const total = (metrics, name) => metrics.get(name)?.reduce((sum, { value }) => sum + value, 0);
const first = (metrics, ...names) => names.map((name) => total(metrics, name)).find((value) => value !== undefined) ?? 0;

function buckets(metrics, ...names) {
  const sums = new Map();
  const name = names.find((n) => metrics.has(`${n}_bucket`));
  for (const { le, value } of metrics.get(`${name}_bucket`) ?? []) {
    const edge = le === "+Inf" ? Infinity : Number(le);
    sums.set(edge, (sums.get(edge) ?? 0) + value);
  }
  return sums;
}

// Of what was counted between two readings, evenly spread inside each bucket.
function quantile(before, now, q) {
  const edges = [...now.keys()].sort((a, b) => a - b);
  const counts = edges.map((edge) => now.get(edge) - (before.get(edge) ?? 0));
  const all = counts.at(-1) ?? 0;
  if (all <= 0) return null;
  const i = counts.findIndex((n) => n >= q * all);
  if (edges[i] === Infinity) return edges[i - 1] ?? 0;
  const low = i ? edges[i - 1] : 0, under = i ? counts[i - 1] : 0;
  return low + ((edges[i] - low) * (q * all - under)) / Math.max(counts[i] - under, 1e-9);
}

const history_ = {};
function chart(id, text, ...values) {
  const lines = (history_[id] ??= values.map(() => []));
  const figure = $(`#chart-${id}`), svg = $("svg", figure);
  lines.forEach((line, i) => line.push(values[i]) > POINTS && line.shift());
  $("output", figure).textContent = text;
  const top = Math.max(1e-9, ...lines.flat()) * 1.15;
  const points = (line) => line.map((v, i) => `${i + POINTS - line.length},${(40 - (v / top) * 40).toFixed(2)}`).join(" ");
  svg.setAttribute("viewBox", `0 0 ${POINTS - 1} 40`);
  svg.setAttribute("preserveAspectRatio", "none");
  if (!svg.children.length) {
    for (const name of ["area", ...lines.map((_, i) => (i ? "line second" : "line"))]) {
      const line = document.createElementNS("http://www.w3.org/2000/svg", "polyline");
      line.setAttribute("class", name);
      svg.append(line);
    }
  }
  const [area, ...drawn] = svg.children;
  area.setAttribute("points", `${POINTS - lines[0].length},40 ${points(lines[0])} ${POINTS - 1},40`);
  drawn.forEach((line, i) => line.setAttribute("points", points(lines[i])));
}

const readings = []; // of the last ten seconds
async function readMetrics() {
  const metrics = parseMetrics(await (await call("/metrics")).text());
  const now = {
    at: performance.now() / 1000,
    frames: first(metrics, "inlay_frames_drawn_total", "inlay_frames_composited_total"),
    draw: buckets(metrics, "inlay_draw_seconds", "inlay_composite_seconds"),
  };
  const before = readings.at(-1);
  readings.push(now);
  if (readings.length > 10) readings.shift();
  const fps = before ? Math.max(0, (now.frames - before.frames) / (now.at - before.at)) : 0;
  const bytes = first(metrics, "inlay_store_bytes"), budget = first(metrics, "inlay_store_budget_bytes");
  const waiting = first(metrics, "inlay_queue_frames", "inlay_renders_waiting");
  const p50 = quantile(readings[0].draw, now.draw, 0.5), p99 = quantile(readings[0].draw, now.draw, 0.99);
  chart("fps", count(fps), fps);
  chart("queue", count(waiting), waiting);
  chart("bytes", budget ? `${sized(bytes)} of ${sized(budget)}` : sized(bytes), bytes);
  chart("draw", p50 === null ? "–" : `${timed(p50)} · ${timed(p99)}`, p50 ?? 0, p99 ?? 0);
}

async function readStatus() {
  let ready = false, text = "not reachable";
  try {
    const response = await fetch("/readyz");
    ready = response.ok;
    text = ready ? "ready" : ((await response.json()).error ?? "not ready");
  } catch { /* it says so */ }
  $("#status").className = ready ? "good" : "bad";
  if ($("#status .text").textContent !== text) $("#status .text").textContent = text;
  return text !== "not reachable";
}

// ---- avatars ----

function avatarRow(avatar) {
  const face = avatar.status === "loaded"
    ? element("img", { className: "face", alt: "", loading: "lazy", src: linked(avatarPath(avatar.id, "/poster.jpg")) })
    : element("span", { className: "face", textContent: avatar.id[0] });
  face.ariaHidden = "true";
  const loaded = avatar.status === "loaded";
  return element("li", {}, face,
    element("div", { className: "grow" }, element("strong", { textContent: avatar.id, title: avatar.id }),
      element("span", {}, element("span", { className: `badge ${avatar.status}`, textContent: avatar.status }),
        element("small", { textContent: loaded ? ` ${sized(avatar.bytes)}` : "" }))),
    element("div", { className: "buttons" },
      button("Use", () => {
        $("#order").elements.avatar.value = avatar.id;
        $("#order").elements.audio.focus();
      }),
      button(loaded ? "Unload" : "Load", async () => {
        await call(avatarPath(avatar.id, loaded ? "/unload" : "/load"), { method: "POST" });
        await showAvatars();
      })));
}

let avatarsShown = 30;
async function showAvatars() {
  const query = new URLSearchParams({ limit: avatarsShown, q: $("#search").value });
  if ($("#loaded-only").checked) query.set("loaded", "true");
  const page = await json(`/v1/avatars?${query}`);
  fill($("#avatars"), page.data.map(({ id, status, bytes }) => ({ id, status, bytes })), avatarRow);
  $("#avatars-empty").hidden = page.data.length > 0;
  $("#avatars-more").hidden = !page.has_more || avatarsShown >= 1000;
  $("#avatars-count").textContent = `${page.loaded.toLocaleString()} of ${page.total.toLocaleString()} loaded`;
}

async function suggest(text) {
  const page = await json(`/v1/avatars?${new URLSearchParams({ limit: 20, q: text })}`);
  $("#avatar-names").replaceChildren(...page.data.map(({ id }) => element("option", { value: id })));
}

function later(act, ms) {
  let timer;
  return (...values) => {
    clearTimeout(timer);
    timer = setTimeout(() => act(...values).catch(() => {}), ms);
  };
}

// ---- videos ----

function preview(video) {
  const dialog = $("#preview"), player = $("video", dialog);
  player.src = linked(videoPath(video.id, "/content"));
  dialog.showModal();
  player.play().catch(() => {});
}

// A second click within three seconds deletes.
function deleteButton(video) {
  return button("Delete", async (made) => {
    if (!made.classList.toggle("sure")) {
      await call(videoPath(video.id), { method: "DELETE" });
      await showVideos();
      return;
    }
    made.textContent = "Sure?";
    setTimeout(() => {
      made.classList.remove("sure");
      made.textContent = "Delete";
    }, 3000);
  });
}

function videoRow(video) {
  const made = new Date(video.created_at * 1000).toLocaleString(undefined, { dateStyle: "medium", timeStyle: "short" });
  const about = [video.audio_name, made, video.bytes && sized(video.bytes)].filter(Boolean).join(" · ");
  const grow = element("div", { className: "grow" },
    element("strong", { textContent: video.avatar, title: video.id }), element("small", { textContent: about }));
  if (video.status === "queued" || video.status === "in_progress")
    grow.append(element("progress", { max: 100, value: video.progress, ariaLabel: `${video.avatar}: ${video.progress} %` }));
  if (video.error) grow.append(element("span", { className: "fault", textContent: video.error.message }));
  const buttons = element("div", { className: "buttons" });
  if (video.status === "completed") {
    buttons.append(button("Play", () => preview(video)), button("Save", () =>
      element("a", { href: linked(videoPath(video.id, "/content")), download: `${video.id}.${video.format}` }).click()));
  }
  buttons.append(deleteButton(video));
  const badge = element("span", { className: `badge ${video.status}` }), bar = $("progress", grow);
  const row = element("li", {}, grow, badge, buttons);
  row.update = (next) => {
    if (next.status !== video.status) return false;
    badge.textContent = next.status === "in_progress" ? `${next.progress} %` : next.status;
    if (bar) bar.value = next.progress;
    return true;
  };
  row.update(video);
  return row;
}

let videosShown = 10, working = false;
async function showVideos() {
  const page = await json(`/v1/videos?limit=${videosShown}`);
  working = page.data.some(({ status }) => status === "queued" || status === "in_progress");
  fill($("#videos"), page.data.map(({ frames_done, ...rest }) => rest), videoRow);
  $("#videos-empty").hidden = page.data.length > 0;
  $("#videos-more").hidden = !page.has_more || videosShown >= 100;
}

async function order(event) {
  event.preventDefault();
  const form = event.target, send = $("button", form);
  send.disabled = true;
  report("Sending the speech …", false);
  try {
    // getRandomValues and not randomUUID: pages without TLS have it, too.
    const key = [...crypto.getRandomValues(new Uint8Array(16))].map((b) => b.toString(16).padStart(2, "0")).join("");
    await call("/v1/videos", { method: "POST", body: new FormData(form), headers: { "Idempotency-Key": key } });
    report("Ordered.", false);
    await showVideos();
  } catch (fault) {
    report(fault.message);
  }
  send.disabled = false;
}

// ---- the page ----

function showLinks() {
  $("#metrics-link").href = linked("/metrics");
}

let ticks = 0;
async function tick() {
  if (!document.hidden && !$("#login").open) {
    const reachable = ticks % 5 ? true : await readStatus();
    const due = [readMetrics()];
    if (hasVideos && (working || ticks % 5 === 0)) due.push(showVideos());
    if (ticks % 5 === 0) due.push(showAvatars());
    if (reachable) await Promise.allSettled(due);
    ticks++;
  }
  setTimeout(tick, 1000);
}

let hasVideos = true;
async function start() {
  $("#order").addEventListener("submit", order);
  $("#order").elements.avatar.addEventListener("input", ({ target }) => suggestSoon(target.value));
  $("#search").addEventListener("input", () => searchSoon());
  $("#loaded-only").addEventListener("change", () => searchSoon());
  $("#avatars-more").addEventListener("click", () => showAvatars((avatarsShown += 100)));
  $("#videos-more").addEventListener("click", () => showVideos((videosShown = Math.min(100, videosShown + 30))));
  $("#preview").addEventListener("close", () => $("#preview video").removeAttribute("src"));
  const drop = $("#drop");
  for (const kind of ["dragover", "dragleave", "drop"]) drop.addEventListener(kind, (event) => {
    event.preventDefault();
    drop.classList.toggle("over", kind === "dragover");
    if (kind === "drop" && event.dataTransfer.files.length) $("input", drop).files = event.dataTransfer.files;
  });
  showLinks();
  // An inference server makes no videos.
  const api = await fetch("/v1/videos?limit=1", { headers: token() ? { Authorization: `Bearer ${token()}` } : {} }).catch(() => null);
  hasVideos = api?.status !== 404;
  $("#videos-section").hidden = !hasVideos;
  if (hasVideos) suggestSoon("");
  tick();
}
const suggestSoon = later(suggest, 150), searchSoon = later(showAvatars, 150);
start();
