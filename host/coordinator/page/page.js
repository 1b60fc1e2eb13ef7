// The coordinator's page. Everything shown comes from the same requests that programs use, and is put in as
// text, through `shown`.
"use strict";

const content = document.getElementById("content");
const status = document.getElementById("status");
let turn = 0;

// The token of a link goes out of the address at once, so that it is not copied along with it.
const given = location.hash.match(/^#token=([0-9a-f.]+)(?:&page=(\/.*))?$/);
if (given) {
  sessionStorage.setItem("token", given[1]);
  history.replaceState(null, "", location.pathname + "#" + (given[2] || "/jobs"));
}

async function ask(path) {
  const token = sessionStorage.getItem("token");
  const headers = token ? { authorization: `Bearer ${token}` } : {};
  const reply = await fetch(path, { headers });
  const body = await reply.json();
  if (reply.ok) return body;
  if (body.code === "token-wrong") sessionStorage.removeItem("token");
  throw new Error(`${body.message} (${body.code})`);
}

function make(name, attributes, ...children) {
  const element = document.createElement(name);
  for (const [key, value] of Object.entries(attributes || {})) element.setAttribute(key, shown(value));
  const there = children.filter(child => child !== null && child !== undefined);
  element.append(...there.map(child => child instanceof Node ? child : shown(child)));
  return element;
}

const time = ms => ms ? local(new Date(ms).toLocaleString()) : "–";
const number = value => local(Number(value).toLocaleString());
const bytes = value => value >= 2 ** 30 ? `${(value / 2 ** 30).toFixed(1)} GiB` : `${(value / 2 ** 20).toFixed(0)} MiB`;
const id = value => make("span", { class: "id", title: value }, value.slice(0, 12));

const STATES = {
  running: ["busy", "▶"], paused: ["busy", "⏸"], ending: ["busy", "⏹"], completed: ["good", "✓"], failed: ["bad", "✗"],
  cancelled: ["quiet", "–"], waiting: ["quiet", "·"], open: ["busy", "○"], leased: ["busy", "▶"], revealing: ["busy", "?"],
  replaying: ["busy", "↻"], uploading: ["busy", "↑"], done: ["good", "✓"], dropped: ["quiet", "–"], committed: ["busy", "●"],
  revealed: ["busy", "?"], valid: ["good", "✓"], faulted: ["bad", "✗"], forfeited: ["bad", "✗"], "host-fault": ["quiet", "!"],
  ended: ["quiet", "–"],
};
function state(name) {
  const [kind, sign] = STATES[name] || ["quiet", "?"];
  return make("span", { class: kind }, `${sign} ${name}`);
}

function table(caption, columns, rows) {
  const head = make("tr", {}, ...columns.map(([label, kind]) => make("th", { scope: "col", class: kind || "" }, label)));
  const body = rows.map(cells => make("tr", {}, ...cells.map((cell, index) =>
    make("td", { class: columns[index][1] || "", "data-label": columns[index][0] }, cell))));
  return make("table", { class: "stack" }, make("caption", {}, caption), make("thead", {}, head), make("tbody", {}, ...body));
}

function facts(pairs) {
  return make("dl", {}, ...pairs.flatMap(([name, value]) => [make("dt", {}, name), make("dd", {}, value)]));
}

// How many entries a page of jobs or providers has.
const PAGE = 100;
function pages(next) {
  return next ? make("p", {}, make("a", { href: next }, "Next page")) : null;
}

async function jobs(before, job) {
  const { jobs } = await ask(before ? `/v1/jobs?before=${before}&before_job=${job}` : "/v1/jobs");
  const last = jobs[jobs.length - 1];
  const own = sessionStorage.getItem("token") !== null;
  const rows = jobs.map(job => [
    make("a", { href: `#/job/${job.id}` }, named(job.name)), state(job.state),
    make("span", {}, make("progress", { max: job.tasks, value: job.tasks_done, "aria-label": "tasks done" }), ` ${job.tasks_done} of ${job.tasks}`),
    `${number(job.spent)} of at most ${number(job.cap)}`, time(job.submitted),
  ]);
  const columns = [["Job"], ["State"], ["Tasks"], ["Credits", "number"], ["Submitted"]];
  return [
    make("h2", {}, own ? "Your jobs" : "Public jobs"),
    own ? null : make("p", { class: "quiet" }, "Private jobs are shown to their owner: `anneal jobs --page` prints a link."),
    rows.length ? table("The newest first", columns, rows) : make("p", {}, "There are none."),
    pages(jobs.length < PAGE ? null : `#/jobs/${last.submitted}/${last.id}`),
  ];
}

// More curves than a person compares.
const CURVES_MAX = 48;

function curves(tasks) {
  const series = new Map();
  for (const task of tasks) for (const metric of task.verdict?.metrics || []) {
    if (!series.has(metric.name)) series.set(metric.name, []);
    series.get(metric.name).push(metric.value);
  }
  const drawn = [...series].slice(0, CURVES_MAX).map(([name, values]) => curve(name, values));
  const left = series.size - drawn.length;
  return left > 0 ? [...drawn, make("p", { class: "quiet" }, `${number(left)} more metrics are not drawn.`)] : drawn;
}

function attempt(attempt) {
  return make("li", {}, make("a", { href: `#/provider/${attempt.provider}` }, id(attempt.provider)), " ", attempt.device_class, " ", state(attempt.state));
}

function finding(fault) {
  const where = fault.finding === "operation" ? `step ${fault.step}, operation ${fault.operation} (${fault.name.slice(0, 64)})`
    : fault.finding === "commit" ? `step ${fault.step}` : "";
  return make("p", { class: "bad" }, `attempt ${fault.attempt.slice(0, 12)}: ${fault.finding} ${where}`,
    fault.expected ? make("span", { class: "id" }, ` expected ${fault.expected.slice(0, 16)}, found ${fault.found.slice(0, 16)}`) : null);
}

function place(task) {
  const many = task.place.workers > 1 && task.entry === "train" ? `, worker ${task.place.worker + 1}` : "";
  return task.entry === "train" || task.entry === "merge" ? `${task.entry} ${task.place.segment + 1}${many}` : task.entry;
}

async function job(name, from, query) {
  const view = await ask(`/v1/jobs/${name}?from=${Number(from) || 0}&tasks=${PAGE}${query}`);
  const { summary } = view, pictures = curves(view.tasks);
  const rows = view.tasks.map(task => [
    `${task.index} ${place(task)}`, state(task.state), make("ul", { class: "attempts" }, ...task.attempts.map(attempt)),
    task.verdict ? make("div", {}, task.verdict.by, " ", task.verdict.result ? id(task.verdict.result) : "guest failure",
      ...task.verdict.faults.map(finding)) : "–",
  ]);
  const nodes = [
    make("h2", {}, named(summary.name)), make("p", {}, state(summary.state), ` ${summary.tasks_done} of ${summary.tasks} tasks`),
    view.reason ? make("p", { class: "bad" }, make("bdi", {}, view.reason)) : null,
    facts([["Id", make("code", {}, summary.id)], ["Submitted", time(summary.submitted)], ["Ended", time(summary.ended)],
      ["Credits", `${number(summary.spent)} of at most ${number(summary.cap)}`],
      ...(view.end ? [["Result", make("code", {}, view.end.result)]] : [])]),
    pictures.length ? make("h3", {}, "Verified metrics") : null, make("div", { class: "charts" }, ...pictures),
    make("h3", {}, "Tasks"), table("Who ran them, and what was found", [["Task"], ["State"], ["Attempts"], ["Verdict"]], rows),
    pages(view.next ? `#/job/${name}/${view.next}` : null),
  ];
  return { nodes, revision: summary.ended ? null : view.revision };
}

async function providers(only, after) {
  const page = only ? { providers: [await ask(`/v1/providers/${only}`)] } : await ask(after ? `/v1/providers?after=${after}` : "/v1/providers");
  const found = page.providers;
  const rows = found.map(provider => [
    make("span", {}, make("a", { href: `#/provider/${provider.identity}` }, named(provider.name || "no name")), " ", id(provider.identity)),
    provider.paused ? make("span", { class: "bad" }, make("bdi", {}, provider.paused)) : make("span", { class: "good" }, "takes leases"),
    make("span", {}, ...provider.devices.map(device =>
      make("div", {}, named(device.name || device.class), `: ${device.class}, ${bytes(device.memory_bytes)}, ${number(Math.round(device.speed_gas_per_second / 1e6))} Mgas/s${device.software ? ", software" : ""}`))),
    `${number(provider.valid)} valid, ${number(provider.faulted)} faulted`, number(Math.round(provider.gas_verified / 1e9)), time(provider.seen),
  ]);
  const columns = [["Provider"], ["State"], ["Devices"], ["Results"], ["Verified Ggas", "number"], ["Seen"]];
  return [make("h2", {}, only ? "Provider" : "Providers"), rows.length ? table("Those seen last, first", columns, rows) : make("p", {}, "There are none."),
    pages(page.next ? `#/providers/${page.next}` : null)];
}

async function log() {
  const [health, about] = await Promise.all([ask("/v1/health"), ask("/v1/about")]);
  const page = await ask(`/v1/log?after=${Math.max(0, health.log_entries - 100)}&limit=100`);
  const head = page.heads[page.heads.length - 1];
  const rows = page.entries.slice().reverse().map(entry => {
    const { event, at, ...rest } = JSON.parse(entry.event);
    return [number(entry.sequence), time(entry.at), event, make("code", {}, make("bdi", {}, JSON.stringify(rest).slice(0, 400))), id(entry.hash)];
  });
  return [
    make("h2", {}, "Log"),
    facts([["Coordinator", make("code", {}, about.coordinator)], ["Entries", number(health.log_entries)],
      ["Last signed head", head ? make("code", {}, `${head.sequence} ${head.hash}`) : "none yet"], ["Signed", time(head?.at)]]),
    make("p", { class: "quiet" }, "`anneal audit` recomputes the whole chain and checks every signature."),
    table("The newest first", [["Entry", "number"], ["Time"], ["Event"], ["Content"], ["Hash"]], rows),
  ];
}

async function health() {
  const [health, about] = await Promise.all([ask("/v1/health"), ask("/v1/about")]);
  return [
    make("h2", {}, "Health"),
    facts([["State", health.ready ? make("span", { class: "good" }, "✓ takes commands") : make("span", { class: "bad" }, "✗ not ready")],
      ["Leader", `${health.leader ? "this process" : "another process"}, epoch ${health.epoch}`], ["Up for", `${number(health.uptime_seconds)} s`],
      ["Providers", `${number(health.providers_live)} of ${number(health.providers)} heard of within a minute`],
      ["Unfinished jobs", number(health.jobs_live)], ["Tasks not final", number(health.tasks_live)], ["Attempts on them", number(health.attempts_live)],
      ["Log entries", number(health.log_entries)], ["Version", about.versions.anneal], ["Coordinator", make("code", {}, about.coordinator)]]),
  ];
}

function pick(route) {
  const [, page, name, more] = route.split("/");
  if (page === "job") return query => job(name, more, query);
  const routes = { providers: () => providers(null, name), provider: () => providers(name), log, health };
  return async () => ({ nodes: await (routes[page] || (() => jobs(name, more)))(), revision: undefined });
}

// Shows a page and keeps it fresh: a job by waiting for its news, the others now and then.
async function show() {
  const mine = ++turn, route = location.hash.slice(1) || "/jobs", draw = pick(route);
  for (const link of document.querySelectorAll("nav a")) {
    const here = route.startsWith(link.hash.slice(1).replace(/s$/, ""));
    here ? link.setAttribute("aria-current", "page") : link.removeAttribute("aria-current");
  }
  let query = "";
  while (mine === turn) {
    let pause = 5000;
    try {
      const { nodes, revision } = await draw(query);
      if (mine !== turn) return;
      content.replaceChildren(...nodes.filter(Boolean));
      status.textContent = "";
      if (revision === null) return;
      if (revision !== undefined) { query = `&revision=${revision}&wait_ms=25000`; pause = 200; }
    } catch (error) {
      if (mine !== turn) return;
      status.textContent = `${shown(error.message)}. Trying again.`;
      if (content.textContent.startsWith("Loading")) content.replaceChildren();
    }
    await new Promise(done => setTimeout(done, pause));
  }
}

addEventListener("hashchange", () => { show(); content.focus(); });
show();
