// The worker's end: a tab says what it listens to, and is told what happens.
const feeds = new Feeds();
addEventListener("connect", ({ ports: [port] }) => {
  port.onmessage = ({ data }) => {
    if (data === null) return feeds.leave(port);
    feeds.listen(port, data.at, data.id, data.viewer, (name, event) => port.postMessage([name, event]));
  };
});
