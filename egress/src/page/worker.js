// The worker's end: a tab says what it listens to, and is told what happens.
const feed = new Feed(new URL("events", location.href).href);
addEventListener("connect", ({ ports: [port] }) => {
  port.onmessage = ({ data }) => {
    if (data === null) return feed.leave(port);
    feed.listen(port, data.id, data.viewer, (name, event) => port.postMessage([name, event]));
  };
});
