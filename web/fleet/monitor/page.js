// @ts-check
/** The monitor as a page of its own. ComfyUI's own page loads this file too, and there it does nothing. */
import { FleetApi } from "../data/api.js";
import { t, useLanguage } from "../data/i18n.js";
import { FleetStore } from "../data/store.js";
import { HostEvents } from "./host_events.js";
import { mount } from "./monitor.js";

//: This file is <base>/extensions/<our folder>/fleet/monitor/page.js, wherever a proxy serves ComfyUI.
const BASE = new URL("../../../../", import.meta.url);

/** @param {string} path "/orchestrator/…" or "/view?…" */
const apiURL = (path) => `${BASE.pathname}api${path}`;

/** @param {HTMLElement} place */
async function start(place) {
  await useLanguage(await chosenLanguage());
  document.title = `${t("Monitor")} · Remote Dispatch`;
  const api = new FleetApi({ apiURL, fetchApi: (route, options) => fetch(apiURL(route), { cache: "no-cache", ...options }) });
  const store = new FleetStore(api);
  const events = new HostEvents(`${BASE.href.replace(/^http/, "ws")}ws`);
  store.listen(events);
  mount(place, { api, store }, "h1");
  events.connect();
  await store.readSettings();
}

/** What ComfyUI's own page is set to. @returns {Promise<string>} */
async function chosenLanguage() {
  try {
    const headers = { "Comfy-User": localStorage.getItem("Comfy.userId") ?? "" };
    const settings = await (await fetch(apiURL("/settings"), { headers })).json();
    return String(settings["Comfy.Locale"] ?? navigator.language);
  } catch {
    return navigator.language;
  }
}

const place = document.getElementById("remote-dispatch-monitor");
if (place) start(place);
