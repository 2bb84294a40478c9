// The page's end of the feed: `listen` says what this tab listens to, `deaf` that it is about to go.
const { listen, deaf } = (() => {
  let port = null, alone = null, wish = null;
  function byItself() {
    port = null;
    alone = new Feed(new URL("events", document.baseURI).href);
    if (wish) alone.listen(null, wish.id, wish.viewer, heard);
  }
  try {
    const worker = new SharedWorker("events.js?{{VERSION}}");
    // It could not be had.
    worker.onerror = byItself;
    port = worker.port;
    port.onmessage = ({ data: [name, event] }) => heard(name, event);
  } catch {
    byItself();
  }
  return {
    listen(id, viewer) {
      wish = { id, viewer };
      if (port) port.postMessage(wish); else alone.listen(null, id, viewer, heard);
    },
    deaf() {
      wish = null;
      if (port) port.postMessage(null); else alone.leave(null);
    },
  };
})();
