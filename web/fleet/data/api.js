// @ts-check
/**
 * The Fleet tab's one way to the server: routes under /orchestrator, with the page's token.
 *
 * @typedef {{name: string, type: string, vram_total_bytes: number, vram_free_bytes: number}} Device
 * @typedef {"unknown" | "up" | "suspect" | "down" | "ejected" | "zombie" | "needs_key"} Health
 * @typedef {{id: string, name: string, url: string, enabled: boolean, draining: boolean, tags: string[],
 *   has_credentials: boolean, tls: string, health: Health, reason: string, version: string, devices: Device[],
 *   queue_running: number, queue_pending: number, ours: number, checked_at: string | null,
 *   node_types: number | null, running?: Running | null, exclusive?: boolean, only_idle?: boolean, hours?: string, relay_events?: boolean}} Peer
 * @typedef {{id: string, name: string, eligible: boolean, awaits?: boolean, reason: string, caution?: string, is_guess: boolean,
 *   origin: "here" | "elsewhere" | "shape" | "peer" | "fleet" | "nothing", start_s: number | null, load_s: number | null, run_s: number | null, finish_s: number | null,
 *   need_bytes?: number | null}} Forecast seconds from now
 * @typedef {{peers: Forecast[], paused: boolean, held: string, waiting: number, here?: string}} Explained soonest first
 * @typedef {{job_id: string | null, prompt_id: string, whose: "ours" | "others", title: string, node: string,
 *   progress: number | null}} Running
 * @typedef {{ok: boolean, seconds: number, node_types: number | null, models_only_there: number | null,
 *   message: string}} PeerTest
 * @typedef {{peer_id: string, peer: string, prompt_id: string, started_at: string, begun_at: string | null,
 *   loaded_at: string | null, ended_at: string | null, outcome: string, reason: string}} Attempt
 * @typedef {{node_id: string, filename: string, subfolder: string, type: string, url: string}} Output
 * @typedef {{id: string, index: number, changes: Record<string, unknown>}} BatchPlace of the jobs of one request
 * @typedef {{address: string, node_id: string, input: string, title: string, class_type: string, type: string,
 *   value: any, default: any, min: number | null, max: number | null, step: number | null, choices: any[] | null,
 *   multiline: boolean}} Parameter
 * @typedef {{address: string, values?: unknown[], seeds?: number, from?: number, to?: number, step?: number,
 *   count?: number, whole?: boolean}} Axis
 * @typedef {"waiting" | "running" | "done" | "failed" | "cancelled" | "set_aside"} JobState
 * @typedef {{job_id: string, state: JobState, source: string, title: string, pinned_to: string, retry_of?: string, client_id?: string, batch?: BatchPlace | null, held?: boolean,
 *   peer_id: string, peer: string, attempts: Attempt[], inputs?: {name: string, sha256: string}[], outputs: Output[], texts: string[], notes: string[],
 *   error: ({code: string, message: string} & Record<string, any>) | null, explanation: string, progress: number,
 *   progress_text: string, is_silent?: boolean, expected_s?: number | null, previews?: number, created_at: string, started_at: string | null, begun_at: string | null,
 *   ended_at: string | null}} Job
 * @typedef {"cancel" | "hold" | "release" | "first" | "last" | "pin" | "retry"} Action
 * @typedef {{done: string[], new: string[], refused: {job_id: string, message: string}[]}} Acted
 * @typedef {{waiting: number, running: number, ended: number}} Counts
 * @typedef {{jobs: Job[], line: string[], counts: Counts}} Jobs `line`: ids of waiting ones, the next first
 * @typedef {{fleet_mode: boolean, paused: boolean, this_machine: boolean,
 *   peer_nodes: boolean, retry_interrupted?: boolean, second_copies?: boolean,
 *   runs_here?: string[], runs_on_peers?: string[], accepted_hosts?: string[]}} Settings
 * @typedef {{before?: string, peer?: string}} Move before: a waiting job, "" for the end; peer: "" for any
 * @typedef {{header?: string, value: string} | {bearer: string} | {user: string, password: string} | {cookie: string} | {headers: Record<string, string>}} Credentials
 * @typedef {{url?: string, name?: string, tags?: string[], enabled?: boolean, draining?: boolean,
 *   credentials?: Credentials | null, tls?: string, exclusive?: boolean, only_idle?: boolean, hours?: string, relay_events?: boolean}} PeerChanges
 * @typedef {{fetchApi(route: string, options?: RequestInit): Promise<Response>,
 *   apiURL(route: string): string, clientId?: string}} ComfyApi
 */
import { t } from "./i18n.js";
import { inPieces } from "./paging.js";
import { RequestError } from "./request_error.js";
import { inWords, said } from "./said.js";

const HERE = globalThis.location?.origin ?? "1"; //: a proxy may hide from the server where the page was opened
const NOT_OURS = new Set(["bad_host", "bad_origin"]);

export class FleetApi {
  /** @type {ComfyApi} */
  #comfy;
  /** @type {Promise<string> | null} */
  #token = null;
  /** Server's clock minus ours, in ms: durations must not depend on the viewer's clock. */
  clockOffsetMs = 0;
  /** Whether the server takes this page for another site's. */
  isShutOut = false;
  /** What the server had to say at its start, such as a damaged file that it set aside. @type {string[]} */
  notices = [];
  /** When all that the fleet has should be done, by performance.now(). @type {number | null} */
  doneAt = null;

  /** @param {ComfyApi} comfy */
  constructor(comfy) {
    this.#comfy = comfy;
  }

  /** @returns {Promise<Peer[]>} */
  async peers() {
    const answer = await this.#request("GET", "/peers");
    this.hear(answer);
    return answer.peers;
  }

  /** What is told beside the peers. @param {{notices?: string[], rest_s?: number | null}} told */
  hear({ notices, rest_s: rest }) {
    this.notices = notices?.map(said) ?? this.notices;
    this.doneAt = typeof rest === "number" ? performance.now() + rest * 1000 : null;
  }

  /** The running jobs, the head of the queue and the last that ended. @param {number} limit @returns {Promise<Jobs>} */
  jobs(limit) {
    return inPieces((skip, count) => this.#request("GET", `/jobs?limit=${count}&skip=${skip}`), limit);
  }

  /** The order of the waiting jobs, without them. @param {number} limit @returns {Promise<Jobs>} */
  line = (limit) => this.#request("GET", `/jobs?limit=${limit}&only=line`);

  /** @param {string} since @returns {Promise<import("../monitor/work.js").Work>} */
  work = (since) => this.#request("GET", `/work?since=${encodeURIComponent(since)}`);

  /** @returns {Promise<import("./availability.js").Where>} */
  where = () => this.#request("GET", "/where");

  /** @returns {Promise<Settings>} */
  settings = () => this.#request("GET", "/settings");

  /** @returns {Promise<import("../peers/addresses.js").Known>} */
  addresses = () => this.#request("GET", "/addresses");

  /** @param {Partial<Settings>} changes @returns {Promise<Settings>} */
  changeSettings = (changes) => this.#change("PATCH", "/settings", changes);

  /** @param {PeerChanges} peer @returns {Promise<Peer>} as it is after its first answer */
  addPeer = (peer) => this.#change("POST", "/peers", peer);

  /** @param {string} id @param {PeerChanges} changes @returns {Promise<Peer>} */
  updatePeer(id, changes) {
    return this.#change("PATCH", `/peers/${encodeURIComponent(id)}`, changes);
  }

  removePeer = (/** @type {string} */ id) => this.#change("DELETE", `/peers/${encodeURIComponent(id)}`);

  /** @param {string} id @returns {Promise<Peer>} */
  checkPeer = (id) => this.#change("POST", `/peers/${encodeURIComponent(id)}/check`, {});

  /** Runs a tiny graph there: up to half a minute. @param {string} id @returns {Promise<PeerTest>} */
  testPeer = (id) => this.#change("POST", `/peers/${encodeURIComponent(id)}/test`, {});

  /** Ends what runs there. @param {string} id @param {{foreign?: boolean, prompt_id?: string}} what */
  interruptPeer(id, what) {
    return this.#change("POST", `/peers/${encodeURIComponent(id)}/interrupt`, what);
  }

  /** @param {string} id */
  freePeer(id) {
    return this.#change("POST", `/peers/${encodeURIComponent(id)}/free`, {});
  }

  /** @param {string} id @param {{peer?: string}} wishes @returns {Promise<{job_id: string}>} the new job */
  retryJob(id, wishes) {
    return this.#change("POST", `/jobs/${encodeURIComponent(id)}/retry`, { client_id: this.#comfy.clientId ?? null, ...wishes });
  }

  /** The picture of a running job. @param {Job} job */
  previewUrl(job) {
    return this.#comfy.apiURL(`/orchestrator/jobs/${encodeURIComponent(job.job_id)}/preview?n=${job.previews}`);
  }

  /** Does one thing to several jobs. @param {Action} action
   * @param {{job_ids?: string[], batch?: string, peer?: string}} to @returns {Promise<Acted>} */
  act = (action, to) => this.#change("POST", "/jobs/actions", { action, client_id: this.#comfy.clientId ?? null, ...to });

  /** Lets a waiting job, and others with it, run this instead.
   * @param {string} id @param {{prompt: object, workflow: object, name: string, also: string[]}} graph */
  editJob = (id, graph) => this.#change("POST", `/jobs/${encodeURIComponent(id)}/edit`, graph);

  cancelJob = (/** @type {string} */ id) => this.#change("POST", `/jobs/${encodeURIComponent(id)}/cancel`, {});

  /** Runs it on another peer too. @param {string} id @returns {Promise<Job>} */
  secondCopy = (id) => this.#change("POST", `/jobs/${encodeURIComponent(id)}/second_copy`, {});

  /** @param {string} id @param {Move} to */
  moveJob(id, to) {
    return this.#change("POST", `/jobs/${encodeURIComponent(id)}/move`, to);
  }

  /** What can be changed in a graph, the most wanted first. @param {object} prompt @returns {Promise<Parameter[]>} */
  async inspect(prompt) {
    return (await this.#change("POST", "/inspect", { prompt })).parameters;
  }

  /** What would become of this now. @param {import("../outlook/outlook_parts.js").Question} question
   * @returns {Promise<Explained>} */
  explain(question) {
    return this.#change("POST", "/explain", question);
  }

  /** The changes of each job that these values make. @param {{axes: Axis[], combine: string}} wish
   * @returns {Promise<Record<string, unknown>[]>} */
  async variations(wish) {
    return (await this.#change("POST", "/variations", wish)).variations;
  }

  /** This page hears of it as of its own runs. @param {object} request @returns {Promise<{job_ids: string[]}>} */
  submit = (request) => this.#change("POST", "/jobs", { client_id: this.#comfy.clientId ?? "", ...request });

  /** What a job was to run. @param {string} id @returns {Promise<{workflow: any, prompt: Record<string, any>}>} */
  graphOf = (id) => this.#request("GET", `/jobs/${encodeURIComponent(id)}/graph`);

  /** For somebody who helps: nothing private is in it. @param {string} id @returns {Promise<object>} */
  reportOf = (id) => this.#request("GET", `/jobs/${encodeURIComponent(id)}/report`);

  /** Where the browser fetches a result file. @param {string} path as the server gave it, "/view?…" */
  fileUrl(path) {
    return this.#comfy.apiURL(path);
  }

  /** @param {string} method @param {string} route @param {object} [body] */
  async #change(method, route, body) {
    const send = async () => this.#request(method, route, { "X-Orchestrator-Token": await this.#session() }, body);
    try {
      return await send();
    } catch (error) {
      if (!(error instanceof RequestError) || error.code !== "bad_token") throw error;
      this.#token = null; // ComfyUI was restarted since: its token has changed
      return send();
    }
  }

  #session() {
    this.#token ??= this.#request("GET", "/session").then(
      (answer) => answer.token,
      (error) => {
        this.#token = null;
        throw error;
      },
    );
    return this.#token;
  }

  /**
   * @param {string} method
   * @param {string} route
   * @param {Record<string, string>} [headers]
   * @param {object} [body]
   * @returns {Promise<any>}
   */
  async #request(method, route, headers = {}, body) {
    /** @type {RequestInit} */
    const options = { method, headers: { "X-Orchestrator-Page": HERE, ...headers } };
    if (method !== "GET") options.headers = { ...options.headers, "Content-Type": "application/json" };
    if (body !== undefined) options.body = JSON.stringify(body);
    let response;
    try {
      response = await this.#comfy.fetchApi(`/orchestrator${route}`, options);
    } catch {
      throw new RequestError(t("ComfyUI does not answer. Is it still running?"));
    }
    this.#noteClock(response);
    const answer = inWords(await response.json().catch(() => null));
    this.isShutOut = response.status === 403 && NOT_OURS.has(answer?.error);
    if (response.ok && (answer !== null || response.status === 204)) return answer ?? {};
    const message = answer?.message ?? t("ComfyUI answered with HTTP {status}. See its log.", { status: response.status });
    throw new RequestError(message, { code: answer?.error, status: response.status, field: answer?.field });
  }

  /** @param {Response} response */
  #noteClock(response) {
    const now = Date.parse(response.headers?.get("Date") ?? "");
    if (!Number.isNaN(now)) this.clockOffsetMs = now - Date.now();
  }
}
