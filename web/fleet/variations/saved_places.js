// @ts-check
/** Where the page's saved workflow keeps the value of each parameter. */

const FROM_OUTSIDE = "-10"; //: where links begin that come through an input of the subgraph; newer hosts say it as text

/**
 * @typedef {{nodes: any[], definitions?: {subgraphs?: any[]}}} Saved as the page saves it
 * @typedef {[string, number]} Place a node ("9:4" is in the subgraph of node 9), and which of its values
 */

/**
 * A parameter that has no place of its own in the file is left out: one that a link feeds, and one in a subgraph
 * that has several instances, which share what stands in it.
 * @param {Saved} workflow
 * @param {any} graph the live root graph: it alone knows the names of widgets
 * @param {string[]} addresses such as "9:4.seed" @returns {Record<string, Place>}
 */
export function placesOf(workflow, graph, addresses) {
  /** @type {Record<string, Place>} */
  const places = {};
  for (const address of addresses) {
    const dot = address.indexOf(".");
    const place = placeOf(workflow, graph, address.slice(0, dot).split(":"), address.slice(dot + 1));
    if (place) places[address] = place;
  }
  return places;
}

/** @param {Saved} workflow @param {any} root @param {string[]} path @param {string} name @returns {Place | null} */
function placeOf(workflow, root, path, name) {
  const hosts = path.slice(0, -1);
  const graph = hosts.reduce((/** @type {any} */ within, id) => nodeIn(within, id)?.subgraph, root);
  const node = nodeIn(graph, path[path.length - 1]);
  const index = node?.widgets?.findIndex((/** @type {any} */ widget) => widget.name === name) ?? -1;
  if (index < 0) return null;
  const socket = node.inputs?.find((/** @type {any} */ input) => input.widget?.name === name && input.link !== null);
  const link = socket && (graph.getLink?.(socket.link) ?? graph.links?.[socket.link]);
  if (link && String(link.origin_id) === FROM_OUTSIDE) {
    const promoted = graph.inputs?.[link.origin_slot]?.name;
    return promoted ? placeOf(workflow, root, hosts, promoted) : null;
  }
  const source = link && nodeIn(graph, link.origin_id);
  if (source) return source.type === "PrimitiveNode" ? found(workflow, [...hosts, String(source.id)], 0) : null;
  return found(workflow, path, node.subgraph ? ownIndex(node, name) : index);
}

/** An instance saves the values of its inputs only, in their order. @param {any} node @param {string} name */
const ownIndex = (node, name) =>
  node.inputs.flatMap((/** @type {any} */ input) => input.widget?.name ?? []).indexOf(name);

/** @param {any} graph @param {string | number} id */
const nodeIn = (graph, id) => graph?.getNodeById(Number(id)) ?? graph?.getNodeById(id);

/** The place, if the file has a value there for this node alone.
 * @param {Saved} workflow @param {string[]} path @param {number} index @returns {Place | null} */
function found(workflow, path, index) {
  const subgraphs = workflow.definitions?.subgraphs ?? [];
  const everywhere = [workflow, ...subgraphs].flatMap((graph) => graph.nodes ?? []);
  let nodes = workflow.nodes;
  for (const host of path.slice(0, -1)) {
    const kind = nodes.find((node) => String(node.id) === host)?.type;
    if (everywhere.filter((node) => node.type === kind).length !== 1) return null;
    nodes = subgraphs.find((subgraph) => subgraph.id === kind)?.nodes ?? [];
  }
  const saved = nodes.find((node) => String(node.id) === path[path.length - 1]);
  return Array.isArray(saved?.widgets_values) && index in saved.widgets_values ? [path.join(":"), index] : null;
}
