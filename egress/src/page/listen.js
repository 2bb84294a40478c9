// The page's end of the feeds: `listen` says what this tab listens to, and where; `deaf` that it is about to go.
const { listen, deaf } = (() => {
  const home = new URL("events", document.baseURI).href;
  let port = null, alone = null, wish = null;
  function byItself() {
    port = null;
    alone = new Feeds();
    if (wish) tell();
  }
  function tell() {
    if (port) port.postMessage(wish); else alone.listen(null, wish.at, wish.id, wish.viewer, heard);
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
    listen(id, viewer, at = null) {
      wish = { at: at ?? home, id, viewer };
      tell();
    },
    deaf() {
      wish = null;
      if (port) port.postMessage(null); else alone.leave(null);
    },
  };
})();
