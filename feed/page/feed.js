// Shows one video at a time and tells the server what the viewer does. Wheel, arrow keys and touch swipe; "l" likes.
"use strict";

const platform = document.documentElement.dataset.platform;
const stage = document.getElementById("stage");
const slide = document.getElementById("slide");
const notice = document.getElementById("notice");
const sheet = document.getElementById("sheet");
const one = name => slide.querySelector(name);

const WHEEL_STEP = 40;     // pixels of a wheel's turn that are a swipe
const TOUCH_STEP = 60;     // pixels of a finger's way that are a swipe
const STILL = matchMedia("(prefers-reduced-motion: reduce)").matches;  // whoever asks for no motion waits for none
const MOVE_MS = 180;       // as in feed.css
const REST_MS = 350;       // a wheel goes on turning after a swipe: what it says in this time is not another one
const STILL_S = 3;         // as on the server

let state = null;          // what the server said last
let busy = true;           // a swipe is on its way
let began = 0;             // when the video came on
let hidden_ms = 0, hidden_since = null;
let turned = 0, rested = 0, touched = null;
let playing = null;

async function ask(path, body) {
  for (let attempt = 0; ; attempt++) {
    try {
      const answer = await fetch(path, body && {method: "POST", headers: {"Content-Type": "application/json"}, body: JSON.stringify(body)});
      const said = await answer.json();
      if (answer.ok) return said;
      if (answer.status < 500) throw new Refused(typeof said.detail === "string" ? said.detail : "The feed refused this.");
    } catch (error) {
      if (error instanceof Refused || attempt >= 20) throw error;
    }
    notice.textContent = "Reconnecting…";
    await new Promise(done => setTimeout(done, Math.min(2000, 200 * 2 ** attempt)));
  }
}
class Refused extends Error {}

function moved() { return new Promise(done => setTimeout(done, STILL ? 0 : MOVE_MS + 40)); }

function picture(number) { return `/videos/${encodeURIComponent(state.video.id)}/${number}`; }

function dwell() {
  const hidden = hidden_ms + (hidden_since === null ? 0 : performance.now() - hidden_since);
  return Math.min(3600000, Math.max(0, Math.round(performance.now() - began - hidden)));
}

async function loaded() {
  if (state.ended) return;
  const first = new Image();
  first.src = picture(0);
  await first.decode().catch(() => {});
}

function show() {
  clearInterval(playing);
  sheet.hidden = true;
  const video = state.video;
  notice.textContent = state.ended ? "You have seen it all. Come back later." : "";
  slide.hidden = state.ended;
  if (state.ended) return;
  one(".account").textContent = video.account;
  one(".caption").textContent = video.caption;
  one(".frame").alt = video.caption;
  one(".likes").textContent = video.likes < 1000 ? video.likes : (video.likes / 1000).toFixed(1) + "k";
  document.getElementById("like").setAttribute("aria-pressed", state.liked);
  let number = 0;
  one(".frame").src = one(".behind").src = picture(0);
  for (let next = 1; next < video.frames; next++) new Image().src = picture(next);
  const rounds = () => ((performance.now() - began) / 1000 / (video.length_s || STILL_S)) % 1;
  one(".progress i").style.width = "0";
  playing = setInterval(() => {
    one(".progress i").style.width = `${(rounds() * 100).toFixed(1)}%`;
    const now = Math.floor(rounds() * video.frames);
    if (now !== number) one(".frame").src = picture(number = now);
  }, 100);
  began = performance.now();
  hidden_ms = 0;
  hidden_since = document.hidden ? began : null;
}

async function next() {
  if (busy || state.ended) return;
  busy = true;
  stage.setAttribute("aria-busy", "true");
  try {
    state = await ask(`/api/sessions/${state.session}/events`, {step: state.step, kind: "swipe", dwell_ms: dwell()});
    await loaded();
    slide.classList.add("up");
    await moved();
    slide.classList.replace("up", "below");
    show();
    void slide.offsetHeight;
    slide.classList.remove("below");
    busy = false;
    await moved();
    if (!busy) stage.setAttribute("aria-busy", "false");
  } catch (error) {
    clearInterval(playing);
    slide.hidden = true;
    stage.setAttribute("aria-busy", "false");
    notice.textContent = error.message;
  }
}

async function tell(kind) {
  if (busy || state.ended) return;
  const said = await ask(`/api/sessions/${state.session}/events`, {step: state.step, kind});
  if (said.step === state.step) {
    state = said;
    notice.textContent = "";
    document.getElementById("like").setAttribute("aria-pressed", state.liked);
  }
}
const like = () => tell(state && state.liked ? "unlike" : "like");

document.addEventListener("wheel", event => {
  event.preventDefault();
  if (performance.now() < rested) return;
  turned += event.deltaY * (event.deltaMode === 1 ? 16 : 1);
  if (turned <= 0) turned = 0;
  if (turned >= WHEEL_STEP) { turned = 0; rested = performance.now() + REST_MS; next(); }
}, {passive: false});
document.addEventListener("keydown", event => {
  if (event.target.tagName === "INPUT" || event.repeat || event.ctrlKey || event.altKey || event.metaKey) return;
  if (["ArrowDown", "PageDown", "j"].includes(event.key)) { event.preventDefault(); next(); }
  else if (event.key === "l") like();
});
stage.addEventListener("touchstart", event => { touched = event.touches[0].clientY; }, {passive: true});
stage.addEventListener("touchend", event => {
  if (touched !== null && touched - event.changedTouches[0].clientY >= TOUCH_STEP) next();
  touched = null;
}, {passive: true});
document.addEventListener("visibilitychange", () => {
  if (document.hidden) hidden_since = performance.now();
  else if (hidden_since !== null) { hidden_ms += performance.now() - hidden_since; hidden_since = null; }
});
document.getElementById("like").onclick = like;
document.getElementById("share").onclick = () => tell("share");
document.getElementById("dislike").onclick = next;
document.getElementById("comment").onclick = () => { sheet.hidden = !sheet.hidden; if (!sheet.hidden) sheet.querySelector("input").focus(); };
sheet.onsubmit = event => {
  event.preventDefault();
  if (sheet.querySelector("input").value.trim()) tell("comment");
  sheet.reset();
  sheet.hidden = true;
  stage.focus();
};

const asked = new URLSearchParams(location.search);
const begin = {platform};
if (asked.get("user")) begin.user = asked.get("user");
if (asked.get("seed")) begin.seed = Number(asked.get("seed"));
ask("/api/sessions", begin).then(async said => {
  state = said;
  await loaded();
  busy = false;
  show();
  stage.setAttribute("aria-busy", "false");
  stage.focus();
}, error => {
  stage.setAttribute("aria-busy", "false");
  notice.textContent = error.message;
});
