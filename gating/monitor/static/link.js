// The WebSocket: reconnects for ever, and tells when each kind of message last came.

const FIRST_RETRY_MS = 250;
const LAST_RETRY_MS = 2000;

export class Link {
  constructor({ onState, onStrip, onAnswer, onOpen }) {
    this.handlers = { onState, onStrip, onAnswer, onOpen };
    this.retryMs = FIRST_RETRY_MS;
    this.connect();
  }

  connect() {
    const scheme = location.protocol === "https:" ? "wss:" : "ws:";
    const socket = new WebSocket(`${scheme}//${location.host}/live${location.search}`);
    socket.binaryType = "arraybuffer";
    socket.onopen = () => {
      this.retryMs = FIRST_RETRY_MS;
      this.handlers.onOpen();
    };
    socket.onmessage = (event) => this.take(event.data);
    socket.onclose = () => {
      setTimeout(() => this.connect(), this.retryMs);
      this.retryMs = Math.min(LAST_RETRY_MS, 2 * this.retryMs);
    };
    this.socket = socket;
  }

  take(data) {
    if (data instanceof ArrayBuffer) {
      this.handlers.onStrip(data);
      return;
    }
    const message = JSON.parse(data);
    if (message.kind === "state") this.handlers.onState(message);
    else this.handlers.onAnswer(message);
  }

  // Says whether the request left the page; the monitor answers whether it left the monitor.
  request(name) {
    if (this.socket.readyState !== WebSocket.OPEN) return false;
    this.socket.send(JSON.stringify({ request: name }));
    return true;
  }
}
