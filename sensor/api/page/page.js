"use strict";

// Upload with progress; then sorting, searching and paging of the alerts that came back. Without it the page works, too.

const PAGE_ROWS = 20;
const ORDERS = [
  ["worst first", (a, b) => number(a, "rank") - number(b, "rank")],
  ["newest first", (a, b) => number(b, "moved") - number(a, "moved")],
  ["oldest first", (a, b) => number(a, "began") - number(b, "began")],
  ["most flows first", (a, b) => number(b, "flows") - number(a, "flows")],
  ["by source", (a, b) => a.dataset.source.localeCompare(b.dataset.source, "en", { numeric: true })],
  ["by what it is", (a, b) => a.dataset.what.localeCompare(b.dataset.what, "en")],
];

function number(row, name) {
  return Number(row.dataset[name]);
}

function made(tag, properties, ...children) {
  const element = Object.assign(document.createElement(tag), properties);
  element.append(...children);
  return element;
}

function manageAlerts() {
  const list = document.querySelector("#alerts");
  if (!list) return;
  const rows = [...list.children];
  const texts = new Map(rows.map((row) => [row, row.textContent.toLowerCase()]));
  let first = 0;
  const order = made("select", {}, ...ORDERS.map(([words], place) => new Option(words, place)));
  const search = made("input", { type: "search", placeholder: "address, port, name …", size: 22 });
  const back = made("button", { type: "button", textContent: "Previous" });
  const forth = made("button", { type: "button", textContent: "Next" });
  const where = made("output", {});
  const show = () => {
    const wanted = search.value.trim().toLowerCase();
    const found = rows.filter((row) => texts.get(row).includes(wanted)).sort(ORDERS[order.value][1]);
    first = Math.min(first, Math.max(0, Math.floor((found.length - 1) / PAGE_ROWS)) * PAGE_ROWS);
    const shown = found.slice(first, first + PAGE_ROWS);
    list.replaceChildren(...shown);
    list.start = first + 1;
    const to = first + shown.length;
    where.textContent = found.length ? `${first + 1} to ${to} of ${found.length}` : "none";
    back.disabled = first === 0;
    forth.disabled = to >= found.length;
  };
  const turn = (rowsOn) => {
    first += rowsOn;
    show();
  };
  order.addEventListener("change", () => turn(-first));
  search.addEventListener("input", () => turn(-first));
  back.addEventListener("click", () => turn(-PAGE_ROWS));
  forth.addEventListener("click", () => turn(PAGE_ROWS));
  const bar = made("div", { className: "bar" });
  bar.append(made("label", {}, "Order ", order), made("label", {}, "Search ", search), back, where, forth);
  list.before(bar);
  show();
}

function manageForm() {
  const form = document.querySelector("form");
  form.addEventListener("submit", (event) => {
    if (!form.file.files.length) return;
    event.preventDefault();
    send(form);
  });
}

function send(form) {
  const button = form.querySelector("button");
  const bar = made("progress", { max: 1, value: 0 });
  const words = made("output", {});
  const cancel = made("button", { type: "button", textContent: "Cancel" });
  const shown = made("div", { className: "bar" }, bar, words, cancel);
  form.querySelector(".bar")?.remove();
  form.append(shown);
  button.disabled = true;
  const began = Date.now();
  let clock = 0;
  const request = new XMLHttpRequest();
  const end = (why) => {
    clearInterval(clock);
    button.disabled = false;
    shown.replaceChildren(why);
  };
  request.open("POST", form.getAttribute("action"));
  request.responseType = "document";
  request.upload.addEventListener("progress", (event) => {
    bar.value = event.loaded / event.total;
    words.textContent = `${Math.floor(100 * bar.value)} % of ${(event.total / 1e6).toFixed(1)} MB sent`;
  });
  request.upload.addEventListener("load", () => {
    bar.removeAttribute("value");
    const tell = () => {
      words.textContent = `reading it, ${Math.round((Date.now() - began) / 1000)} s`;
    };
    tell();
    clock = setInterval(tell, 1000);
  });
  request.addEventListener("load", () => {
    clearInterval(clock);
    if (!request.response?.body) {
      end(`the server answered with ${request.status} and no page`);
      return;
    }
    document.title = request.response.title;
    document.body.replaceWith(document.adoptNode(request.response.body));
    begin();
    window.scrollTo(0, 0);
  });
  request.addEventListener("error", () => end("the server did not answer, or refused the file before it had all of it"));
  request.addEventListener("abort", () => end("cancelled"));
  cancel.addEventListener("click", () => request.abort());
  request.send(new FormData(form));
}

function begin() {
  manageForm();
  manageAlerts();
}

begin();
