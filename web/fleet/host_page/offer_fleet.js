// @ts-check
/** What Run says when this machine lacks what a peer has: one message, and the fleet one press away. */
import { h, openDialog } from "../ui/dom.js";
import { t } from "../data/i18n.js";

/**
 * @typedef {import("../data/availability.js").Lack} Lack
 * @typedef {{output: Record<string, import("../data/availability.js").PromptNode>}} PromptData
 * @typedef {(number: number, data: PromptData, options?: object) => Promise<any>} QueuePrompt
 * @typedef {{queuePrompt: QueuePrompt, fetchApi(route: string, options?: RequestInit): Promise<Response>}} HostApi
 */

/**
 * Stands before the host's way of sending a prompt; all that does not concern us goes through as ever.
 * @param {HostApi} api
 * @param {import("../data/availability.js").Availability} table
 * @param {() => boolean} fleetMode whether Run goes to the fleet anyway
 * @param {(lacks: Lack[]) => Promise<boolean>} ask whether a person wants it run on the fleet
 */
export function offerFleet(api, table, fleetMode, ask = askPerson) {
  const send = api.queuePrompt;
  api.queuePrompt = async function queuePrompt(number, data, options) {
    try {
      return await send.call(this, number, data, options);
    } catch (error) {
      const lacks = fleetMode() ? [] : refusedFor(error, table.lacking(data.output));
      if (!lacks.length || !(await ask(lacks))) throw error;
      return send.call(onFleet(api), number, data, options);
    }
  };
}

/** Those of `lacks` that the refusal is about; none when it is about anything else too.
 * @param {any} error @param {Lack[]} lacks @returns {Lack[]} */
function refusedFor(error, lacks) {
  const refusal = error?.response;
  if (!refusal || typeof refusal !== "object") return [];
  const guilty = Object.entries(refusal.node_errors ?? {});
  const kinds = guilty.flatMap(([, of]) => (of?.errors ?? []).map((/** @type {any} */ each) => each.type));
  if (kinds.some((kind) => kind !== "value_not_in_list")) return [];
  if (guilty.length) return lacks.filter(({ nodeId }) => guilty.some(([id]) => id === nodeId));
  return ["invalid_prompt", "missing_node_type"].includes(refusal.error?.type) ? lacks : [];
}

/** The host's api, whose prompts go to the fleet. @param {HostApi} api @returns {HostApi} */
function onFleet(api) {
  return Object.create(api, {
    fetchApi: {
      value: (/** @type {string} */ route, /** @type {RequestInit} */ options) => {
        const body = JSON.parse(String(options.body));
        body.extra_data = { ...body.extra_data, orchestrator: { ...body.extra_data?.orchestrator, run: "fleet" } };
        return api.fetchApi(route, { ...options, body: JSON.stringify(body) });
      },
    },
  });
}

/** @param {Lack[]} lacks @returns {Promise<boolean>} */
export function askPerson(lacks) {
  return new Promise((resolve) => {
    const names = [...new Set(lacks.map(({ what }) => what))];
    const few = names.length > 3 ? `${names.slice(0, 2).join(", ")} ${t("and {count} more", { count: names.length - 2 })}` : names.join(", ");
    const rows = lacks.map(({ nodeId, what, peers }) =>
      h("li", {}, h("b", {}, what), ` ${t("(node {id}): {peers}", { id: nodeId, peers: peers.join(", ") })}`));
    const list = h("ul", { id: "orc-elsewhere-list", hidden: true }, ...rows);
    const show = h("button", {
      type: "button", class: "orc-button", "aria-expanded": "false", "aria-controls": list.id,
      onclick: () => {
        list.hidden = !list.hidden;
        show.setAttribute("aria-expanded", String(!list.hidden));
      },
    }, t("Show which peers have it"));
    const run = h("button", {
      type: "button", class: "orc-button orc-primary", autofocus: true, onclick: () => dialog.close("fleet"),
    }, t("Run on the fleet"));
    const leave = h("button", { type: "button", class: "orc-button", onclick: () => dialog.close("") }, t("Not now"));
    const dialog = h("dialog", {
      class: "orc-dialog", "aria-labelledby": "orc-elsewhere-title", "aria-describedby": "orc-elsewhere-text",
    },
    h("h2", { id: "orc-elsewhere-title" }, t("Only the fleet can run this graph")),
    h("p", { id: "orc-elsewhere-text" }, t("This machine lacks {what}.", { what: few })),
    list,
    h("div", { class: "orc-actions" }, run, show, leave));
    dialog.addEventListener("close", () => {
      dialog.remove();
      resolve(dialog.returnValue === "fleet");
    });
    openDialog(dialog);
  });
}
