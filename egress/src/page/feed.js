// Events of sessions, by one connection to a server however many listen: browsers allow six to a server that speaks HTTP/1.1,
// and a seventh tab with one of its own would wait for ever. It runs in a worker that all tabs share, or in the page where
// there is none.
class Feed {
  constructor(at) {
    Object.assign(this, { at, listeners: new Map(), source: null, older: [], timer: null, tries: 0 });
  }

  // key: who listens; id: to which session; viewer: whom the connection keeps its place, or null; tell(name, data).
  listen(key, id, viewer, tell) {
    const before = this.listeners.get(key);
    this.listeners.set(key, { id, viewer, tell });
    if (before?.id !== id || before.viewer !== viewer) this.renew();
  }

  leave(key) {
    if (this.listeners.delete(key)) this.renew();
  }

  // Who listens has changed; several at once are one change.
  renew(after = this.source ? 50 : 0) {
    clearTimeout(this.timer);
    this.timer = setTimeout(() => this.open(), after);
  }

  open() {
    // Those before stay until the new one is there: nothing falls between.
    if (this.source) this.older.push(this.source);
    this.source = null;
    if (!this.listeners.size) return this.settle();
    const query = new URLSearchParams();
    for (const { id, viewer } of this.listeners.values()) {
      query.append("id", id);
      if (viewer) query.append("viewer", viewer);
    }
    const source = this.source = new EventSource(`${this.at}?${query}`);
    source.onopen = () => { if (source === this.source) this.settle(); };
    source.onerror = () => {
      if (source !== this.source) return;
      for (const { tell } of this.listeners.values()) tell("broken", {});
      // A browser connects again by itself after a break, but not after a refusal.
      if (source.readyState !== EventSource.CLOSED) return;
      this.renew(Math.min(1000 * 2 ** this.tries++, 15000) * (0.5 + Math.random()));
    };
    for (const name of ["state", "started", "stalled", "back", "ended", "viewers", "reconnect", "elsewhere"]) {
      source.addEventListener(name, event => this.told(name, JSON.parse(event.data)));
    }
  }

  settle() {
    for (const source of this.older.splice(0)) source.close();
    this.tries = 0;
  }

  // What is said to one viewer is for nobody else.
  told(name, data) {
    for (const { id, viewer, tell } of this.listeners.values()) {
      if (id === data.sessionId && (data.viewer === undefined || data.viewer === viewer)) tell(name, data);
    }
  }
}

// The feeds of all servers that tabs play from: one each, since a tab goes on elsewhere when its server cannot keep it.
class Feeds {
  constructor() {
    this.all = new Map();
  }

  // at: the server's events; the rest as a feed has it. Whoever listens to one listens to no other.
  listen(key, at, id, viewer, tell) {
    if (!this.all.has(at)) this.all.set(at, new Feed(at));
    this.all.get(at).listen(key, id, viewer, tell);
    this.leave(key, at);
  }

  leave(key, but = null) {
    for (const [at, feed] of this.all) {
      if (at === but) continue;
      feed.leave(key);
      if (!feed.listeners.size) this.all.delete(at);
    }
  }
}
