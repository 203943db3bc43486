// @ts-check
/**
 * Boxes of classes that no machine had when the graph was opened. Registering the class later leaves them as
 * they are, without inputs to fill in; so once it is there the graph is put back as the host's own undo does it.
 */

const QUIET_AGAIN_MS = 500;

/**
 * @typedef {{type: string, subgraph?: Graph, last_serialization?: {type: string}}} GraphNode
 * @typedef {{nodes?: GraphNode[]}} Graph
 * @typedef {{activeState: object, captureCanvasState?(): void, checkState?(): void,
 *   updateState?(from: object[], to: object[]): Promise<void>}} Tracker the host's, of one open workflow
 * @typedef {{rootGraph?: Graph, graph?: Graph, canvas?: {pointer?: {isDown?: boolean}},
 *   extensionManager?: {workflow?: {activeWorkflow?: {changeTracker?: Tracker}}}}} App
 */

/** @param {App} app @param {(type: string) => boolean} isKnown whether the page has this class now */
export async function mendBoxes(app, isKnown, pause = QUIET_AGAIN_MS) {
  while (canBeMended(app, isKnown)) {
    if (!isBusy(app)) return putBack(app);
    await new Promise((resolve) => setTimeout(resolve, pause));
  }
}

/** @param {App} app @param {(type: string) => boolean} isKnown */
function canBeMended(app, isKnown) {
  // Its mark of an error comes and goes in some frontends (1.49.6); what it was made from stays.
  const isStandIn = (/** @type {GraphNode} */ node) =>
    Boolean(node.last_serialization && isKnown(node.last_serialization.type));
  const visit = (/** @type {Graph | undefined} */ graph) =>
    (graph?.nodes ?? []).some((node) => isStandIn(node) || visit(node.subgraph));
  return visit(app.rootGraph ?? app.graph);
}

/** Nothing is taken out of a user's hands: a box that is dragged, a text that is typed. @param {App} app */
function isBusy(app) {
  const at = /** @type {HTMLElement | null} */ (document.activeElement);
  return Boolean(app.canvas?.pointer?.isDown || at?.isContentEditable || at?.matches("input, textarea"));
}

/** The workflow keeps its tab, its view, its undo steps and whether it is saved. @param {App} app */
async function putBack(app) {
  const tracker = app.extensionManager?.workflow?.activeWorkflow?.changeTracker;
  if (!tracker?.updateState) return; // a host that works otherwise; its user opens the graph again
  if (tracker.captureCanvasState) tracker.captureCanvasState();
  else tracker.checkState?.();
  await tracker.updateState([tracker.activeState], []);
}
