// The owner's page. Everything shown comes from one request that repeats, and is put in as text, through `shown`.
"use strict";

const content = document.getElementById("content");
const wishLine = document.getElementById("wish");
const trouble = document.getElementById("trouble");
const buttons = [...document.querySelectorAll("[data-wish]")];
const EVERY_MS = 2000;
let drawn = "";

// The token of the link stays in the address and goes nowhere else; it is good until the provider ends.
const token = (location.hash.match(/^#token=([0-9a-f]+)$/) || [])[1] || sessionStorage.getItem("token");
if (token) sessionStorage.setItem("token", token);

async function ask(path, body) {
  const headers = { authorization: `Bearer ${token || ""}` };
  const reply = await fetch(path, { method: body ? "POST" : "GET", headers, body: body && JSON.stringify(body) });
  const answer = await reply.json();
  if (!reply.ok) throw new Error(`${answer.message} (${answer.code})`);
  return answer;
}

function make(name, attributes, ...children) {
  const element = document.createElement(name);
  for (const [key, value] of Object.entries(attributes || {})) element.setAttribute(key, shown(value));
  const there = children.filter(child => child !== null && child !== undefined);
  element.append(...there.map(child => child instanceof Node ? child : shown(child)));
  return element;
}

const number = value => local(Number(value).toLocaleString());

const WISHES = {
  run: "Takes work.",
  pause: "Paused: takes nothing new; what runs goes on. It stays paused until you let it take work again.",
  finish: "Finishing: takes nothing new, and ends once everything that it took is judged.",
  leave: "Leaving: gives back what is not finished.",
};

function where({ entry, place, traced }) {
  const worker = place.workers > 1 ? ` round ${place.round + 1}, worker ${place.worker + 1} of ${place.workers}` : "";
  const segment = !worker && place.segments > 1 ? ` ${place.segment + 1} of ${place.segments}` : "";
  return `${entry}${worker}${segment}${traced ? ", again for a dispute" : ""}`;
}

const WAITS = {
  "no-tasks": "waits: there are no tasks", "none-fits": "waits: no task fits this device",
  "price-below-floor": "waits: the price is below your floor", "backoff": "waits a moment before it asks again",
  "stake-cap": "waits for earlier work to be judged",
};

function device(number, device, wish) {
  const parts = [make("h3", {}, named(device.name || `device ${number}`))];
  if (device.work) {
    parts.push(make("p", { class: "busy" }, `▶ ${where(device.work)}`));
    const [done, total] = device.work.progress || [0, 0];
    parts.push(total > 0
      ? make("progress", { max: total, value: Math.min(done, total), "aria-label": "progress of the task" })
      : make("progress", { "aria-label": "the task has told no progress yet" }));
    if (total > 0) parts.push(make("p", { class: "quiet" }, `${Math.floor(100 * Math.min(done, total) / total)} %`));
  } else {
    const waits = device.no_lease ? WAITS[device.no_lease] || `waits: ${device.no_lease}` : "idle";
    parts.push(make("p", { class: "quiet" }, wish === "run" ? waits : "idle"));
  }
  if (device.limits) {
    const { doing, reasons, duty } = device.limits;
    const share = duty === null || duty === undefined ? "" : `, at ${Math.round(duty * 100)} % of the time`;
    parts.push(make("p", {}, `Limits: ${doing}${share}`));
    if (reasons.length) parts.push(make("ul", {}, ...reasons.map(reason => make("li", {}, make("bdi", {}, reason)))));
  }
  return make("div", { class: "device" }, ...parts);
}

function fact(name, value, kind) {
  return make("div", {}, make("dt", {}, name), make("dd", kind ? { class: kind } : {}, value));
}

function coordinator(status, wish) {
  const devices = Object.entries(status.devices);
  return make("section", {},
    make("h2", {}, make("bdi", {}, status.coordinator)),
    status.trouble ? make("p", { class: "bad" }, "Trouble: ", make("bdi", {}, status.trouble)) : null,
    make("dl", { class: "facts" },
      fact("Finished", number(status.finished)), fact("Wait for a verdict", number(status.waiting)),
      fact("Gas", number(status.gas)), fact("Failed here", number(status.faults), status.faults ? "bad" : "")),
    make("div", { class: "devices" }, ...devices.map(([number, known]) => device(number, known, wish))),
    make("h3", {}, "What happened last"),
    status.lines.length
      ? make("ol", { class: "lines" }, ...status.lines.slice(-12).reverse().map(line => make("li", {}, make("bdi", {}, line))))
      : make("p", { class: "quiet" }, "Nothing yet."),
    make("p", { class: "quiet" }, "This provider is ", make("code", {}, status.identity || "not enrolled yet"), "."));
}

function show(status) {
  trouble.textContent = "";
  const text = JSON.stringify(status);
  if (text === drawn) return;
  drawn = text;
  const words = WISHES[status.wish];
  if (wishLine.textContent !== words) wishLine.textContent = words;
  for (const button of buttons) {
    button.setAttribute("aria-pressed", String(button.dataset.wish === status.wish));
    button.disabled = status.wish === "leave";
  }
  content.replaceChildren(
    ...status.coordinators.map(known => coordinator(known, status.wish)),
    make("p", { class: "quiet" }, `anneal ${status.version}, process ${status.process}, folder `,
      make("code", {}, status.folder)));
}

function fail(error) {
  drawn = "";
  for (const button of buttons) button.disabled = true;
  const gone = error instanceof TypeError;
  trouble.textContent = gone ? "The provider does not answer: it may have ended." : shown(error.message);
}

async function refresh() {
  try {
    show(await ask("/v1/status"));
  } catch (error) {
    fail(error);
  }
}

for (const button of buttons) {
  button.addEventListener("click", async () => {
    try {
      show(await ask("/v1/wish", { wish: button.dataset.wish }));
    } catch (error) {
      fail(error);
    }
  });
}

async function repeat() {
  if (!document.hidden) await refresh();
  setTimeout(repeat, EVERY_MS);
}
document.addEventListener("visibilitychange", () => { if (!document.hidden) refresh(); });
repeat();
