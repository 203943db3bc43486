// @ts-check
/** What of the open graph would be sent to a peer: all of it, or what each Remote Dispatch node wants. Pure. */

/**
 * @typedef {{class_type?: string, inputs?: Record<string, unknown>}} PromptNode
 * @typedef {Record<string, PromptNode>} Prompt
 * @typedef {{prompt: Prompt, result?: [string, number], overrides?: string, peer?: string, tags?: string[], run?: boolean}} Question
 *   for POST /explain
 * @typedef {{id: string, upstream: string[], question: Question}} Part `id`: of the Remote Dispatch node, "" for the
 *   whole graph; `upstream`: the nodes that would run on the peer
 * @typedef {{type?: string, widgets?: {serializeValue?: unknown}[], subgraph?: Graph}} Box
 * @typedef {{nodes?: Box[]}} Graph
 */

export const REMOTE = "RemoteDispatch";
const AUTOMATIC = "automatic";
const TAG = "tag: ";
const NODES_MAX = 8; //: at most this many are asked about

/** @param {Prompt} prompt @param {boolean} fleetMode whether Run sends whole graphs @returns {Part[]} */
export function partsOf(prompt, fleetMode) {
  const remote = Object.keys(prompt).filter((id) => prompt[id].class_type === REMOTE);
  if (remote.length) return remote.slice(0, NODES_MAX).flatMap((id) => partOf(prompt, id) ?? []);
  return fleetMode && Object.keys(prompt).length ? [{ id: "", upstream: [], question: { prompt, run: true } }] : [];
}

/** What one Remote Dispatch node sends. @param {Prompt} prompt @param {string} id
 * @returns {Part | null} null where it waits for another one first: when that will be, nobody can tell */
function partOf(prompt, id) {
  const { value, overrides, peer } = prompt[id].inputs ?? {};
  const link = linkOf(value);
  const others = Object.keys(prompt).filter((each) => prompt[each].class_type !== REMOTE);
  const upstream = link ? upstreamOf(prompt, link[0]) : others;
  if (!upstream?.length) return null;
  /** @type {Question} */
  const question = { prompt: link ? Object.fromEntries(upstream.map((each) => [each, prompt[each]])) : prompt };
  if (link) question.result = link;
  if (typeof overrides === "string" && overrides.trim()) question.overrides = overrides;
  if (typeof peer === "string" && peer.startsWith(TAG)) question.tags = [peer.slice(TAG.length)];
  else if (typeof peer === "string" && peer !== AUTOMATIC) question.peer = peer;
  return { id, upstream, question };
}

/** A node and all it depends on, in the order of the prompt. @param {Prompt} prompt @param {string} id
 * @returns {string[] | null} null when a Remote Dispatch node is among them, or one that is not there */
function upstreamOf(prompt, id) {
  const found = new Set([id]);
  for (const each of found) {
    const node = prompt[each];
    if (!node || node.class_type === REMOTE) return null;
    for (const value of Object.values(node.inputs ?? {})) {
      const link = linkOf(value);
      if (link) found.add(link[0]);
    }
  }
  return Object.keys(prompt).filter((each) => found.has(each));
}

/** @param {unknown} value @returns {[string, number] | null} */
const linkOf = (value) =>
  Array.isArray(value) && value.length === 2 && Number.isInteger(value[1]) ? [String(value[0]), value[1]] : null;

/**
 * What the boxes on the canvas tell before the host makes a prompt of them.
 * `isRemote`: there is a Remote Dispatch node. `acts`: to make the prompt, some widget would record, take a picture
 * or upload: such ones have to be waited for.
 * @param {Graph | undefined} graph
 */
export function traitsOf(graph) {
  const traits = { isRemote: false, acts: false };
  const visit = (/** @type {Graph | undefined} */ part) => {
    for (const { type, widgets, subgraph } of part?.nodes ?? []) {
      if (type === REMOTE) traits.isRemote = true;
      if (widgets?.some(({ serializeValue }) => serializeValue?.constructor.name === "AsyncFunction")) traits.acts = true;
      visit(subgraph);
    }
  };
  visit(graph);
  return traits;
}
