"use strict";

// Fills the page by server-sent events. They are read with fetch, as an EventSource could not show the server's token.

const AGAIN_MS = 2000; // until the next stream, after one has ended
const SAMPLES = 240; // of the rate, two a second
const SHOWN = 100; // alerts
const SVG = { width: 240, height: 48 };
const alerts = new Map(); // rows by the alert's id
const opened = new Set(); // ids of those that somebody reads, while all are told anew
const samples = [];
let token = "";

const at = (id) => document.getElementById(id);

function made(tag, properties, ...children) {
  const element = Object.assign(document.createElement(tag), properties);
  element.append(...children);
  return element;
}

function facts(pairs) {
  return pairs.map(([name, value]) =>
    made("div", {}, made("dt", { textContent: name }), made("dd", { textContent: value })));
}

function items(texts) {
  return texts.map((text) => made("li", { textContent: text }));
}

function say(problem) {
  at("problem").textContent = problem;
  at("problem").hidden = !problem;
  document.body.classList.toggle("stale", Boolean(problem));
}

function drawRate() {
  const most = Math.max(1, ...samples);
  const step = SVG.width / (SAMPLES - 1);
  const first = SAMPLES - samples.length;
  const points = samples.map((value, place) =>
    `${((first + place) * step).toFixed(1)},${(SVG.height - 2 - (value / most) * (SVG.height - 4)).toFixed(1)}`);
  document.querySelector("#spark polyline").setAttribute("points", points.join(" "));
}

function showTops(tables) {
  at("tops").replaceChildren(...tables.map(({ title, headings, rows }) =>
    made("section", {},
      made("h2", { textContent: title }),
      made("div", { className: "scroll" },
        made("table", {},
          made("thead", {}, made("tr", {}, ...headings.map((name, place) =>
            made("th", { textContent: name, className: place ? "number" : "" })))),
          made("tbody", {}, ...rows.map((row) => made("tr", {}, ...row.map((cell, place) =>
            made("td", { textContent: cell, className: place ? "number" : "" }))))))))));
}

const on = {
  begin() {
    for (const [id, { row }] of alerts) opened[row.querySelector("details").open ? "add" : "delete"](id);
    alerts.clear();
    samples.length = 0;
    arrange();
  },
  state(state) {
    say(state.problem);
    at("sensor").textContent = state.sensor ? `${state.sensor}, model ${state.bundle}` : "waiting for the sensor";
    at("time").textContent = state.time;
    at("rates").replaceChildren(...facts(state.rates));
    at("accounts").replaceChildren(...facts(state.accounts));
    at("counts").replaceChildren(...facts(state.alerts));
    at("warnings").replaceChildren(...items(state.warnings));
    at("notes").replaceChildren(...items(state.notes));
    at("told").hidden = !state.notes.length;
    showTops(state.tops ?? []);
    if (!state.problem) {
      samples.push(state.packets_per_s);
      if (samples.length > SAMPLES) samples.shift();
      drawRate();
    }
  },
  alert(alert) {
    const before = alerts.get(alert.id);
    const open = before ? before.row.querySelector("details").open : opened.has(alert.id);
    alerts.set(alert.id, { alert, row: row(alert, open) });
    arrange();
  },
};

function row(alert, open) {
  const summary = made("summary", {},
    made("span", { className: "level", textContent: alert.level }),
    made("span", { className: "who", textContent: alert.who }),
    made("b", { textContent: alert.what }),
    made("span", { className: "again", textContent: alert.state }),
    made("time", { textContent: alert.when }),
    made("span", { className: "why" }, made("i", { textContent: alert.muted || alert.verdict }), `: ${alert.reason}`));
  const told = made("div", { className: "told" },
    made("p", { textContent: alert.meaning }),
    made("dl", { className: "facts" }, ...facts(alert.facts)),
    made("h4", { textContent: "What to do next" }),
    made("ol", {}, ...items(alert.next)));
  if (alert.reasons.length) {
    told.append(made("h4", { textContent: "Why: the flow that speaks strongest, against normal traffic" }),
      made("ul", {}, ...items(alert.reasons)));
  }
  return made("li", { className: alert.word }, made("details", { open }, summary, told));
}

// Rows that stay where they are are not touched: what somebody reads or has chosen there remains.
function arrange() {
  const newest = [...alerts.values()].sort((a, b) => b.alert.moved - a.alert.moved);
  for (const { alert } of newest.slice(SHOWN)) alerts.delete(alert.id);
  const rows = newest.slice(0, SHOWN).map(({ row }) => row);
  const list = at("alerts");
  for (const old of [...list.children]) if (!rows.includes(old)) old.remove();
  rows.forEach((each, place) => {
    if (list.children[place] !== each) list.insertBefore(each, list.children[place] ?? null);
  });
  list.hidden = !rows.length;
  at("none").hidden = Boolean(rows.length);
}

function take(text) {
  let name = "";
  const data = [];
  for (const line of text.split("\n")) {
    if (line.startsWith("event: ")) name = line.slice(7);
    else if (line.startsWith("data: ")) data.push(line.slice(6));
  }
  if (Object.hasOwn(on, name)) on[name](JSON.parse(data.join("\n")));
}

async function follow() {
  const headers = token ? { Authorization: `Bearer ${token}` } : {};
  const answer = await fetch("/live/events", { headers, cache: "no-store" });
  if (answer.status === 401) {
    at("token").hidden = false;
    say(token ? "this is not the token of this server" : "");
    return false;
  }
  if (!answer.ok) {
    say((await answer.json()).detail);
    return true;
  }
  at("token").hidden = true;
  const reader = answer.body.pipeThrough(new TextDecoderStream()).getReader();
  let rest = "";
  for (;;) {
    const { done, value } = await reader.read();
    if (done) return true;
    const parts = (rest + value).split("\n\n");
    rest = parts.pop();
    parts.forEach(take);
  }
}

async function run() {
  for (;;) {
    try {
      if (!(await follow())) return;
    } catch {
      say("this page's server does not answer");
    }
    await new Promise((resolve) => setTimeout(resolve, AGAIN_MS));
  }
}

at("token").addEventListener("submit", (event) => {
  event.preventDefault();
  token = at("key").value;
  at("token").hidden = true; // until it is found to be wrong: one stream is enough
  run();
});
run();
