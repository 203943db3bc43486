// @ts-check
/** What the open workflow is called: jobs are known by it. */

const NAMELESS = /^Unsaved Workflow/; //: what the host calls one that was never saved; an open template has its own name

/** @param {any} app the host's @returns {string} "" for one that nobody named */
export function workflowName(app) {
  const open = app.extensionManager?.workflow?.activeWorkflow;
  const name = String(open?.filename ?? "").replace(/\.json$/, "");
  return open?.isTemporary && NAMELESS.test(name) ? "" : name;
}
