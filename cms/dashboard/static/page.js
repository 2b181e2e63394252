"use strict";
// The live view. Reads the API with the page's own session; every text from outside goes into
// textContent, never into markup.

const csrf = document.querySelector("meta[name=csrf]").content;
const mayOperate = document.querySelector("main").dataset.operate === "yes";
const sites = new Map();
const evses = new Map(); // "charger/number" -> tile and state
const sessions = new Map();

const byId = (id) => document.getElementById(id);

function element(tag, className, text) {
  const made = document.createElement(tag);
  if (className) made.className = className;
  if (text !== undefined) made.textContent = text;
  return made;
}

async function api(path, options = {}) {
  const answer = await fetch("/api/v1" + path, {
    ...options,
    headers: { "X-CSRF-Token": csrf, "Content-Type": "application/json" },
  });
  if (answer.status === 401) location.assign("/login");
  if (!answer.ok) throw new Error((await answer.json()).detail || answer.status);
  return answer.json();
}

const clock = (text) =>
  text ? new Date(text).toLocaleString([], { dateStyle: "short", timeStyle: "medium" }) : "";
const kwh = (wh) => (wh / 1000).toFixed(3);
const kw = (w) => (w === null || w === undefined ? "" : (w / 1000).toFixed(1));

function drawTile(state) {
  const key = `${state.charger}/${state.number}`;
  const known = evses.get(key);
  if (!known) return;
  known.state = { ...known.state, ...state };
  known.tile.className = `evse ${state.status}`;
  known.tile.title = state.error || `${state.status}, ${state.presence}`;
  const running = state.session;
  known.text.textContent = running
    ? `${kwh(running.energy_wh)} kWh ${kw(running.power_w)}`
    : state.status;
}

function drawSites(found) {
  const place = byId("sites");
  if (!found.length) return;
  place.replaceChildren();
  evses.clear();
  for (const site of found) {
    sites.set(site.id, site);
    const card = element("div", "site");
    card.append(element("h3", "", site.name), element("p", "", `${site.address}, ${site.city}`));
    const tiles = element("div", "evses");
    for (const charger of site.chargers) {
      for (const evse of charger.evses) {
        const tile = element("div", "evse");
        const text = element("span", "");
        tile.append(element("b", "", evse.uid), text);
        tiles.append(tile);
        evses.set(`${charger.id}/${evse.number}`, { tile, text, state: evse });
        drawTile({ ...evse, charger: charger.id });
      }
    }
    card.append(tiles);
    place.append(card);
  }
}

function drawSessions() {
  const body = document.querySelector("#sessions tbody");
  body.replaceChildren();
  const running = [...sessions.values()].sort((a, b) => (a.started_at < b.started_at ? 1 : -1));
  for (const each of running) {
    const row = element("tr");
    const site = sites.get(each.site);
    for (const text of [
      clock(each.started_at), site ? site.name : each.site, `${each.charger}/${each.evse}`,
      each.partner || "own", each.contract || each.id_token,
    ]) row.append(element("td", "", text));
    row.append(
      element("td", "num", kwh(each.energy_wh)), element("td", "num", kw(each.power_w)),
      element("td", "", each.status),
    );
    const cell = element("td");
    if (mayOperate && (each.status === "active" || each.status === "pending")) {
      const stop = element("button", "quiet", "Stop");
      stop.addEventListener("click", async () => {
        stop.disabled = true;
        try {
          stop.textContent = (await api(`/sessions/${encodeURIComponent(each.id)}/stop`,
            { method: "POST", body: "{}" })).outcome;
        } catch (error) { stop.textContent = error.message; }
      });
      cell.append(stop);
    }
    row.append(cell);
    body.append(row);
  }
}

function drawFigures() {
  const states = [...evses.values()].map((each) => each.state);
  const online = new Set(
    [...evses.entries()].filter(([, each]) => each.state.presence === "online")
      .map(([key]) => key.slice(0, key.lastIndexOf("/"))));
  byId("f-online").textContent = online.size;
  byId("f-charging").textContent = states.filter((each) => each.status === "charging").length;
  const power = [...sessions.values()].reduce((sum, each) => sum + (each.power_w || 0), 0);
  byId("f-power").textContent = (power / 1000).toFixed(1);
}

async function loadBills() {
  const found = await api("/cdrs?limit=10");
  const body = document.querySelector("#bills tbody");
  body.replaceChildren();
  for (const each of found.cdrs) {
    const row = element("tr");
    const site = sites.get(each.site);
    for (const text of [clock(each.ended_at), site ? site.name : each.site,
      `${each.charger}/${each.evse}`, each.partner || "own"]) row.append(element("td", "", text));
    for (const text of [kwh(each.energy_wh), each.total_net, each.total_tax,
      `${each.total_gross} ${each.currency}`]) row.append(element("td", "num", text));
    body.append(row);
  }
}

async function loadSums() {
  const day = new Date().toLocaleDateString("sv");
  const found = await api(`/sums?first=${day}&last=${day}`);
  const energy = found.reduce((sum, each) => sum + each.energy_wh, 0);
  const totals = new Map();
  for (const each of found) {
    totals.set(each.currency, (totals.get(each.currency) || 0) + Number(each.gross));
  }
  byId("f-energy").textContent = (energy / 1000).toFixed(1);
  byId("f-revenue").textContent =
    [...totals].map(([code, sum]) => `${sum.toFixed(2)} ${code}`).join(" + ") || "0";
}

async function loadWork() {
  if (!mayOperate) return;
  const found = await api("/work-items?limit=100");
  const figure = byId("f-work");
  figure.textContent = found.length;
  figure.parentElement.classList.toggle("some", found.length > 0);
  byId("work-section").hidden = found.length === 0;
  const body = document.querySelector("#work tbody");
  body.replaceChildren();
  for (const each of found) {
    const row = element("tr");
    for (const text of [clock(each.opened_at), each.type.replaceAll("_", " "), each.subject,
      each.charger || ""]) row.append(element("td", "", text));
    body.append(row);
  }
}

async function loadAll() {
  const list = await api("/sites");
  const whole = await Promise.all(
    list.map((each) => api(`/sites/${encodeURIComponent(each.id)}`)));
  drawSites(whole);
  sessions.clear();
  for (const each of (await api("/sessions?running=true&limit=200")).sessions) {
    sessions.set(each.id, each);
  }
  drawSessions();
  drawFigures();
  await Promise.all([loadBills(), loadSums(), loadWork()]);
}

let later = null;
function soon() { // bills and sums follow sessions; once a second is enough for eyes
  if (later) return;
  later = setTimeout(async () => {
    later = null;
    try { await Promise.all([loadBills(), loadSums(), loadWork()]); } catch { /* next change */ }
  }, 1000);
}

function follow() {
  const source = new EventSource("/api/v1/events");
  const link = byId("link");
  source.onopen = () => { link.textContent = "live"; link.className = "link live"; };
  source.onerror = () => { link.textContent = "reconnecting"; link.className = "link"; };
  source.addEventListener("evse", (event) => {
    drawTile(JSON.parse(event.data));
    drawFigures();
  });
  source.addEventListener("session", (event) => {
    const each = JSON.parse(event.data);
    if (["completed", "invalid"].includes(each.status)) sessions.delete(each.id);
    else sessions.set(each.id, each);
    const known = evses.get(`${each.charger}/${each.evse}`);
    if (known && known.state.status === "charging") {
      drawTile({ ...known.state, charger: each.charger, number: each.evse, session: each });
    }
    drawSessions();
    drawFigures();
    soon();
  });
  source.addEventListener("bill", soon);
  source.addEventListener("refresh", loadAll);
}

loadAll().then(follow);
setInterval(loadAll, 60000); // whatever a lost event hid shows within a minute
