// @ts-check
/** What each peer did since some moment, as the server counts it; read again while jobs end. */

/** @typedef {{peer_id: string, peer: string, done: number, failed: number, busy_s: number, busy: number[], failures: number[]}} PeerWork
 * @typedef {{since: string, until: string, peers: PeerWork[]}} Work */

export const TODAY = 0; //: in place of a number of hours
const AFTER_ONE_MS = 1500; //: after a job ended, which mostly is not alone
const EVERY_MS = 5000; //: at most
const AT_LEAST_EVERY_MS = 60_000; //: what runs counts too

/** When a while begins. @param {number} hours or TODAY @param {number} nowMs @returns {number} ms since 1970 */
export function beginOf(hours, nowMs) {
  if (hours !== TODAY) return nowMs - hours * 3_600_000;
  const midnight = new Date(nowMs);
  midnight.setHours(0, 0, 0, 0);
  return Math.min(midnight.getTime(), nowMs - 60_000);
}

/** How much of the while a peer was at work. @param {PeerWork | null} found @param {Work | null} work @returns {number} 0..1 */
export function shareOf(found, work) {
  const all = work ? Date.parse(work.until) - Date.parse(work.since) : 0;
  return found && all > 0 ? Math.min(1, (1000 * found.busy_s) / all) : 0;
}

/**
 * @param {{work(since: string): Promise<Work>}} api @param {import("../data/store.js").FleetStore} store
 * @param {() => void} onChange
 */
export function followWork(api, store, onChange) {
  /** @type {Work | null} */
  let work = null;
  /** @type {Map<string, PeerWork>} */
  let byPeer = new Map();
  let hours = TODAY;
  let readAt = -Infinity;
  /** @type {import("../data/api.js").Job | undefined} */
  let lastEnded;
  let turn = 0;
  /** @type {ReturnType<typeof setTimeout> | undefined} */
  let timer;

  const read = async () => {
    const mine = ++turn;
    readAt = performance.now();
    soon(AT_LEAST_EVERY_MS);
    const answer = await api.work(new Date(beginOf(hours, store.now())).toISOString()).catch(() => null);
    if (!answer || mine !== turn) return; // what was known stays
    work = answer;
    byPeer = new Map(answer.peers.map((peer) => [peer.peer_id, peer]));
    onChange();
  };
  const soon = (/** @type {number} */ ms) => {
    clearTimeout(timer);
    timer = setTimeout(read, ms);
  };
  const changed = () => {
    if (store.ended[0] === lastEnded) return;
    lastEnded = store.ended[0];
    soon(Math.max(AFTER_ONE_MS, readAt + EVERY_MS - performance.now()));
  };
  store.addEventListener("jobs", changed);
  read();
  return {
    /** @param {string} peerId */
    of: (peerId) => byPeer.get(peerId) ?? null,
    get all() { return work; },
    /** @param {number} next hours, or TODAY */
    setHours(next) {
      hours = next;
      read();
    },
    close() {
      turn += 1;
      clearTimeout(timer);
      store.removeEventListener("jobs", changed);
    },
  };
}
