// @ts-check
/** ComfyUI's event stream for a page that has nothing of ComfyUI's own: it comes back by itself. */

const FIRST_WAIT_MS = 500;
const LONGEST_WAIT_MS = 15_000;

/** Dispatches the server's events as ComfyUI's api object does, with "reconnecting" and "reconnected". */
export class HostEvents extends EventTarget {
  #url;
  #open;
  #wait = FIRST_WAIT_MS;
  #isLost = false;

  /** @param {string} url ws(s)://…/ws @param {(url: string) => WebSocket} [open] */
  constructor(url, open = (address) => new WebSocket(address)) {
    super();
    // A name of its own: the server takes the socket away from an older one of the same name.
    this.#url = `${url}?clientId=${clientId()}`;
    this.#open = open;
  }

  connect() {
    const socket = this.#open(this.#url);
    socket.addEventListener("open", () => {
      this.#wait = FIRST_WAIT_MS;
      if (this.#isLost) this.dispatchEvent(new CustomEvent("reconnected"));
      this.#isLost = false;
    });
    socket.addEventListener("message", ({ data }) => this.#tell(data));
    socket.addEventListener("close", () => {
      if (!this.#isLost) this.dispatchEvent(new CustomEvent("reconnecting"));
      this.#isLost = true;
      setTimeout(() => this.connect(), this.#wait);
      this.#wait = Math.min(2 * this.#wait, LONGEST_WAIT_MS);
    });
  }

  /** @param {unknown} text what is no text is a picture for another page */
  #tell(text) {
    if (typeof text !== "string") return;
    const { type, data } = JSON.parse(text);
    if (typeof type === "string" && type.startsWith("orchestrator.")) this.dispatchEvent(new CustomEvent(type, { detail: data }));
  }
}

/** crypto.randomUUID is not there where the page came over plain http. */
const clientId = () => Array.from(crypto.getRandomValues(new Uint8Array(16)), (byte) => byte.toString(16).padStart(2, "0")).join("");
