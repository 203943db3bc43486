// @ts-check
/** What the server refused, in its own words. `code` is its machine's word, `status` 0 without an answer; `field` is
 * what of the request is wrong, where that is clear. */
export class RequestError extends Error {
  /** @param {string} message @param {{code?: string, status?: number, field?: string}} [facts] */
  constructor(message, { code = "error", status = 0, field = "" } = {}) {
    super(message);
    this.name = "RequestError";
    this.code = code;
    this.status = status;
    this.field = field;
  }
}
