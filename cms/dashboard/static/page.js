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

// A moment in the time of the site where it happened; the reader's own for what has no site.
function clock(text, site) {
  if (!text) return "";
  const zone = sites.get(site)?.time_zone;
  return new Date(text).toLocaleString("sv", zone ? { timeZone: zone } : {}).slice(5);
}

// Money is decimal text; it is added digit by digit, never as floating point.
const SCALE = 4;
const units = (text) => {
  const [whole, part = ""] = text.replace("-", "").split(".");
  const size = BigInt(whole + part.padEnd(SCALE, "0"));
  return text.startsWith("-") ? -size : size;
};
function money(sum) {
  const digits = (sum < 0n ? -sum : sum).toString().padStart(SCALE + 1, "0");
  const cut = digits.length - SCALE;
  const whole = digits.slice(0, cut).replace(/\B(?=(\d{3})+$)/g, "\u2009");
  return (sum < 0n ? "-" : "") + whole + "." + digits.slice(cut, cut + 2);
}

const kwh = (wh) => (wh / 1000).toFixed(3);
const kw = (w) => (w === null || w === undefined ? "" : (w / 1000).toFixed(1));

function drawTile(state) {
  const key = `${state.charger}/${state.number}`;
  const known = evses.get(key);
  if (!known) return;
  known.state = { ...known.state, ...state };
  known.tile.className = `evse ${state.status}`;
  const shown = known.state;
  known.tile.title = shown.error || `${shown.status}, ${shown.presence}`;
  known.tile.classList.toggle("away", shown.presence !== "online");
  const running = state.session && sessions.has(state.session.id) ? state.session : shown.session;
  known.text.textContent = running && shown.status === "charging"
    ? `${kwh(running.energy_wh)} kWh${running.power_w ? ` \u00b7 ${kw(running.power_w)} kW` : ""}`
    : shown.status;
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
    const chargers = [...site.chargers].sort((a, b) =>
      a.id.localeCompare(b.id, undefined, { numeric: true }));
    for (const charger of chargers) {
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
  byId("no-sessions").hidden = running.length > 0;
  for (const each of running) {
    const row = element("tr");
    const site = sites.get(each.site);
    for (const text of [
      clock(each.started_at, each.site), site ? site.name : each.site,
      `${each.charger}/${each.evse}`, each.partner || "own", each.contract || each.id_token,
    ]) row.append(element("td", "", text));
    const status = element("td");
    status.append(element("span", `pill ${each.status}`, each.status));
    row.append(element("td", "num strong", kwh(each.energy_wh)),
      element("td", "num", kw(each.power_w)), status);
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
    for (const text of [clock(each.ended_at, each.site), site ? site.name : each.site,
      `${each.charger}/${each.evse}`, each.partner || "own"]) row.append(element("td", "", text));
    for (const text of [kwh(each.energy_wh), each.total_net, each.total_tax])
      row.append(element("td", "num", text));
    row.append(element("td", "num strong", `${each.total_gross} ${each.currency}`));
    body.append(row);
  }
  byId("no-bills").hidden = found.cdrs.length > 0;
}

// Today is each site's own calendar day, as the sums are cut.
async function loadSums() {
  const today = new Map([...sites.values()].map((site) =>
    [site.id, new Date().toLocaleDateString("sv", { timeZone: site.time_zone })]));
  const days = [...today.values()].sort();
  if (!days.length) return;
  const found = await api(`/sums?first=${days[0]}&last=${days[days.length - 1]}`);
  const mine = found.filter((each) => each.day === today.get(each.site));
  const energy = mine.reduce((sum, each) => sum + each.energy_wh, 0);
  const totals = new Map();
  for (const each of mine) {
    totals.set(each.currency, (totals.get(each.currency) || 0n) + units(each.gross));
  }
  byId("f-energy").textContent = (energy / 1000).toFixed(1);
  byId("f-revenue").textContent =
    [...totals].map(([code, sum]) => `${money(sum)} ${code}`).join(" + ") || "0";
}

async function loadWork() {
  if (!mayOperate) return;
  const most = 100;
  const found = await api(`/work-items?limit=${most}`);
  const figure = byId("f-work");
  figure.textContent = found.length < most ? found.length : `${most}+`;
  figure.parentElement.classList.toggle("some", found.length > 0);
  byId("work-section").hidden = found.length === 0;
  const body = document.querySelector("#work tbody");
  body.replaceChildren();
  for (const each of found.slice(-10).reverse()) {
    const row = element("tr");
    const why = each.evidence.why || each.evidence.explanation || each.subject;
    for (const text of [clock(each.opened_at, each.site), each.type.replaceAll("_", " "),
      each.charger || "", why]) row.append(element("td", "", text));
    body.append(row);
  }
}

async function loadSessions() {
  const found = (await api("/sessions?running=true&limit=200")).sessions;
  sessions.clear();
  for (const each of found) {
    sessions.set(each.id, each);
    const known = evses.get(`${each.charger}/${each.evse}`);
    if (known) drawTile({ ...known.state, charger: each.charger, number: each.evse, session: each });
  }
  drawSessions();
  drawFigures();
}

async function loadAll() {
  const list = await api("/sites");
  const whole = await Promise.all(
    list.map((each) => api(`/sites/${encodeURIComponent(each.id)}`)));
  drawSites(whole);
  await Promise.all([loadSessions(), loadBills(), loadSums(), loadWork()]);
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
  source.onopen = () => { // look again once events flow, so that nothing falls in between
    link.textContent = "live";
    link.className = "link live";
    loadAll().catch(() => {});
  };
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
    if (known && sessions.has(each.id)) {
      drawTile({ ...known.state, charger: each.charger, number: each.evse, session: each });
    }
    drawSessions();
    drawFigures();
    soon();
  });
  source.addEventListener("bill", soon);
  source.addEventListener("refresh", () => loadAll().catch(() => {}));
}

follow();
// Events tell of progress every 15 s (as partners hear it); eyes want to see the kWh move.
setInterval(() => {
  if (!document.hidden) loadSessions().catch(() => {});
}, 2000);
setInterval(() => loadAll().catch(() => {}), 60000); // whatever a lost event hid shows within a minute
