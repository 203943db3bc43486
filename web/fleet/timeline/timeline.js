// @ts-check
/** The timeline: what each peer did in the last minutes, drawn; read by pointer, by arrow keys, and aloud. */
import { h, setAttribute, setChildren, setText } from "../ui/dom.js";
import { duration, jobTitle, jobWord, outcomeWord } from "../ui/format.js";
import { clock, t } from "../data/i18n.js";
import { drawn, isSame, lanesOf, step, visitAt } from "./timeline_layout.js";

/** @typedef {import("./timeline_layout.js").Visit} Visit @typedef {import("./timeline_layout.js").Lane} Lane
 * @typedef {Pick<import("../panel.js").SectionDeps, "store">} TimelineDeps */

const SPANS_MIN = [1, 5, 15, 60, 360, 1440];
const USUAL_MIN = 5;
const LABEL = 16; //: heights in CSS pixels
const BAR = 14;
const STRIP = 4; //: the waits, below what runs meanwhile
const LANE = LABEL + BAR + STRIP + 8;
const DRAW_EVERY_MS = 250; //: at most, however many events come
const HOURS_EVERY_MS = 2000; //: the same while hours are shown: a pixel of them is long
const TICK_MS = 1000;
const HIT_SLACK = 4;
const KEYS = new Set(["ArrowLeft", "ArrowRight", "ArrowUp", "ArrowDown", "Home", "End"]);
const OPEN_KEY = "orc.timeline.open";

/** @param {HTMLElement} el @param {TimelineDeps} deps @returns {() => void} */
export function mount(el, { store }) {
  const controller = new AbortController();
  /** @type {{job: Visit["job"], attempt: Visit["attempt"]} | null} */
  let chosen = null;
  /** @type {Lane[]} */
  let lanes = [];
  let drawnAt = 0;
  /** @type {ReturnType<typeof setTimeout> | undefined} */
  let soon;

  const select = h("select", { class: "orc-choice", "aria-label": t("How far back"), onchange: () => draw() },
    ...SPANS_MIN.map((minutes) => h("option", { value: minutes, selected: minutes === USUAL_MIN },
      minutes > 60 ? t("last {hours} h", { hours: minutes / 60 }) : t("last {minutes} min", { minutes }))));
  const swatch = (/** @type {string} */ kind, /** @type {string} */ text) =>
    h("span", { class: "orc-key" }, h("i", { class: "orc-swatch", "data-kind": kind }), text);
  const legend = h("p", { class: "orc-legend orc-muted" },
    swatch("queue", t("waits there")), swatch("load", t("loads")), swatch("run", t("runs")), swatch("failed", t("failed")),
    h("i", { class: "orc-swatch", "data-kind": "ground", hidden: true }));
  const canvas = h("canvas", {
    class: "orc-timeline", tabindex: 0, role: "application", "aria-roledescription": t("timeline"),
    onkeydown: (/** @type {KeyboardEvent} */ event) => onKey(event),
    onpointermove: (/** @type {PointerEvent} */ event) => choose(under(event)),
    onclick: (/** @type {MouseEvent} */ event) => choose(under(event)),
  });
  const scale = h("p", { class: "orc-line orc-muted" });
  const facts = h("p", { class: "orc-facts orc-visit", role: "status" });
  const body = h("div", {}, h("div", { class: "orc-line" }, legend, select), canvas, scale, facts);
  const details = h("details", { class: "orc-fold", ontoggle: () => toggled() }, h("summary", {}, h("h3", {}, t("Timeline"))), body);

  const toggled = () => {
    remember(details.open);
    draw();
  };
  const minutes = () => Number(select.value);
  const under = (/** @type {MouseEvent} */ event) => {
    const { left, top, width } = canvas.getBoundingClientRect();
    const y = event.clientY - top;
    const lane = lanes[Math.floor(y / LANE)];
    if (!lane) return null;
    const inLane = y % LANE;
    const place = (event.clientX - left) / width;
    const inQueue = inLane >= LABEL + BAR;
    return visitAt(lane, place, inQueue, HIT_SLACK / width) ?? visitAt(lane, place, !inQueue, 0);
  };
  const choose = (/** @type {Visit | null} */ visit) => {
    if (visit === null || isSame(visit, chosen)) return;
    chosen = visit;
    draw();
  };
  const onKey = (/** @type {KeyboardEvent} */ event) => {
    if (!KEYS.has(event.key)) return;
    event.preventDefault();
    event.stopPropagation(); // the host moves nodes with them
    choose(step(lanes, chosen, event.key));
  };

  const draw = () => {
    clearTimeout(soon);
    soon = undefined;
    el.hidden = !store.peers.length && !store.ended.length;
    if (!details.open || !canvas.clientWidth) return;
    drawnAt = performance.now();
    const toMs = store.now();
    const fromMs = toMs - minutes() * 60_000;
    lanes = lanesOf(recent(store, new Date(fromMs).toISOString()), store.peers, { fromMs, toMs });
    const told = lanes.flatMap((lane) => lane.visits).find((visit) => isSame(visit, chosen)) ?? null;
    if (chosen && !told) chosen = null;
    setAttribute(canvas, "aria-label", t("Timeline of {count} computers, the last {minutes} minutes. Arrow keys move from job to job.",
      { count: lanes.length, minutes: minutes() }));
    paint(canvas, lanes, chosen, coloursOf(legend));
    const shown = { hour: "2-digit", minute: "2-digit", ...(minutes() <= 5 && { second: "2-digit" }) };
    const time = (/** @type {number} */ ms) => clock(ms, /** @type {Intl.DateTimeFormatOptions} */ (shown));
    setChildren(scale, `${time(toMs)} ${minutes()}`, () =>
      [1, 0.5, 0].map((part) => h("span", {}, part ? time(toMs - part * minutes() * 60_000) : t("now"))));
    setText(facts, told ? factsOf(told) : t("Point at a job, or use the arrow keys, to see its times."));
    if (store.queue.some((job) => job.state === "running")) drawSoon(minutes() > 60 ? HOURS_EVERY_MS : TICK_MS);
  };
  const drawSoon = (/** @type {number} */ afterMs) => {
    soon ??= setTimeout(draw, Math.max(0, afterMs - (performance.now() - drawnAt)));
  };

  const changed = () => {
    clearTimeout(soon);
    soon = undefined;
    drawSoon(minutes() > 60 ? HOURS_EVERY_MS : DRAW_EVERY_MS);
  };
  for (const name of ["jobs", "peers", "status"]) store.addEventListener(name, changed, { signal: controller.signal });
  const resized = new ResizeObserver(changed);
  el.replaceChildren(details);
  resized.observe(details);
  details.open = remembered();
  return () => {
    controller.abort();
    resized.disconnect();
    clearTimeout(soon);
    soon = undefined;
  };
}

/** What may have something in the window: of thousands, those that ended since its begin, and those that have not.
 * @param {import("../data/store.js").FleetStore} store @param {string} begin */
function recent(store, begin) {
  const first = store.ended.findIndex((job) => (job.ended_at ?? job.created_at) < begin);
  return [...store.queue.filter((job) => job.attempts.length > 0), ...store.ended.slice(0, first < 0 ? undefined : first)];
}

/**
 * @param {HTMLCanvasElement} canvas @param {Lane[]} lanes
 * @param {{job: Visit["job"], attempt: Visit["attempt"]} | null} chosen @param {Record<string, string>} colours
 */
function paint(canvas, lanes, chosen, colours) {
  const ratio = devicePixelRatio || 1;
  const width = canvas.clientWidth;
  const height = Math.max(1, lanes.length * LANE);
  canvas.width = Math.round(width * ratio);
  canvas.height = Math.round(height * ratio);
  canvas.style.height = `${height}px`;
  const pen = canvas.getContext("2d");
  if (!pen) return;
  pen.scale(ratio, ratio);
  pen.font = `12px ${getComputedStyle(canvas).fontFamily}`;
  pen.textBaseline = "top";
  const hatch = hatching(pen, colours.load);
  lanes.forEach((lane, row) => {
    const top = row * LANE + LABEL;
    pen.fillStyle = colours.text;
    pen.fillText(lane.name, 0, row * LANE + 1, width);
    pen.fillStyle = colours.ground;
    pen.fillRect(0, top, width, BAR + STRIP);
    for (const { visit, part } of drawn(lane, width)) {
      const left = part.from * width;
      const size = Math.max(1.5, (part.to - part.from) * width - 1);
      if (part.kind === "queue") {
        pen.fillStyle = colours.queue;
        pen.fillRect(left, top + BAR + 1, size, STRIP - 1);
        continue;
      }
      pen.fillStyle = part.kind === "load" ? hatch : visit.failed ? colours.failed : colours.run;
      pen.fillRect(left, top, size, BAR);
      if (visit.failed && part === visit.parts.at(-1)) cross(pen, left + size - 5, top + BAR / 2, colours.ground);
    }
    const marked = lane.visits.find((visit) => isSame(visit, chosen));
    if (marked) frame(pen, marked, width, top, colours.text);
  });
}

/** @param {CanvasRenderingContext2D} pen @param {string} colour @returns {CanvasPattern | string} */
function hatching(pen, colour) {
  const tile = h("canvas", { width: 6, height: 6 });
  const brush = tile.getContext("2d");
  if (!brush) return colour;
  brush.strokeStyle = colour;
  brush.lineWidth = 2;
  for (const shift of [-6, 0, 6]) {
    brush.moveTo(shift - 1, 7);
    brush.lineTo(shift + 7, -1);
  }
  brush.stroke();
  return pen.createPattern(tile, "repeat") ?? colour;
}

/** @param {CanvasRenderingContext2D} pen @param {number} x @param {number} y @param {string} colour */
function cross(pen, x, y, colour) {
  pen.strokeStyle = colour;
  pen.lineWidth = 2;
  pen.beginPath();
  for (const side of [-1, 1]) {
    pen.moveTo(x - 3, y - 3 * side);
    pen.lineTo(x + 3, y + 3 * side);
  }
  pen.stroke();
}

/** @param {CanvasRenderingContext2D} pen @param {Visit} visit @param {number} width @param {number} top @param {string} colour */
function frame(pen, visit, width, top, colour) {
  const from = visit.parts[0].from * width;
  const to = visit.parts[visit.parts.length - 1].to * width;
  pen.strokeStyle = colour;
  pen.lineWidth = 1.5;
  pen.strokeRect(Math.max(1, from - 1), top - 1, Math.min(width - 2, Math.max(3, to - from) + 1), BAR + STRIP + 2);
}

/** The colours of the page's palette, as the legend shows them. @param {HTMLElement} legend */
function coloursOf(legend) {
  /** @type {Record<string, string>} */
  const colours = { text: getComputedStyle(legend).color };
  for (const swatch of legend.querySelectorAll(".orc-swatch")) {
    colours[/** @type {HTMLElement} */ (swatch).dataset.kind ?? ""] = getComputedStyle(swatch).color;
  }
  return colours;
}

/** @param {Visit} visit @returns {string} */
function factsOf({ job, attempt }) {
  const ms = (/** @type {string | null} */ moment) => (moment === null ? null : Date.parse(moment));
  const [started, begun, loaded, ended] = [attempt.started_at, attempt.begun_at, attempt.loaded_at, attempt.ended_at].map(ms);
  const time = (/** @type {number | null} */ moment) => (moment === null ? t("now") : clock(moment));
  const took = (/** @type {number | null} */ from, /** @type {number | null} */ to) =>
    from === null || to === null ? "" : duration((to - from) / 1000);
  const lines = [`${jobTitle(job)} · ${attempt.peer} · ${(attempt.ended_at && outcomeWord(attempt.outcome)) || jobWord(job)}`];
  lines.push(t("{from} to {to}", { from: time(started), to: time(ended) }));
  const first = job.attempts[0] === attempt ? took(Date.parse(job.created_at), started) : "";
  if (first) lines.push(t("{time} in the queue", { time: first }));
  if (took(started, begun)) lines.push(t("{time} waiting there", { time: took(started, begun) }));
  if (took(begun, loaded)) lines.push(t("{time} until the first step", { time: took(begun, loaded) }));
  if (took(loaded ?? begun, ended)) lines.push(t("{time} running", { time: took(loaded ?? begun, ended) }));
  return lines.join(", ");
}

function remembered() {
  try {
    return localStorage.getItem(OPEN_KEY) === "yes";
  } catch {
    return false;
  }
}

/** @param {boolean} open */
function remember(open) {
  try {
    localStorage.setItem(OPEN_KEY, open ? "yes" : "no");
  } catch {
    // A page without storage forgets it.
  }
}
