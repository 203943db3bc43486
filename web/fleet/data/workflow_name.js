// @ts-check
/** What the open workflow is called: jobs are known by it. */

/** @param {any} app the host's @returns {string} "" for one that was never saved */
export function workflowName(app) {
  const open = app.extensionManager?.workflow?.activeWorkflow;
  return !open || open.isTemporary ? "" : String(open.filename ?? "").replace(/\.json$/, "");
}
