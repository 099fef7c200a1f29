// The page's side: tells the studio what to show over one websocket, and draws the pictures that come back.
// Messages that come: JSON events with a "type", or packed pictures (see show). Messages that go: JSON with a "do", or the
// camera's JPEGs. The studio sends no more than two pictures that were not answered with "shown".

const $ = (id) => document.getElementById(id);
const body = document.body;
const VIEWS = ["input", "composite", "alpha", "deviation"];
const CAMERA = { video: { width: { ideal: 1280 }, height: { ideal: 720 } }, audio: false };
const SHOT_QUALITY = 0.92, SHOT_PATIENCE_MS = 2000;

let hello = null; // what the studio told first
let clip = null; // the clip that is open
let camera = null; // the camera's stream, while it is on
let drawn = Promise.resolve(); // pictures are drawn one after the other
let scrubbing = false, exporting = false, pictureName = "";

const socket = new WebSocket(new URL("live", location.href).href.replace(/^http/, "ws"));
socket.binaryType = "arraybuffer";
socket.onmessage = ({ data }) => {
  if (data instanceof ArrayBuffer) drawn = drawn.then(() => show(data)).catch(console.error).then(() => say({ do: "shown" }));
  else { const event = JSON.parse(data); heard[event.type]?.(event); }
};
socket.onclose = () => {
  stopCamera();
  setBusy("file", "");
  setBusy("nets", "");
  setPlaying(false);
  if (exporting) showExport({ state: "failed", text: "The export ended with the studio." });
  for (const control of document.querySelectorAll("button, input, select")) control.disabled = true;
  tell(fullText || "The studio is gone: if it still runs, reload this page; else start vmfm studio again, and open its new address.", true);
};
let fullText = "";
const say = (message) => { if (socket.readyState === WebSocket.OPEN) socket.send(JSON.stringify(message)); };

// What the studio says

const heard = {
  hello(event) {
    hello = event;
    $("limit").textContent = size(event.limit_bytes);
    if (event.patches % $("patches").step) $("patches").step = 1;
    setSlider($("patches"), event.patches);
    sayLook();
    chooseBackground();
    sayChoice();
  },
  full(event) { fullText = event.text; },
  clip(event) {
    clip = event;
    setSource("clip");
    setPlaying(false);
    $("scrub").max = event.fps ? Math.max(0, event.seconds - 1 / event.fps) : 0;
    setPosition(0);
    event.notice ? tell(event.notice) : quiet();
  },
  playing(event) { setPlaying(event.on); },
  busy(event) { setBusy("nets", event.text); },
  engine(event) { $("engine").textContent = event.text.split(";")[0]; $("engine").title = event.text; },
  problem(event) { tell(event.text); shotPending = false; },
  export: showExport,
};

// A packed picture: the length of a line as 4 bytes, the line (JSON facts), and one JPEG after the other.
async function show(packed) {
  const length = new DataView(packed).getUint32(0);
  const facts = JSON.parse(new TextDecoder().decode(new Uint8Array(packed, 4, length)));
  let at = 4 + length;
  const parts = facts.views.map(([view, bytes]) => [view, new Blob([new Uint8Array(packed, (at += bytes) - bytes, bytes)], { type: "image/jpeg" })]);
  const pictures = await Promise.all(parts.map(async ([view, jpeg]) => [view, await createImageBitmap(jpeg)]));
  if (facts.camera === Boolean(camera)) {
    for (const [view, picture] of pictures) draw(view, picture);
    if (!facts.early) $("panes").dataset.drawn = `${facts.camera ? "camera" : facts.seconds.toFixed(2)} ${facts.patches} ${facts.steady} ${facts.detail}`;
    if (!facts.camera && !scrubbing) setPosition(facts.seconds);
    $("speed").textContent = facts.fps ? `${facts.fps.toFixed(1)} fps · ${facts.ms} ms` : "";
  }
  if (facts.camera && !facts.early) shotPending = false;
}

function draw(view, picture) {
  const canvas = document.querySelector(`figure[data-view="${view}"] canvas`);
  canvas.parentElement.classList.remove("stale");
  if (canvas.width !== picture.width || canvas.height !== picture.height) {
    canvas.width = picture.width;
    canvas.height = picture.height;
  }
  canvas.getContext("2d").drawImage(picture, 0, 0);
  picture.close();
}

// States

function tell(text, forGood = false) {
  $("problem").firstElementChild.textContent = text[0].toUpperCase() + text.slice(1);
  $("problem").lastElementChild.hidden = forGood;
  $("problem").hidden = false;
}
function quiet() { if (socket.readyState === WebSocket.OPEN) $("problem").hidden = true; }

const busy = { file: "", nets: "" };
function setBusy(cause, text) {
  busy[cause] = text;
  const shown = busy.file || busy.nets;
  body.classList.toggle("busy", Boolean(shown));
  if (shown) $("busy").lastElementChild.textContent = shown;
}

function setSource(kind) { // "none", "clip" or "camera"
  if (kind !== body.dataset.source) for (const pane of document.querySelectorAll("figure")) pane.classList.add("stale");
  body.dataset.source = kind;
  const plays = kind === "clip" && clip.fps > 0;
  for (const id of ["back", "play", "on"]) $(id).disabled = !plays;
  $("scrub").disabled = !plays || !clip.seconds; // some videos do not tell how long they are
  $("camera").ariaPressed = kind === "camera";
  $("camera").textContent = kind === "camera" ? "Stop camera" : "Camera";
  $("source").textContent = { none: "Nothing open", camera: "Camera", clip: clip && `${clip.name} · ${clip.width}×${clip.height}${clip.fps ? ` · ${+clip.fps.toFixed(2)} fps` : ""}` }[kind];
  $("source").title = $("source").textContent;
  if (!plays) $("time").textContent = "–";
  if (kind !== "clip") setPlaying(false);
  $("speed").textContent = "";
  offerKinds();
}

function setPlaying(on) {
  body.classList.toggle("playing", on);
  $("play").ariaLabel = on ? "Pause" : "Play";
}

function setPosition(seconds) {
  setSlider($("scrub"), seconds);
  showTime(seconds);
}

function showTime(seconds) {
  const text = (s) => `${Math.floor(s / 60)}:${(s % 60).toFixed(1).padStart(4, "0")}`;
  $("time").textContent = clip?.fps ? text(seconds) + (clip.seconds ? ` / ${text(clip.seconds)}` : "") : "–";
  $("scrub").setAttribute("aria-valuetext", `${seconds.toFixed(1)} seconds`);
}

const size = (bytes) => bytes >= 2 ** 30 ? `${+(bytes / 2 ** 30).toFixed(1)} GB` : bytes >= 2 ** 20 ? `${(bytes / 2 ** 20).toFixed(1)} MB` : `${Math.ceil(bytes / 1024)} kB`;

// Sliders are filled up to where they stand.
function setSlider(slider, value) {
  slider.value = value;
  slider.style.setProperty("--at", `${100 * (slider.value - slider.min) / Math.max(1e-9, slider.max - slider.min)}%`);
}
for (const slider of document.querySelectorAll("input[type=range]")) {
  slider.addEventListener("input", () => setSlider(slider, slider.value));
  setSlider(slider, slider.value);
}

// Files in

async function bring(file, role) {
  if (!file || !hello) return;
  if (file.size > hello.limit_bytes) return tell(`${file.name} has ${size(file.size)}, and ${size(hello.limit_bytes)} is the most: cut it, or use vmfm recomposite.`);
  quiet();
  setBusy("file", `Opening ${file.name} …`);
  try {
    const answer = await fetch(`tabs/${hello.tab}/${role}?name=${encodeURIComponent(file.name)}`, { method: "POST", body: file });
    const { problem } = await answer.json();
    if (problem) return tell(problem);
    if (role === "clip") stopCamera();
    else { pictureName = file.name; markBackground("picture"); }
  } catch {
    tell(`${file.name} did not arrive: try again.`);
  } finally {
    setBusy("file", "");
  }
}

const isBackground = (file) => body.dataset.source !== "none" && file?.type.startsWith("image/") && file.type !== "image/gif";
let dragDepth = 0;
const dragged = { dragenter: 1, dragleave: -1, drop: 0, dragover: 0 };
for (const [kind, step] of Object.entries(dragged)) addEventListener(kind, (event) => {
  event.preventDefault();
  dragDepth = kind === "drop" ? 0 : dragDepth + step;
  body.classList.toggle("dragging", dragDepth > 0);
  const file = event.dataTransfer.items[0];
  if (kind === "dragenter" && file) $("drop").firstElementChild.textContent = isBackground(file) ? "Drop as background" : "Drop to open";
  if (kind === "drop") bring(event.dataTransfer.files[0], isBackground(file) ? "background" : "clip");
});
for (const [id, role] of [["file", "clip"], ["picture", "background"]]) $(id).onchange = () => { bring($(id).files[0], role); $(id).value = ""; };
for (const button of document.querySelectorAll("[data-act=open]")) button.onclick = () => $("file").click();
$("choose-picture").onclick = () => $("picture").click();

// Camera: the newest frame goes out when the picture of the one before has come back.

let shotPending = false, shotAt = 0, cameraAsks = 0;
for (const button of document.querySelectorAll("[data-act=camera]")) button.onclick = () => camera ? endCamera() : startCamera();

async function startCamera() {
  quiet();
  const ask = ++cameraAsks;  // of several, or of one that came too late, none may leave a camera on
  let stream;
  try {
    stream = await navigator.mediaDevices.getUserMedia(CAMERA);
  } catch (error) {
    return tell({
      NotAllowedError: "The browser was not allowed the camera: allow it in the address bar, then try again.",
      NotFoundError: "No camera was found: plug one in, or drop a clip.",
      NotReadableError: "The camera is in use: close the other program that uses it, then try again.",
    }[error.name] ?? `The camera cannot be used: ${error.message}`);
  }
  const video = document.createElement("video");
  video.muted = true;
  video.srcObject = stream;
  await video.play();
  if (ask !== cameraAsks || socket.readyState !== WebSocket.OPEN) return stop(stream);
  stream.getVideoTracks()[0].onended = () => { endCamera(); tell("The camera was unplugged or taken away."); };
  camera = stream;
  shotPending = false;
  say({ do: "camera", on: true });
  setSource("camera");
  sendShots(video, stream);
}

function sendShots(video, stream) {
  const canvas = new OffscreenCanvas(video.videoWidth, video.videoHeight), context = canvas.getContext("2d");
  const next = () => video.requestVideoFrameCallback ? video.requestVideoFrameCallback(send) : setTimeout(send, 33);
  async function send() {
    if (camera !== stream) return;
    if (!shotPending || performance.now() - shotAt > SHOT_PATIENCE_MS) {
      shotPending = true;
      shotAt = performance.now();
      context.drawImage(video, 0, 0, canvas.width, canvas.height);
      const jpeg = await canvas.convertToBlob({ type: "image/jpeg", quality: SHOT_QUALITY });
      if (camera === stream && socket.readyState === WebSocket.OPEN) socket.send(jpeg);
    }
    next();
  }
  send();
}

function stopCamera() {
  cameraAsks++;
  if (camera) stop(camera);
  camera = null;
}

function stop(stream) {
  for (const track of stream.getTracks()) track.stop();
}

function endCamera() {
  stopCamera();
  say({ do: "camera", on: false });
  setSource(clip ? "clip" : "none");
}

// Views

const panes = $("panes");
function setView(view) {
  body.dataset.view = view;
  document.querySelector(`#view input[value=${view}]`).checked = true;
  sayLook();
}
function sayLook() {
  const pane = document.querySelector(`figure[data-view="${body.dataset.view}"]`) ?? panes.firstElementChild;
  const views = body.dataset.view === "all" ? VIEWS : [body.dataset.view];
  say({ do: "look", views, width: Math.round(Math.max(160, pane.clientWidth) * Math.min(2, devicePixelRatio)) });
}
$("view").onchange = (event) => setView(event.target.value);
panes.onclick = (event) => {
  const view = event.target.closest("figure")?.dataset.view;
  if (view) setView(body.dataset.view === "all" ? view : "all");
};
let resized = 0;
new ResizeObserver(() => { clearTimeout(resized); resized = setTimeout(sayLook, 150); }).observe($("stage"));

// Background, matte

function markBackground(kind) {
  document.querySelector(`#background input[value=${kind}]`).checked = true;
  $("picture-name").textContent = pictureName || "an image, or a video that loops";
  for (const option of document.querySelectorAll("#background-options > *")) option.classList.toggle("chosen", option.dataset.for === kind);
  offerKinds();
}
const background = () => document.querySelector("#background input:checked").value;
function chooseBackground() {
  const kind = background();
  markBackground(kind);
  $("colour").nextElementSibling.textContent = $("colour").value;
  $("radius-out").textContent = `${$("radius").value} px`;
  if (kind === "picture" && !pictureName) return;
  say({ do: "background", text: { transparent: "transparent", colour: $("colour").value, blur: `blur:${$("radius").value}`, picture: "uploaded" }[kind] });
}
$("background").onchange = chooseBackground;
$("colour").oninput = $("radius").oninput = chooseBackground;
for (const swatch of document.querySelectorAll("#swatches button")) {
  swatch.style.background = swatch.dataset.colour;
  swatch.onclick = () => { $("colour").value = swatch.dataset.colour; chooseBackground(); };
}

const showPatches = () => { $("patches-out").textContent = $("patches").value === "0" ? "off" : $("patches").value; };
function sayChoice() {
  showPatches();
  say({ do: "choose", patches: +$("patches").value, steady: $("steady").checked, detail: $("detail").value });
}
$("patches").oninput = showPatches;
$("patches").onchange = $("steady").onchange = $("detail").onchange = sayChoice;

// Playback

$("play").onclick = () => {
  const on = !body.classList.contains("playing");
  setPlaying(on);
  say({ do: on ? "play" : "pause" });
};
const step = (by) => { setPlaying(false); say({ do: "step", by }); };
$("back").onclick = () => step(-1);
$("on").onclick = () => step(1);
$("scrub").oninput = () => {
  scrubbing = true;
  showTime(+$("scrub").value);
  say({ do: "seek", seconds: +$("scrub").value });
};
$("scrub").onchange = () => { scrubbing = false; };

const KEYS = {
  " ": () => $("play").click(), ArrowLeft: () => $("back").click(), ArrowRight: () => $("on").click(),
  0: () => setView("all"), Escape: () => setView("all"),
  b() {
    const choices = [...document.querySelectorAll("#background input")];
    choices[(choices.findIndex((choice) => choice.checked) + 1) % choices.length].click();
  },
};
VIEWS.forEach((view, number) => { KEYS[number + 1] = () => setView(view); });
const OWN_KEYS = { radio: /^Arrow/, range: /^Arrow/, checkbox: /^ $/, color: /^ $/, submit: /^ $/, "select-one": /./ }; // by type of control
addEventListener("keydown", (event) => {
  const own = event.target !== $("scrub") && OWN_KEYS[event.target.type]?.test(event.key);
  const act = KEYS[event.key.length === 1 ? event.key.toLowerCase() : event.key];
  if (!act || own || event.ctrlKey || event.metaKey || event.altKey) return;
  event.preventDefault();
  act();
});

// Export

function offerKinds() {
  const image = clip?.fps === 0, transparent = background() === "transparent";
  const offered = Object.entries(hello?.kinds ?? {}).filter(([, kind]) => kind.image === image && (kind.transparent ?? transparent) === transparent);
  const chosen = $("kind").selectedOptions[0]?.dataset.name;
  $("kind").replaceChildren(...offered.map(([key, kind]) => {
    const option = new Option(kind.label, key);
    option.dataset.name = kind.name;
    option.selected = kind.name === chosen && ["alpha", "deviation"].includes(chosen);
    return option;
  }));
  $("kind").disabled = $("export").disabled = exporting || !clip || body.dataset.source !== "clip";
}

function showExport(event) {
  exporting = event.state === "running";
  $("export-state").dataset.state = event.state;
  const progress = $("export-progress");
  if (exporting && event.done && event.frames) progress.value = Math.min(1, event.done / event.frames);
  else progress.removeAttribute("value");
  $("export-text").textContent = {
    running: event.done ? `${event.done}${event.frames ? ` of ${event.frames}` : ""} frames` : "Readying the nets …",
    done: `${event.name}, ${size(event.bytes ?? 0)}. ${event.text ?? ""}`,
    failed: event.text,
    cancelled: "Cancelled; nothing was kept.",
  }[event.state];
  if (event.state === "done") {
    $("download").href = `tabs/${hello.tab}/results/${encodeURIComponent(event.name)}`;
    $("download").focus({ preventScroll: true });
  }
  offerKinds();
}
$("export").onclick = () => say({ do: "export", kind: $("kind").value });
$("cancel").onclick = () => say({ do: "cancel" });
$("problem").lastElementChild.onclick = quiet;
addEventListener("beforeunload", (event) => { if (exporting) event.preventDefault(); });
markBackground("transparent");
