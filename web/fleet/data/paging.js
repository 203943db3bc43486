// @ts-check
/** Thousands of jobs, read in pieces: the page stands still while one long answer is parsed. */
/** @typedef {import("./api.js").Job} Job @typedef {import("./api.js").Jobs} Jobs */

const AT_ONCE = 500;
const OVERLAP = 50; //: the queue may move up between two pieces

/** @param {(skip: number, count: number) => Promise<Jobs>} read leaves out the first `skip` of the queue and of those
 * that ended @param {number} limit @returns {Promise<Jobs>} at most that many of each */
export async function inPieces(read, limit) {
  /** @type {Map<string, Job>} */
  const jobs = new Map();
  /** @type {Set<string>} */
  const line = new Set();
  for (let skip = 0; ; skip += AT_ONCE - OVERLAP) {
    const end = Math.min(skip + AT_ONCE, limit);
    const piece = await read(skip, end - skip);
    for (const job of piece.jobs) jobs.set(job.job_id, job);
    for (const id of piece.line) line.add(id);
    const { counts } = piece;
    if (end >= Math.min(limit, Math.max(counts.waiting, counts.ended))) {
      return { jobs: [...jobs.values()], line: [...line], counts };
    }
  }
}
