// A ComfyUI api object over a scripted server: answers by "METHOD /route", and keeps what was asked.
export function peer(changes = {}) {
  return {
    id: "p1", name: "gpu-1", url: "http://gpu-1:8188", enabled: true, draining: false, tags: [],
    has_credentials: false, tls: "", health: "up", reason: "", version: "0.3.75", devices: [], queue_running: 0,
    queue_pending: 0, ours: 0, checked_at: null, node_types: null, ...changes,
  };
}

export function job(changes = {}) {
  return {
    job_id: "j1", state: "running", source: "node", title: "", pinned_to: "", peer_id: "p1", peer: "gpu-1", attempts: [],
    inputs: [], outputs: [], texts: [], error: null, explanation: "", progress: 0, progress_text: "",
    created_at: "2026-01-01T10:00:00.000Z", started_at: "2026-01-01T10:00:01.000Z", begun_at: "2026-01-01T10:00:02.000Z",
    ended_at: null, ...changes,
  };
}

/** What GET /jobs answers. @param {any[]} jobs newest first @param {{line?: string[], waiting?: number, ended?: number}} [more] */
export function listing(jobs, { line, waiting = 0, ended = 0 } = {}) {
  const waits = jobs.filter((each) => each.state === "waiting").map((each) => each.job_id);
  const running = jobs.filter((each) => each.state === "running").length;
  return {
    jobs,
    line: line ?? waits.reverse(),
    counts: { waiting: waits.length + waiting, running, ended: jobs.length - waits.length - running + ended },
  };
}

export function json(body, status = 200, headers = {}) {
  return new Response(JSON.stringify(body), { status, headers: { "Content-Type": "application/json", ...headers } });
}

/** @param {Record<string, (options: RequestInit) => Response | Promise<Response>>} answers */
export function comfy(answers) {
  const asked = [];
  return {
    asked,
    apiURL: (route) => `/api${route}`,
    async fetchApi(route, options) {
      const line = `${options.method} ${route}`;
      asked.push({ line, headers: options.headers, body: options.body && JSON.parse(options.body) });
      const answer = answers[line];
      if (!answer) throw new TypeError("Failed to fetch");
      return answer(options);
    },
  };
}

/** A promise that is settled from outside. */
export function later() {
  let resolve, reject;
  const promise = new Promise((yes, no) => {
    resolve = yes;
    reject = no;
  });
  return { promise, resolve, reject };
}
